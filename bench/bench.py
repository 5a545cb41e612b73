"""Measures the embedded reader beside Python ONNX Runtime on this machine and writes docs/performance.md. `make bench` runs it.

Every figure is the median of several runs, taken in turn with the peer's, because machines are noisy. CPU time is the unit; wall time stands
beside it where people wait.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import document

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / "bench/.venv"
MODEL = ROOT / "bench/.work/peer"
PROGRAM = ROOT / "target/release/undertone"
RUNS = 5
LENGTHS = {"a line (8 words)": 8, "a chat message (20)": 20, "a short mail (50)": 50, "a long mail (90)": 90}


def main():
    if not VENV.exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    subprocess.run([VENV / "bin/pip", "install", "--quiet", "--no-deps", "-r", ROOT / "bench/requirements.txt"], check=True)
    subprocess.run([VENV / "bin/python", ROOT / "bench/peer_model.py", MODEL], check=True)
    subprocess.run(["cargo", "build", "--quiet", "--release", "-p", "undertone-scoring", "--example", "throughput"], cwd=ROOT, check=True)

    messages = [json.loads(line)["text"] for path in sorted((ROOT / "training/corpus/test").glob("*.jsonl"))
                for line in path.read_text(encoding="utf-8").splitlines()]
    rows = []
    for name, words in LENGTHS.items():
        texts = of_length(messages, words)
        pairs = [(ours(1, 4, texts), peer(4, texts)) for _ in range(RUNS)]
        rows.append((name, pairs[0][0]["pieces"] / len(texts), *(per_text(pairs, i, k) for i in (0, 1) for k in ("cpu_s", "wall_s")),
                     statistics.median(a["cpu_s"] / b["cpu_s"] for a, b in pairs)))
    all_texts = [{"text": m} for m in messages]
    pairs = [(ours(1, 1, all_texts), peer(1, all_texts), ours(2, 1, all_texts)) for _ in range(RUNS)]
    mean_ratio = statistics.median(a["cpu_s"] / b["cpu_s"] for a, b, _ in pairs)
    pace = [statistics.median(p[i]["texts"] / p[i]["wall_s"] for p in pairs) for i in (0, 2)]

    nothing = statistics.median(timed(["true"]) for _ in range(11))
    start = statistics.median(timed([PROGRAM, "explain", "Where is my order?"]) for _ in range(11))
    memory = peak_memory([PROGRAM, "score", "--quiet", "--format", "jsonl", ROOT / "samples/inbox.csv"])
    size = PROGRAM.stat().st_size
    text = page(rows, mean_ratio, pace, start - nothing, memory, size, len(messages))
    document.put(text)
    print(text)


def of_length(messages, words):
    """Forty texts of so many words, cut from our own messages laid end to end."""
    stream = " ".join(messages).split()
    return [{"text": " ".join(stream[i * 97:i * 97 + words])} for i in range(40)]


def ours(threads, rounds, texts):
    return run([ROOT / "target/release/examples/throughput", str(threads), str(rounds)], texts)


def peer(rounds, texts):
    return run([VENV / "bin/python", ROOT / "bench/peer.py", MODEL, str(rounds)], texts)


def run(command, texts):
    lines = "".join(json.dumps(t) + "\n" for t in texts)
    return json.loads(subprocess.run(command, input=lines, stdout=subprocess.PIPE, check=True, text=True).stdout)


def per_text(pairs, which, kind):
    return statistics.median(1000 * p[which][kind] / p[which]["texts"] for p in pairs)


def timed(command):
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def peak_memory(command):
    """Largest resident memory of the command, MiB."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, _, usage = os.wait4(child.pid, 0)
    return usage.ru_maxrss / 1024


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def page(rows, mean_ratio, pace, start, memory, size, count):
    flags = Path("/proc/cpuinfo").read_text()
    extras = ", ".join(name for flag, name in (("avx512_vnni", "AVX512-VNNI"), ("amx_int8", "AMX")) if flag in flags)
    table = "\n".join(f"| {name} | {pieces:.0f} | {cpu:.2f} | {wall:.2f} | {peer_cpu:.2f} | {peer_wall:.2f} | {ratio:.2f} |"
                      for name, pieces, cpu, wall, peer_cpu, peer_wall, ratio in rows)
    return f"""# Performance

What `make bench` wrote on {time.strftime("%Y-%m-%d")}, on a shared virtual machine with {os.cpu_count()} cores ({processor()}{"; " + extras if extras else ""}). Medians of
{RUNS} runs in turn with the peer's. Such machines are noisy: read the ratios, not the milliseconds.

## CPU and wall time per message, one thread

The peer is Python ONNX Runtime on all-MiniLM-L6-v2 as published, six layers in int8, with the same tokeniser: tokens, encoder and mean pooling. Ours is the
whole reader: layout, language, tokens, encoder, heads, evidence, aspects, summary.

| message | word pieces | ours CPU ms | wall ms | peer CPU ms | wall ms | CPU ratio |
|---|---:|---:|---:|---:|---:|---:|
{table}
| all {count} messages of the test part | | | | | | **{mean_ratio:.2f}** |

Ours has four layers of its own training and int8 kernels of its own; [decision 0001](decisions/0001-runtime.md) says why.

## Throughput, start and size

| | |
|---|---:|
| messages a second, one thread (test part) | {pace[0]:.0f} |
| messages a second, two threads | {pace[1]:.0f} |
| cold start to the first verdict, an empty process's start taken off | {1000 * start:.0f} ms |
| peak resident memory, `undertone score samples/inbox.csv` | {memory:.0f} MB |
| size of the program, the model inside | {size / 1e6:.1f} MB |
"""


main()
