"""Fine-tunes the encoder and its heads together, on every task at once.

The reader takes the mean of the last layer's vectors over a text's word pieces and puts linear heads on it, so that each word's part in
a verdict is exact. Here that very sum is trained. A row brings the targets it has; what it has not costs nothing.
"""

import random
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from .data import CATEGORIES, EMOTIONS, LABELS, URGENCY

WIDTH, HEADS = 384, 12
# Columns of the heads, in the order of `heads.OUTPUTS`; then `tone` and `feeling`, which are label and emotion as the public sets mean them. Their
# "neutral" and "annoyance" are not ours: one head for both serves neither.
SIZES = {"valence": 1, "label": len(LABELS), "emotion": len(EMOTIONS), "urgency": len(URGENCY), "sarcasm": 1, "category": len(CATEGORIES),
         "tone": len(LABELS), "feeling": len(EMOTIONS)}
# How much each task's loss counts.
WEIGHTS = {"valence": 1.0, "label": 1.0, "emotion": 1.5, "urgency": 0.4, "sarcasm": 0.4, "category": 0.6, "tone": 1.0, "feeling": 1.5}
START, END, MASK = 101, 102, 103
# While training so many of a text's word pieces are hidden, if it has more than a few: one word shall not decide, least of all a name.
HIDDEN, FEW = 0.08, 6
# Steps in which a steady rate rises from nothing.
RISE = 60


@dataclass
class Row:
    """A text's word pieces and what is known of it: for each task a class, a number, or a list of shares."""

    pieces: list
    targets: dict
    weight: float = 1.0
    source: str = ""
    extra: dict = field(default_factory=dict)


class Block(nn.Module):
    """One layer, with the names of the published weights."""

    def __init__(self):
        super().__init__()
        linear = nn.Linear
        self.query, self.key, self.value = linear(WIDTH, WIDTH), linear(WIDTH, WIDTH), linear(WIDTH, WIDTH)
        self.mix, self.mix_norm = linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH, eps=1e-12)
        self.up, self.down = linear(WIDTH, 4 * WIDTH), linear(4 * WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)

    NAMES = {"query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
             "mix": "attention.output.dense", "mix_norm": "attention.output.LayerNorm", "up": "intermediate.dense",
             "down": "output.dense", "norm": "output.LayerNorm"}

    def forward(self, x, mask, drop):
        split = lambda y: y.view(*y.shape[:2], HEADS, -1).transpose(1, 2)
        attended = F.scaled_dot_product_attention(split(self.query(x)), split(self.key(x)), split(self.value(x)), attn_mask=mask)
        x = self.mix_norm(x + drop(self.mix(attended.transpose(1, 2).reshape(x.shape))))
        return self.norm(x + drop(self.down(F.gelu(self.up(x)))))


class Drop(nn.Module):
    """Leaves out a tenth of the width, the same for all pieces of a text: what `nn.Dropout` does, at a fraction of its cost on a processor."""

    def forward(self, x, share=0.1):
        if not self.training:
            return x
        shape = (x.shape[0],) + (1,) * (x.dim() - 2) + (x.shape[-1],)
        return x * (torch.rand(shape, device=x.device) >= share) / (1 - share)


class Model(nn.Module):
    """The first `layers` layers of the encoder, and the heads."""

    def __init__(self, safetensors_path, layers):
        super().__init__()
        weights = load_file(safetensors_path)
        table = weights["embeddings.word_embeddings.weight"]
        # The table of words stays as it is: it is three fifths of all weights, and our messages hold few of its words often enough.
        self.words = nn.Embedding.from_pretrained(table, freeze=True)
        places = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
        self.places = nn.Parameter(places)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.blocks = nn.ModuleList(Block() for _ in range(layers))
        self.drop = Drop()
        self.head = nn.Linear(WIDTH, sum(SIZES.values()))
        nn.init.normal_(self.head.weight, std=0.02)
        with torch.no_grad():
            self.norm.weight.copy_(weights["embeddings.LayerNorm.weight"])
            self.norm.bias.copy_(weights["embeddings.LayerNorm.bias"])
            for i, block in enumerate(self.blocks):
                for ours, theirs in Block.NAMES.items():
                    for part in ("weight", "bias"):
                        getattr(getattr(block, ours), part).copy_(weights[f"encoder.layer.{i}.{theirs}.{part}"])

    def forward(self, ids, mask, inner):
        """`ids` [texts, pieces], `mask` true on pieces, `inner` true on those that stand for words; answers all heads' columns."""
        x = self.drop(self.norm(self.words(ids) + self.places[:ids.shape[1]]))
        for block in self.blocks:
            x = block(x, mask[:, None, None, :], self.drop)
        share = inner.to(x.dtype) / inner.sum(1, keepdim=True).clamp(min=1)
        return self.head(self.drop((x * share[..., None]).sum(1))).float()

    def tensors(self):
        """The encoder's weights under their published names."""
        out = {"embeddings.word_embeddings.weight": self.words.weight, "embeddings.position_embeddings.weight": self.places,
               "embeddings.token_type_embeddings.weight": torch.zeros(1, WIDTH),
               "embeddings.LayerNorm.weight": self.norm.weight, "embeddings.LayerNorm.bias": self.norm.bias}
        for i, block in enumerate(self.blocks):
            for ours, theirs in Block.NAMES.items():
                for part in ("weight", "bias"):
                    out[f"encoder.layer.{i}.{theirs}.{part}"] = getattr(getattr(block, ours), part)
        return {name: t.detach().float().cpu().contiguous() for name, t in out.items()}


def columns():
    """For each task its columns among the heads'."""
    at, out = 0, {}
    for task, size in SIZES.items():
        out[task] = slice(at, at + size)
        at += size
    return out


def batches(rows, size, rng):
    """Rows in batches of like length, in random order."""
    order = list(range(len(rows)))
    rng.shuffle(order)
    made = []
    for chunk in (order[i:i + 60 * size] for i in range(0, len(order), 60 * size)):
        chunk.sort(key=lambda i: len(rows[i].pieces))
        made += [[rows[i] for i in chunk[j:j + size]] for j in range(0, len(chunk), size)]
    rng.shuffle(made)
    return made


def tensors(batch, window, device, hidden=0.0):
    longest = min(window, max(len(r.pieces) for r in batch) + 2)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    mask, inner = torch.zeros(len(batch), longest, dtype=torch.bool), torch.zeros(len(batch), longest, dtype=torch.bool)
    for i, row in enumerate(batch):
        pieces = row.pieces[:longest - 2]
        ids[i, :len(pieces) + 2] = torch.tensor([START, *pieces, END])
        mask[i, :len(pieces) + 2] = True
        inner[i, 1:len(pieces) + 1] = True
    if hidden:
        ids[(torch.rand(ids.shape) < hidden) & inner & (inner.sum(1, keepdim=True) > FEW)] = MASK
    return ids.to(device), mask.to(device), inner.to(device)


def loss(out, batch, smoothing=0.05):
    """The sum of the tasks' mean losses over the rows that have a target."""
    total = 0.0
    for task, at in columns().items():
        have = [i for i, r in enumerate(batch) if task in r.targets]
        if not have:
            continue
        y = out[have][:, at]
        weight = torch.tensor([batch[i].weight for i in have], device=out.device)
        target = [batch[i].targets[task] for i in have]
        if task == "valence":
            each = (y[:, 0] - torch.tensor(target, device=out.device)) ** 2 * 4
        elif task in ("emotion", "feeling", "sarcasm"):
            target = torch.tensor(target, dtype=torch.float32, device=out.device).view(len(have), -1)
            each = F.binary_cross_entropy_with_logits(y, target, reduction="none").mean(1) * (1 if task == "sarcasm" else 2)
        else:
            # Classes, or shares of classes.
            each = F.cross_entropy(y, torch.tensor(target, device=out.device), reduction="none", label_smoothing=smoothing)
        total = total + WEIGHTS[task] * (each * weight).sum() / len(batch)
    return total


def train(model, phases, window, seed, rate, checkpoint, size=32, report=None, steady=False):
    """Trains through `phases`, each a function of the random numbers that answers its rows; the rate rises briefly and falls to nothing at
    the end. After each phase everything that the next one depends on is kept in `checkpoint`, and a run that finds it goes on from there
    to the same end. With `steady` the rate stays, and the weights become the mean of those at the beginning and at the end of each phase:
    what they have in common holds better for texts that none of them learnt from than any of them does."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    device = next(model.parameters()).device
    plan = [batches(phase(rng), size, rng) for phase in phases]
    steps = sum(map(len, plan))
    still = [p for n, p in model.named_parameters() if p.dim() < 2] + [model.places]
    moving = [p for n, p in model.named_parameters() if p.dim() >= 2 and not n.startswith(("words", "places", "head"))]
    groups = [{"params": moving, "weight_decay": 0.01}, {"params": still, "weight_decay": 0.0},
              {"params": [model.head.weight], "weight_decay": 0.01, "lr": 10 * rate}]
    optimiser = torch.optim.AdamW(groups, lr=rate, fused=True)
    falling = lambda step: min((step + 1) / (0.06 * steps), max(0.0, (steps - step) / (0.94 * steps)))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, (lambda step: min(1.0, (step + 1) / RISE)) if steady else falling)
    copy = lambda: {name: weight.detach().clone() for name, weight in model.state_dict().items()}
    first, total = 0, copy()
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=False)
        model.load_state_dict(kept["model"])
        optimiser.load_state_dict(kept["optimiser"])
        schedule.load_state_dict(kept["schedule"])
        torch.set_rng_state(kept["random"])
        # One that was begun elsewhere goes on all the same, to another end.
        if device.type == "cuda" and kept.get("random there") is not None:
            torch.cuda.set_rng_state(kept["random there"], device)
        first, total = kept["phase"], kept.get("total", total)
    for number in range(first, len(plan)):
        model.train()
        started, running = time.monotonic(), 0.0
        for batch in plan[number]:
            value = loss(model(*tensors(batch, window, device, HIDDEN)), batch)
            optimiser.zero_grad()
            value.backward()
            nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
            optimiser.step()
            schedule.step()
            running += float(value.detach())
        print(f"  phase {number + 1} of {len(plan)}: {len(plan[number])} steps, loss {running / len(plan[number]):.3f}, "
              f"{time.monotonic() - started:.0f} s", flush=True)
        total = {name: total[name] + weight for name, weight in copy().items()}
        part = checkpoint.with_suffix(".part")
        torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict(),
                    "random": torch.get_rng_state(), "random there": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
                    "phase": number + 1, "total": total}, part)
        # A run that is broken off here leaves the one before whole.
        part.replace(checkpoint)
        if report:
            report(number)
    if steady:
        model.load_state_dict({name: weight / (len(plan) + 1) for name, weight in total.items()})


@torch.no_grad()
def predict(model, rows, window, size=64):
    """All heads' columns for each row."""
    model.eval()
    device = next(model.parameters()).device
    out = np.zeros((len(rows), sum(SIZES.values())), np.float32)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].pieces))
    for at in range(0, len(order), size):
        some = order[at:at + size]
        out[some] = model(*tensors([rows[i] for i in some], window, device)).cpu().numpy()
    return out
