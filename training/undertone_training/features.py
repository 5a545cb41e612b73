"""Vectors of texts, made by the product's own reader (`crates/scoring/examples/features.rs`), and kept until texts or encoder change."""

import functools
import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np

from .export import WIDTH

ROOT = Path(__file__).parent.parent.parent


class Text:
    """A text's mean vector and those of its clauses; `pieces` and `sizes` count word pieces."""

    def __init__(self, pieces, whole, sizes, clauses):
        self.pieces, self.whole, self.sizes, self.clauses = pieces, whole, sizes, clauses


@functools.cache
def program():
    """The program, built once: each model is handed to it by its folder, so that it need not be built again for every one."""
    subprocess.run(["cargo", "build", "--quiet", "--release", "-p", "undertone"], cwd=ROOT, check=True)
    return ROOT / "target/release/undertone"


def run(lines, *arguments):
    """What the product's reader (`crates/scoring/examples/features.rs`) says of lines of JSON."""
    subprocess.run(["cargo", "build", "--quiet", "--release", "-p", "undertone-scoring", "--example", "features"], cwd=ROOT, check=True)
    program = ROOT / "target/release/examples/features"
    return subprocess.run([program, *arguments], input=lines, stdout=subprocess.PIPE, check=True).stdout


def in_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def pieces(rows, folder, which):
    """The word pieces of each row: of what would be read (`pieces`; None where nothing would) or of everything (`all`)."""
    return list(map(json.loads, run(in_lines(rows), str(folder), which).splitlines()))


def vectors(rows, folder, layers, cache):
    """For each row a Text, or None where the reader would abstain."""
    lines = in_lines({"text": r["text"], "kind": kind(r)} for r in rows)
    # The program carries the model it was built with, which it does not use here: what counts is how it lays out texts.
    sources = b"".join(p.read_bytes() for p in sorted((ROOT / "crates/scoring/src").rglob("*.rs")))
    key = hashlib.sha256(lines + sources + (folder / "encoder.safetensors").read_bytes() + f"{layers}".encode()).hexdigest()[:24]
    path = cache / f"{key}.bin"
    if not path.exists():
        part = path.with_suffix(".part")
        part.write_bytes(run(lines, str(folder), str(layers)))
        part.replace(path)
    return list(parse(path.read_bytes(), len(rows), WIDTH))


def kind(row):
    tags = row.get("phenomena", [])
    return "transcript" if "transcript" in tags else "note" if "agent_note" in tags else "message"


def parse(data, count, width):
    numbers = np.frombuffer(data, np.uint32)
    floats = np.frombuffer(data, np.float32)
    at = 0
    for _ in range(count):
        clauses = int(numbers[at])
        at += 1
        if clauses == 0:
            yield None
            continue
        block = floats[at:at + (clauses + 1) * (width + 1)].reshape(clauses + 1, width + 1)
        sizes = numbers[at:at + (clauses + 1) * (width + 1)].reshape(clauses + 1, width + 1)[:, 0].astype(int)
        at += (clauses + 1) * (width + 1)
        yield Text(sizes[0], block[0, 1:], sizes[1:], block[1:, 1:])
