"""Measures the service on SQLite and PostgreSQL and writes its part of docs/performance.md. `make bench-service` runs it.

`bench/service.py ROWS...` chooses how many interactions the reads are timed with (default 10000 100000 1000000). Beside the figures stand
the floors of this machine, measured in the same run: how often it can flush to disk, and plain prepared inserts.
"""

import contextlib
import http.client
import http.cookiejar
import json
import os
import platform
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from datetime import date
from pathlib import Path

import document

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target/release/undertone"
MEASURE = ROOT / "target/release/examples/measure"
LOAD = ROOT / "target/release/examples/load"
TEXT = ("The parcel came late again and nobody told me anything; I have been waiting at home for two days now and "
        "I would like to know what happens next.")
TICK = os.sysconf("SC_CLK_TCK")


def main():
    rows = [int(n) for n in sys.argv[1:]] or [10_000, 100_000, 1_000_000]
    subprocess.run(["cargo", "build", "--quiet", "--release", "-p", "undertone", "-p", "undertone-store", "-p", "undertone-testkit",
                    "-p", "undertone-scoring", "--bins", "--examples"], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as folder:
        folder = Path(folder)
        floors = floor(folder)
        found = {}
        for engine, opened in (("SQLite", sqlite), ("PostgreSQL", postgres)):
            with opened(folder) as url:
                if engine == "PostgreSQL":
                    rounds = [[pgbench(url, folder, clients) for clients in (1, 8, 32)] for _ in range(3)]
                    floors["pgbench"] = {clients: statistics.median(figures) for clients, *figures in zip((1, 8, 32), *rounds)}
                found[engine] = measure(url, folder, rows)
    text = page(found, floors, rows)
    document.put(text)
    print(text)


@contextlib.contextmanager
def sqlite(folder):
    yield f"sqlite://{folder}/bench.db"


@contextlib.contextmanager
def postgres(folder):
    """A server of one's own that waits for the disk at every commit, as it does where it matters."""
    bin_, port = postgres_programs(), free_port()
    data = Path(tempfile.mkdtemp(prefix="undertone-bench-"))
    user = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--"] if os.getuid() == 0 else []
    if user:
        subprocess.run(["chown", "nobody", data], check=True)
    subprocess.run([*user, bin_ / "initdb", "-D", data / "db", "--auth=trust", "--username=undertone", "--locale=C", "--encoding=UTF8"],
                   check=True, stdout=subprocess.DEVNULL)
    server = subprocess.Popen([*user, bin_ / "postgres", "-D", data / "db", "-h", "127.0.0.1", "-p", port, "-k", data,
                               "-c", "max_connections=200", "-c", "max_wal_size=4GB"], stderr=subprocess.DEVNULL)
    while subprocess.run([bin_ / "pg_isready", "-q", "-h", "127.0.0.1", "-p", port]).returncode:
        if server.poll() is not None:
            sys.exit("error: PostgreSQL ended while it started; is the disk full?")
        time.sleep(0.1)
    try:
        yield f"postgres://undertone@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
        subprocess.run(["rm", "-rf", data])


def postgres_programs():
    """The folder of PostgreSQL's programs: where the path leads to, or where Debian puts them."""
    debian = [path / "initdb" for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    for initdb in (shutil.which("initdb"), *debian):
        folder = Path(initdb or "").resolve().parent
        if all((folder / name).exists() for name in ("initdb", "postgres", "pg_isready", "psql", "pgbench")):
            return folder
    sys.exit("error: PostgreSQL is not installed; run: apt-get install postgresql")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def pgbench(url, folder, clients):
    """Rows a second of plain prepared inserts, one to a transaction, by this many clients of PostgreSQL's own load generator."""
    programs = postgres_programs()
    subprocess.run([programs / "psql", "-q", url, "-c", "SET client_min_messages = error; DROP TABLE IF EXISTS floor; CREATE SEQUENCE IF NOT EXISTS n; "
                    "CREATE TABLE floor (tenant bigint, id text, external text, body text, PRIMARY KEY (tenant, id)); "
                    "CREATE UNIQUE INDEX ON floor (tenant, external)"], check=True)
    script = folder / "insert.sql"
    script.write_text(f"INSERT INTO floor SELECT 1, lpad(n::text, 36, '0'), 'a' || n, '{TEXT}' FROM nextval('n') AS n;\n")
    out = subprocess.run([programs / "pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", "2", "-f", script, url], check=True,
                         capture_output=True, text=True).stdout
    subprocess.run([programs / "psql", "-q", url, "-c", "DROP TABLE floor"], check=True)
    return float(re.search(r"tps = ([0-9.]+)", out)[1])


def floor(folder):
    """What the disk and the plainest program can do."""
    path = folder / "fsync"
    with open(path, "wb") as file:
        begun, flushes = time.monotonic(), 0
        while time.monotonic() - begun < 2:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            flushes += 1
    db = sqlite3.connect(folder / "floor.db", isolation_level=None)
    db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (tenant INTEGER, id TEXT, external TEXT, "
                     "body TEXT, PRIMARY KEY (tenant, id)); CREATE UNIQUE INDEX u ON t (tenant, external)")
    begun, single = time.monotonic(), 0
    while time.monotonic() - begun < 2:
        db.execute("INSERT INTO t VALUES (1, ?, ?, ?)", (f"{single:036}", f"a{single}", TEXT))
        single += 1
    begun, batched = time.monotonic(), 0
    while time.monotonic() - begun < 2:
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO t VALUES (1, ?, ?, ?)", [(f"b{batched + i:035}", f"b{batched + i}", TEXT) for i in range(500)])
        db.execute("COMMIT")
        batched += 500
    db.close()
    return {"fsync": flushes / 2, "single": single / 2, "batched": batched / 2}


class Service:
    def __init__(self, url, workers=None, program=PROGRAM, environment=None):
        more = [] if workers is None else ["--workers", str(workers)]
        begun = time.monotonic()
        self.process = subprocess.Popen([program, "serve", "--listen", "127.0.0.1:0", "--database-url", url, *more],
                                        stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {}), "UNDERTONE_LOG": "warn",
                                             # What is measured is the service, not its bounds.
                                             "UNDERTONE_REQUESTS_PER_KEY": "0", "UNDERTONE_REQUESTS_PER_ADDRESS": "0"})
        self.address = self.process.stdout.readline().split()[-1]
        with urllib.request.urlopen(f"{self.address}/readyz"):
            self.start_s = time.monotonic() - begun

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024

    def call(self, path, key, body=None, kind="application/json", method=None):
        headers = {"Authorization": f"Bearer {key}", "Content-Type": kind}
        request = urllib.request.Request(self.address + path, data=body, headers=headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)


def command(url, *arguments, program=PROGRAM):
    return subprocess.run([program, *arguments, "--database-url", url], check=True, capture_output=True, text=True).stdout.strip()


def lines(first, count):
    return "".join(json.dumps({"external_id": f"f{n}", "customer": f"c{n % 500}", "channel": "email", "text": TEXT}) + "\n"
                   for n in range(first, first + count)).encode()


def load(service, key, clients):
    return json.loads(subprocess.run([LOAD, service.address, key, str(clients), "6"], check=True, capture_output=True, text=True).stdout)


def example(url, *arguments):
    out = subprocess.run([MEASURE, url, *map(str, arguments)], check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def drain(service, key):
    while service.call("/api/v1/interactions?state=pending&limit=1", key)["items"]:
        time.sleep(0.2)


def size(url, folder):
    if url.startswith("sqlite"):
        return sum(path.stat().st_size for path in folder.glob("bench.db*"))
    return int(subprocess.run([postgres_programs() / "psql", "-qtA", url, "-c", "SELECT pg_database_size('postgres')"], check=True, capture_output=True, text=True).stdout)


def measure(url, folder, rows):
    found = {}
    command(url, "tenant", "create", "bench")
    key = command(url, "key", "create", "bench", "--scope", "ingest", "--scope", "read")
    with Service(url) as service:
        found["start_s"], found["idle_mb"] = service.start_s, service.memory()
    found["start_s"] = statistics.median([found["start_s"], *(start_only(url) for _ in range(4))])

    with Service(url, workers=0) as service:
        found["paused"] = [load(service, key, clients) for clients in (1, 8, 32)]
        body, count = lines(0, 100_000), 100_000
        cpu, begun = service.cpu(), time.monotonic()
        assert service.call("/api/v1/interactions", key, body, "application/x-ndjson")["accepted"] == count
        found["file_per_s"] = count / (time.monotonic() - begun)
        found["file_cpu_ms"] = (service.cpu() - cpu) / count * 1000
        found["busy_mb"] = service.memory()
    # What was taken in while scoring was paused is not scored: a tenant of its own for what follows.
    command(url, "module", "deactivate", "bench")
    with Service(url) as service:
        drain(service, key)
    command(url, "tenant", "create", "scored")
    key = command(url, "key", "create", "scored", "--scope", "ingest", "--scope", "read")
    with Service(url) as service:
        # Idle: from a POST to a verdict that can be read.
        waits = []
        for n in range(60):
            begun = time.monotonic()
            service.call("/api/v1/interactions", key, json.dumps({"external_id": f"w{n}", "text": TEXT}).encode())
            while service.call(f"/api/v1/interactions?external_id=w{n}", key)["items"][0]["state"] == "pending":
                time.sleep(0.002)
            waits.append((time.monotonic() - begun) * 1000)
        waits.sort()
        found["verdict_p50_ms"], found["verdict_p99_ms"] = waits[30], waits[59]
        # In bulk: CPU of everything, and the reader's part of it, which is measured before and after because machines are noisy.
        count, reader = 3000, [reader_cpu_ms()]
        cpu, begun = service.cpu(), time.monotonic()
        service.call("/api/v1/interactions", key, lines(0, count), "application/x-ndjson")
        drain(service, key)
        found["score_wall_ms"] = (time.monotonic() - begun) / count * 1000
        found["score_cpu_ms"] = (service.cpu() - cpu) / count * 1000
        found["reader_cpu_ms"] = statistics.mean([*reader, reader_cpu_ms()])
        found["running"] = [load(service, key, clients) for clients in (1, 8, 32)]
        drain(service, key)
        found["busy_mb"] = max(found["busy_mb"], service.memory())
    found["hot"] = [example(url, "hot", writers, 10_000)[0] for writers in (1, 4, 32)]
    found["disk_mb"] = disk(url, folder)
    found["reads"], found["http"] = {}, {}
    for n in rows:
        filled = example(url, "fill", n)[0]
        found["reads"][n] = {read["read"]: read for read in example(url, "reads", filled["slug"])}
        found["http"][n] = over_http(url, filled["slug"])
    return found


def over_http(url, slug):
    """Median milliseconds of what people and programs ask for, on one connection kept open."""
    key = command(url, "key", "create", slug, "--scope", "read")
    email = f"{slug}@bench.example"
    password = command(url, "tenant", "user", slug, email).split()[-1]
    asked = {"the overview page": "/", "GET /overview": "/api/v1/overview", "GET /interactions": "/api/v1/interactions?limit=50",
             "GET /customers/{id}/sentiment": "/api/v1/customers/c-7/sentiment", "GET /escalations": "/api/v1/escalations?hours=24"}
    found = {}
    with Service(url, workers=0) as service:
        asked["GET /interactions/{id}"] = "/api/v1/interactions/" + service.call(asked["GET /interactions"], key)["items"][0]["id"]
        headers = {"Authorization": f"Bearer {key}"}, {"Cookie": f"undertone_session={session(service.address, email, password)}"}
        connection = http.client.HTTPConnection(service.address.removeprefix("http://"))
        for name, path in asked.items():
            millis = []
            for _ in range(22):
                begun = time.monotonic()
                connection.request("GET", path, headers=headers[path == "/"])
                answer = connection.getresponse()
                answer.read()
                millis.append((time.monotonic() - begun) * 1000)
                assert answer.status == 200, (path, answer.status)
            found[name] = statistics.median(millis[1:])
        connection.close()
    return found


def session(address, email, password):
    """Logs in as the page does; answers the session's cookie."""
    cookies = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
    with browser.open(f"{address}/login") as page:
        csrf = re.search(r'name="csrf" value="([^"]+)"', page.read().decode())[1]
    browser.open(f"{address}/login", urllib.parse.urlencode({"email": email, "password": password, "csrf": csrf, "next": "/"}).encode()).close()
    return next(cookie.value for cookie in cookies if cookie.name == "undertone_session")


def disk(url, folder):
    """Space of 10,000 scored interactions with short texts."""
    before = size(url, folder)
    example(url, "hot", 4, 10_000)
    return (size(url, folder) - before) / 1e6


def start_only(url):
    with Service(url) as service:
        return service.start_s


def reader_cpu_ms():
    """CPU of the reader alone on the same text, with all cores at it, as in the service: neighbours slow each other down."""
    cores = os.cpu_count()
    texts = (json.dumps({"text": TEXT}) + "\n") * 32 * cores
    out = subprocess.run([ROOT / "target/release/examples/throughput", str(cores), "12"], input=texts, check=True, capture_output=True, text=True).stdout
    found = json.loads(out)
    return found["cpu_s"] / found["texts"] * 1000


def page(found, floors, rows):
    engines = list(found)
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), platform.machine())
    out = ["# The service\n", f"What `make bench-service` wrote on {date.today()}, on a shared virtual machine with {os.cpu_count()} cores ({cpu}); the clients and "
           "PostgreSQL share those cores. SQLite at `synchronous=FULL`, PostgreSQL at its defaults: every commit waits for the disk. Texts have 28 words.\n",
           f"Floors in the same run: {floors['fsync']:,.0f} flushes a second; SQLite, plain prepared inserts of a row with one index from Python, "
           f"{floors['single']:,.0f} rows a second one by one, {floors['batched']:,.0f} in transactions of 500; PostgreSQL, the same row one to a transaction by "
           f"`pgbench`, {', '.join(f'{n:,.0f} a second with {c}' for c, n in floors['pgbench'].items())} clients.\n",
           "## From POST to verdict\n", "| | " + " | ".join(engines) + " |", "|---|" + "---:|" * len(engines)]
    def row(name, value):
        out.append(f"| {name} | " + " | ".join(value(found[e]) for e in engines) + " |")
    row("idle service: POST to readable verdict, median / worst of 60", lambda f: f"{f['verdict_p50_ms']:.0f} / {f['verdict_p99_ms']:.0f} ms")
    row("in bulk: CPU of the service per interaction, file to verdict", lambda f: f"{f['score_cpu_ms']:.2f} ms")
    row("the reader alone on as many threads, just before and after", lambda f: f"{f['reader_cpu_ms']:.2f} ms")
    row("the difference: all that is not the reader", lambda f: f"{f['score_cpu_ms'] - f['reader_cpu_ms']:.2f} ms")
    row("in bulk: wall time per interaction, both cores", lambda f: f"{f['score_wall_ms']:.2f} ms")
    row("NDJSON, rows accepted a second (scoring paused)", lambda f: f"{f['file_per_s']:,.0f}")
    row("NDJSON, CPU of the service per row", lambda f: f"{f['file_cpu_ms']:.3f} ms")
    row("start to ready, median of 5", lambda f: f"{f['start_s'] * 1000:.0f} ms")
    row("resident memory, idle", lambda f: f"{f['idle_mb']:.0f} MB")
    row("resident memory after 100,000 interactions and the POSTs below", lambda f: f"{f['busy_mb']:.0f} MB")
    row("disk for 10,000 scored interactions with texts of 14 words", lambda f: f"{f['disk_mb']:.0f} MB")
    out += ["\n## POSTs, one interaction each\n", "| clients | " + " | ".join(f"{e}, {s}: a second, p50 / p99 ms" for e in engines for s in ("paused", "scoring")) + " |",
            "|---:|" + "---:|" * (2 * len(engines))]
    for i, clients in enumerate((1, 8, 32)):
        cells = [f"{f['per_s']:,}, {f['p50_ms']} / {f['p99_ms']}" for e in engines for f in (found[e]["paused"][i], found[e]["running"][i])]
        out.append(f"| {clients} | " + " | ".join(cells) + " |")
    out += ["\nWhile it scores, the reader's threads take both cores and the clients what is left.\n", "## Writers on one tenant\n",
            "Claiming and recording verdicts in batches of 32, counters and events included, without the time to read.\n",
            "| writers | " + " | ".join(f"{e}, rows a second" for e in engines) + " |", "|---:|" + "---:|" * len(engines)]
    for i, writers in enumerate((1, 4, 32)):
        out.append(f"| {writers} | " + " | ".join(f"{found[e]['hot'][i]['recorded_per_s']:,}" for e in engines) + " |")
    out += ["\n## Reads by how much history there is\n", "Median of 21, milliseconds, straight from the store. A year of one tenant's interactions, a customer for every 20.\n",
            "| read | " + " | ".join(f"{e} {n:,}" for e in engines for n in rows) + " |", "|---|" + "---:|" * (len(engines) * len(rows))]
    for read in found[engines[0]]["reads"][rows[0]]:
        out.append(f"| {read} | " + " | ".join(f"{found[e]['reads'][n][read]['median_ms']:.2f}" for e in engines for n in rows) + " |")
    out += ["\n## The same over HTTP\n", "Median of 21, milliseconds, a whole request on a connection kept open, scoring paused.\n",
            "| request | " + " | ".join(f"{e} {n:,}" for e in engines for n in rows) + " |", "|---|" + "---:|" * (len(engines) * len(rows))]
    for request in found[engines[0]]["http"][rows[0]]:
        out.append(f"| {request} | " + " | ".join(f"{found[e]['http'][n][request]:.1f}" for e in engines for n in rows) + " |")
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    main()
