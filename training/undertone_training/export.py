"""Writes the encoder as the program reads it: int8 matrices with a scale for each output, everything else as it is.

crates/scoring/src/local/encoder/weights.rs reads the same names.
"""

import numpy as np
from safetensors.numpy import save_file

HEADS, WIDTH = 12, 384


def rounded(weight):
    """int8 per output: weight [outputs, inputs] -> (int8, float32 scale [outputs]).

    Symmetric over -127..127. One scale for the whole matrix would break this encoder (cosine .88 to the original).
    """
    scale = np.maximum(np.abs(weight).max(axis=1), 1e-8) / 127.0
    return np.clip(np.rint(weight / scale[:, None]), -127, 127).astype(np.int8), scale.astype(np.float32)


def write(weights, layers, window, path):
    """`weights` are the first `layers` layers of a BERT under their published names."""
    out = {}

    def matrix(name, weight, bias=None):
        out[name], out[name + ".scale"] = rounded(weight)
        if bias is not None:
            out[name + ".bias"] = bias

    def norm(name, source):
        out[name + ".scale"], out[name + ".shift"] = weights[source + ".weight"], weights[source + ".bias"]

    matrix("words", weights["embeddings.word_embeddings.weight"])
    places = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    out["places"] = places[:window]
    norm("norm", "embeddings.LayerNorm")
    for i in range(layers):
        at, name = f"encoder.layer.{i}.", f"layer.{i}."
        parts = [at + "attention.self." + part for part in ("query", "key", "value")]
        weight, bias = (np.concatenate([weights[p + kind] for p in parts]) for kind in (".weight", ".bias"))
        # The scores' 1/sqrt(width of a head) goes into the query: one multiplication fewer per pair of pieces.
        weight[:WIDTH] /= np.sqrt(WIDTH // HEADS)
        bias[:WIDTH] /= np.sqrt(WIDTH // HEADS)
        matrix(name + "qkv", weight, bias)
        for ours, theirs in (("mix", "attention.output.dense"), ("up", "intermediate.dense"), ("down", "output.dense")):
            matrix(name + ours, weights[f"{at}{theirs}.weight"], weights[f"{at}{theirs}.bias"])
        norm(name + "mix.norm", at + "attention.output.LayerNorm")
        norm(name + "norm", at + "output.LayerNorm")
    save_file({k: np.ascontiguousarray(v if v.dtype == np.int8 else v.astype(np.float32)) for k, v in out.items()}, path)
