"""The peer: Python ONNX Runtime running all-MiniLM-L6-v2 in int8 on the same texts, one thread, one text at a time, mean pooled.

`peer.py MODEL_FOLDER ROUNDS < texts.jsonl` prints the same object as the throughput example.
"""

import json
import sys
import time

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

folder, rounds = sys.argv[1], int(sys.argv[2])
texts = [json.loads(line)["text"] for line in sys.stdin]
tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
tokenizer.no_padding()
tokenizer.no_truncation()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(f"{folder}/encoder.onnx", options)


def embed(text):
    """Mean vector and number of pieces; a longer text goes through in windows of 128, as in the reader."""
    ids = tokenizer.encode(text).ids[1:-1]
    windows = [np.array([101, *ids[i:i + 126], 102], np.int32) for i in range(0, len(ids), 126)]
    return sum(session.run(None, {"ids": window})[0].sum(axis=0) for window in windows) / len(ids), len(ids)


for text in texts:
    embed(text)
cpu, wall = time.process_time(), time.perf_counter()
for _ in range(rounds):
    pieces = sum(embed(text)[1] for text in texts)
print(json.dumps({"texts": len(texts) * rounds, "pieces": pieces, "wall_s": time.perf_counter() - wall,
                  "cpu_s": time.process_time() - cpu}))
