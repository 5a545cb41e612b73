"""Measures what asking an LLM costs beside the LLM, and writes its part of docs/performance.md. `make bench-llm` runs it.

`bench/llm.py try` does the same with few texts and a debug build, to see that it works, and writes nothing.

The LLM is the local server of crates/llm-server, a process of its own whose time does not count: no model, and its tokens are an estimate
of a token for every 3.5 bytes. Costs per interaction of the command are the slope between a small and a large file, so that neither starting
nor the first seconds, in which requests are added one by one, are in them. The service is measured once it has 64 requests under way.
"""

import collections
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import document
import service

ROOT = Path(__file__).resolve().parent.parent
TRY = sys.argv[1:] == ["try"]
BUILT = ROOT / ("target/debug" if TRY else "target/release")
PROGRAM = BUILT / "undertone"
SAMPLES = ROOT / "samples/inbox.csv"
RUNS = 1 if TRY else 3
# Texts of the small and the large file for processor time, and for the pace; those the service is handed, by how many a request holds.
FILES = (50, 150) if TRY else (500, 4500)
PACED = (240, 480) if TRY else (960, 2880)
SERVED = {1: 400, 8: 1600} if TRY else {1: 4000, 8: 16_000}
AT_ONCE, LATENCY_S = 64, 0.8
IDEAL = AT_ONCE / LATENCY_S
# What a token of each kind costs, in input tokens.
WEIGHTS = {"input": 1, "cache_read": 0.1, "cache_write_5m": 1.25, "cache_write_1h": 2}


def main():
    for arguments in (["-p", "undertone"], ["-p", "undertone-llm-server", "--example", "simulator"],
                      ["-p", "undertone-scoring", "--example", "redaction", "--example", "cascade"]):
        subprocess.run(["cargo", "build", "--quiet", *([] if TRY else ["--release"]), *arguments], cwd=ROOT, check=True)
    messages = [json.loads(line)["text"] for path in sorted((ROOT / "training/corpus/test").glob("*.jsonl"))
                for line in path.read_text(encoding="utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), messages)
        found = {
            "cpu": {together: statistics.median(bench.cpu(together) for _ in range(RUNS)) for together in (8, 1)},
            "pace": bench.pace(),
            "served": {together: bench.served(together, count) for together, count in SERVED.items()},
            "redaction": statistics.median(bench.redaction() for _ in range(RUNS)),
            "tokens": {together: bench.tokens(together) for together in (1, 2, 4, 8, 16, 20)},
            "cascade": bench.tokens(8, "cascade"),
        }
    cascade = [BUILT / "examples/cascade", *(["40"] if TRY else [])]
    cascade = subprocess.run(cascade, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout
    text = page(found, messages, cascade)
    if not TRY:
        document.put(text)
    print(text)


class Simulator:
    """The local server, which answers after so many milliseconds."""

    def __init__(self, milliseconds):
        self.process = subprocess.Popen([BUILT / "examples/simulator", f"{milliseconds:.0f}"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.environment = dict(word.split("=", 1) for word in self.process.stdout.readline().split()[1:])
        self.process.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def ledger(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


class Bench:
    def __init__(self, folder, messages):
        self.folder = folder
        self.messages = messages

    def file(self, count):
        """So many messages of the test part, no two alike, with the names of those who wrote them."""
        path = self.folder / f"{count}.csv"
        with open(path, "w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["id", "customer_name", "text"])
            rows.writerows((n, "Bernadette Crowhurst", f"{self.messages[n % len(self.messages)]} ({n})") for n in range(count))
        return path

    def score(self, simulator, path, together, *flags, scorer="claude"):
        """Scores a file; answers the verdicts, the seconds it took and the seconds of processor time."""
        settings = self.folder / "settings.json"
        settings.write_text(json.dumps({"llm_together": together}))
        output = self.folder / "verdicts.jsonl"
        environment = {"PATH": os.environ["PATH"], "UNDERTONE_DATA_DIR": str(self.folder), **simulator.environment}
        begun = time.perf_counter()
        with open(output, "w", encoding="utf-8") as file:
            child = subprocess.Popen([PROGRAM, "score", path, "--scorer", scorer, "--format", "jsonl", "--quiet", "--min-length", "1",
                                      "--settings", settings, *flags], stdout=file, env=environment)
            _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begun
        rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
        verdicts = [row for row in rows if row["label"]]
        strangers = [row for row in verdicts if row["provenance"]["scorer"] != "claude"]
        if status or (strangers and scorer == "claude") or len(strangers) == len(verdicts):
            sys.exit(f"error: status {status}, {len(strangers)} verdicts are not the simulator's: {strangers[:1]}")
        self.why = collections.Counter(row["cascade"]["why"] for row in verdicts if row["cascade"] and row["cascade"].get("why"))
        return len(verdicts), seconds, usage.ru_utime + usage.ru_stime, len(verdicts) - len(strangers)

    def cpu(self, together):
        """Milliseconds of processor time for each further interaction."""
        with Simulator(0) as simulator:
            (small, _, less, _), (large, _, more, _) = (self.score(simulator, self.file(count), together) for count in FILES)
        return 1000 * (more - less) / (large - small)

    def pace(self):
        """Requests a second with 64 under way and 800 ms each, and the most that were under way."""
        with Simulator(1000 * LATENCY_S) as simulator:
            (small, less, *_), (large, more, *_) = (self.score(simulator, self.file(count), 1, "--at-once", str(AT_ONCE)) for count in PACED)
            return (large - small) / (more - less), simulator.ledger()["most_in_flight"]

    def served(self, together, count):
        """The service, handed `count` texts at once, on SQLite: milliseconds of processor time for each, requests a second while it is busy, the
        most that were under way, and verdicts a second from handing in to the last one."""
        url = f"sqlite://{self.folder}/served{together}.db"
        service.command(url, "tenant", "create", "bench", program=PROGRAM)
        scopes = ("--scope", "ingest", "--scope", "read", "--scope", "admin")
        key = service.command(url, "key", "create", "bench", *scopes, program=PROGRAM)
        settings = {"scorer": "claude", "when_unavailable": "wait", "daily_token_cap": 0, "llm_together": together, "min_note_length": 1}
        with Simulator(1000 * LATENCY_S) as simulator, service.Service(url, program=PROGRAM, environment=simulator.environment) as running:
            running.call("/api/v1/settings", key, json.dumps(settings).encode(), method="PUT")
            # As many requests as it takes until 64 are under way, since each answer brings one more.
            first = 4 * AT_ONCE * together
            self.hand_in(running, key, 0, first)
            self.wait(simulator, running, key, first)
            cpu, begun = running.cpu(), time.monotonic()
            self.hand_in(running, key, first, count)
            seen = self.wait(simulator, running, key, first + count)
            asked = seen[-1][1] - seen[0][1]
            busy = [at for at in seen if 0.1 * asked <= at[1] - seen[0][1] <= 0.9 * asked]
            pace = (busy[-1][1] - busy[0][1]) / (busy[-1][0] - busy[0][0])
            return {"count": count, "requests": asked, "cpu_ms": 1000 * (running.cpu() - cpu) / count, "pace": pace,
                    "most": simulator.ledger()["most_in_flight"], "verdicts": count / (seen[-1][0] - begun)}

    def hand_in(self, running, key, first, count):
        texts = (f"{self.messages[n % len(self.messages)]} ({n})" for n in range(first, first + count))
        rows = (json.dumps({"external_id": n, "customer": {"id": f"c{n % 500}", "name": "Bernadette Crowhurst"}, "text": text})
                for n, text in enumerate(texts, first))
        answer = running.call("/api/v1/interactions", key, "\n".join(rows).encode(), "application/x-ndjson")
        if answer["accepted"] != count:
            sys.exit(f"error: {answer}")

    def wait(self, simulator, running, key, count):
        """Waits until so many texts have the simulator's verdict; answers when how many requests had been answered. The service is left alone
        meanwhile, since looking costs it time too."""
        seen = [(time.monotonic(), simulator.ledger()["requests"])]
        while seen[-1][0] - next(at for at, requests in seen if requests == seen[-1][1]) < 3 or seen[0][1] == seen[-1][1]:
            time.sleep(0.25)
            seen.append((time.monotonic(), simulator.ledger()["requests"]))
            if seen[-1][0] - seen[0][0] > 600:
                sys.exit("error: no end within ten minutes")
        service.drain(running, key)
        scored = running.call("/api/v1/overview", key)["all_time"]["scored"]
        by = running.call("/api/v1/ai-usage?group=scorer", key)["total"]["texts"]
        if (scored, by) != (count, count):
            sys.exit(f"error: of {count} texts {scored} have a verdict, and the simulator read {by}")
        # The last answers came when there were as many for the first time.
        last = next(n for n, (_, requests) in enumerate(seen) if requests == seen[-1][1])
        return seen[:last + 1]

    def redaction(self):
        """Milliseconds of processor time for a KB of text."""
        lines = "".join(json.dumps({"text": text}) + "\n" for text in self.messages)
        told = json.loads(subprocess.run([BUILT / "examples/redaction", "20"], input=lines, stdout=subprocess.PIPE, check=True, text=True).stdout)
        return 1000 * told["cpu_s"] / (told["bytes"] / 1000)

    def tokens(self, together, scorer="claude"):
        """What the samples take, with so many texts in a request."""
        with Simulator(0) as simulator:
            verdicts, *_, asked = self.score(simulator, SAMPLES, together, scorer=scorer)
            ledger = simulator.ledger()
        billed = sum(weight * ledger[kind] for kind, weight in WEIGHTS.items())
        prompt = sum(ledger[kind] for kind in WEIGHTS)
        written = sum(WEIGHTS[kind] * ledger[kind] for kind in WEIGHTS if kind.startswith("cache_write"))
        return {"verdicts": verdicts, "asked": asked, "requests": ledger["requests"], "billed": billed / verdicts, "prompt": prompt / verdicts,
                "written": written / verdicts, "read": WEIGHTS["cache_read"] * ledger["cache_read"] / verdicts, "own": ledger["input"] / verdicts,
                "why": self.why,
                "cached": ledger["cache_read"] / prompt}


def page(found, messages, cascade):
    pace, most = found["pace"]
    served = [(f"{told['count']:,} interactions, {together} {'text' if together == 1 else 'texts'} in a request", told)
              for together, told in found["served"].items()]
    served = "\n".join(f"| {name} | {told['cpu_ms']:.2f} ms | {told['pace']:.1f} ({100 * told['pace'] / IDEAL:.0f} %) | {told['most']} | {told['verdicts']:,.0f} |"
                       for name, told in served)
    size = statistics.mean(len(message.encode()) for message in messages)
    why = ", ".join(f"{count} {reason}" for reason, count in found["cascade"]["why"].most_common())
    samples, cascaded = found["tokens"][8]["verdicts"], found["cascade"]
    tokens = "\n".join(f"| {together} | {told['requests']} | {told['prompt']:,.0f} | {100 * told['cached']:.0f} % | {told['billed']:,.0f} |"
                       for together, told in found["tokens"].items())
    return f"""# Asking an LLM

What `make bench-llm` wrote on {time.strftime("%Y-%m-%d")}, on a shared virtual machine with {os.cpu_count()} cores. The LLM is the local server of `crates/llm-server`, in a process of
its own: **no model**, and no figure here says how well or how fast a real one answers.

## What it costs here

| | |
|---|---:|
| processor time per interaction, reading the file to writing the verdict, 8 texts in a request | {found["cpu"][8]:.2f} ms |
| the same with a request for each text | {found["cpu"][1]:.2f} ms |
| of that, redaction, per KB of text | {found["redaction"]:.3f} ms |
| requests a second, 64 at once, 800 ms each (the most possible: {IDEAL:.0f}) | {pace:.1f} ({100 * pace / IDEAL:.0f} %) |
| the most that were under way at once | {most} |

The texts are the {len(messages):,} messages of the test part, {size:.0f} bytes each in the mean. Requests are added one by one with each answer, so the pace above is reached after seven rounds.

The service itself, on SQLite, handed all of them in one POST once it has 64 requests under way; the server answers after 800 ms, so that at most {IDEAL:.0f} requests a second are possible.
Processor time is the whole process's, from taking a text in to its verdict, counters and events on disk:

| | processor time each | requests a second | most under way | verdicts a second, first to last |
|---|---:|---:|---:|---:|
{served}

## Input tokens a verdict

`undertone score samples/inbox.csv --scorer claude`, {samples} verdicts, by how many texts a request holds (`llm_together`). Tokens are **the local server's estimate**, a token for every
3.5 bytes, until they are measured with a key. *Billed* counts them by what they cost: a tenth for those read from the cache, one and a quarter for those put into it.

| texts in a request | requests | input tokens | from the cache | billed input tokens |
|---:|---:|---:|---:|---:|
{tokens}

The same file with `--scorer cascade`: of {cascaded["verdicts"]} verdicts {cascaded["asked"]} are the LLM's ({why}), in {cascaded["requests"]} requests; **{cascaded["billed"]:,.0f}** billed input tokens a verdict, whoever gave it (aim: under 60).
{cascaded["own"]:,.0f} of them are the texts themselves, {cascaded["read"]:,.0f} the rubric and the schema of the answer read from the cache, and {cascaded["written"]:,.0f} both being put there, once for the file, for five minutes. The file is read 64 texts at a time; a worker of
the service takes 32, and has the rubric kept for an hour, which is what follows.

## The cascade in the service

{cascade.strip()}
"""


if __name__ == "__main__":
    main()
