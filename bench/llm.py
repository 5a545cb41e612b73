"""Measures what asking an LLM costs beside the LLM, and writes its part of docs/performance.md. `make bench-llm` runs it.

The LLM is the local server of crates/llm-server, a process of its own whose time does not count: no model, and its tokens are an estimate
of a token for every 3.5 bytes. Costs per interaction are the slope between a small and a large file, so that neither starting nor the
first seconds, in which requests are added one by one, are in them.
"""

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

ROOT = Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target/release"
PROGRAM = RELEASE / "undertone"
SAMPLES = ROOT / "samples/inbox.csv"
RUNS = 3
# What a token of each kind costs, in input tokens.
WEIGHTS = {"input": 1, "cache_read": 0.1, "cache_write_5m": 1.25, "cache_write_1h": 2}


def main():
    for arguments in (["-p", "undertone"], ["-p", "undertone-llm-server", "--example", "simulator"],
                      ["-p", "undertone-scoring", "--example", "redaction", "--example", "cascade"]):
        subprocess.run(["cargo", "build", "--quiet", "--release", *arguments], cwd=ROOT, check=True)
    messages = [json.loads(line)["text"] for path in sorted((ROOT / "training/corpus/test").glob("*.jsonl"))
                for line in path.read_text(encoding="utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), messages)
        found = {
            "cpu": {together: statistics.median(bench.cpu(together) for _ in range(RUNS)) for together in (8, 1)},
            "pace": bench.pace(),
            "redaction": statistics.median(bench.redaction() for _ in range(RUNS)),
            "tokens": {together: bench.tokens(together) for together in (1, 2, 4, 8, 16, 20)},
        }
    cascade = subprocess.run([RELEASE / "examples/cascade"], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout
    text = page(found, messages, cascade)
    document.put(text)
    print(text)


class Simulator:
    """The local server, which answers after so many milliseconds."""

    def __init__(self, milliseconds):
        self.process = subprocess.Popen([RELEASE / "examples/simulator", str(milliseconds)], stdin=subprocess.PIPE,
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

    def score(self, simulator, path, together, *flags):
        """Scores a file; answers the verdicts, the seconds it took and the seconds of processor time."""
        settings = self.folder / "settings.json"
        settings.write_text(json.dumps({"llm_together": together}))
        output = self.folder / "verdicts.jsonl"
        environment = {"PATH": os.environ["PATH"], "UNDERTONE_DATA_DIR": str(self.folder), **simulator.environment}
        begun = time.perf_counter()
        with open(output, "w", encoding="utf-8") as file:
            child = subprocess.Popen([PROGRAM, "score", path, "--scorer", "claude", "--format", "jsonl", "--quiet", "--min-length", "1",
                                      "--settings", settings, *flags], stdout=file, env=environment)
            _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begun
        rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
        verdicts = [row for row in rows if row["label"]]
        strangers = [row for row in verdicts if row["provenance"]["scorer"] != "claude"]
        if status or strangers:
            sys.exit(f"error: status {status}, {len(strangers)} verdicts are not the simulator's: {strangers[:1]}")
        return len(verdicts), seconds, usage.ru_utime + usage.ru_stime

    def cpu(self, together):
        """Milliseconds of processor time for each further interaction."""
        with Simulator(0) as simulator:
            (small, _, less), (large, _, more) = (self.score(simulator, self.file(count), together) for count in (500, 4500))
        return 1000 * (more - less) / (large - small)

    def pace(self):
        """Requests a second with 64 under way and 800 ms each, and the most that were under way."""
        with Simulator(800) as simulator:
            (small, less, _), (large, more, _) = (self.score(simulator, self.file(count), 1, "--at-once", "64") for count in (960, 2880))
            return (large - small) / (more - less), simulator.ledger()["most_in_flight"]

    def redaction(self):
        """Milliseconds of processor time for a KB of text."""
        lines = "".join(json.dumps({"text": text}) + "\n" for text in self.messages)
        told = json.loads(subprocess.run([RELEASE / "examples/redaction", "20"], input=lines, stdout=subprocess.PIPE, check=True, text=True).stdout)
        return 1000 * told["cpu_s"] / (told["bytes"] / 1000)

    def tokens(self, together):
        """What the samples take, with so many texts in a request."""
        with Simulator(0) as simulator:
            verdicts, *_ = self.score(simulator, SAMPLES, together)
            ledger = simulator.ledger()
        billed = sum(weight * ledger[kind] for kind, weight in WEIGHTS.items())
        prompt = sum(ledger[kind] for kind in WEIGHTS)
        return {"verdicts": verdicts, "requests": ledger["requests"], "billed": billed / verdicts, "prompt": prompt / verdicts,
                "cached": ledger["cache_read"] / prompt}


def page(found, messages, cascade):
    pace, most = found["pace"]
    ideal = 64 / 0.8
    size = statistics.mean(len(message.encode()) for message in messages)
    samples = found["tokens"][8]["verdicts"]
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
| requests a second, 64 at once, 800 ms each (the most possible: {ideal:.0f}) | {pace:.1f} ({100 * pace / ideal:.0f} %) |
| the most that were under way at once | {most} |

The texts are the {len(messages):,} messages of the test part, {size:.0f} bytes each in the mean. Requests are added one by one with each answer, so the pace above is reached after seven rounds.

## Input tokens a verdict

`undertone score samples/inbox.csv --scorer claude`, {samples} verdicts, by how many texts a request holds (`llm_together`). Tokens are **the local server's estimate**, a token for every
3.5 bytes, until they are measured with a key. *Billed* counts them by what they cost: a tenth for those read from the cache, one and a quarter for those put into it.

| texts in a request | requests | input tokens | from the cache | billed input tokens |
|---:|---:|---:|---:|---:|
{tokens}

## The cascade

{cascade.strip()}
"""


main()
