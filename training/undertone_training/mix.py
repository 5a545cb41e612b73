"""The rows the encoder is fine-tuned on: our own messages, and what the public sets tell, each under the tasks it has a word on."""

import random

from . import data
from .features import kind, pieces
from .finetune import Row

# What GoEmotions' words say of the label; what is not here says nothing ("surprise" may be either).
POSITIVE = {"admiration", "amusement", "approval", "caring", "excitement", "gratitude", "joy", "love", "optimism", "pride", "relief"}
NEGATIVE = {"anger", "annoyance", "disappointment", "disapproval", "disgust", "embarrassment", "fear", "grief", "nervousness", "remorse",
            "sadness"}
# Sets and how much a row of theirs counts beside one of ours.
WEIGHTS = {"goemotions": 0.5, "vader": 0.7, "mams": 0.5, "senti4sd": 0.7, "isarcasmeval": 0.3, "emobank": 0.3, "banking77": 0.3,
           "bitext_intents": 0.3, "clinc150": 0.3}
# How many of the copies of our messages that training sees are typed badly, and how many letters out of a hundred are then wrong.
MISTYPED, SLIPS = 0.25, 6
KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
# How many are met with other courtesies or other punctuation, which change nothing of what is felt.
DRESSED = 0.25
BEFORE = ("Hi,", "Hello,", "Hello there,", "Hey team,", "Good morning,", "Good evening.", "Dear Sir or Madam,", "Dear all,", "To whom it may concern:",
          "Hope you are well.", "Quick one:", "Sorry to bother you.", "Just so you know:")
AFTER = ("Thanks.", "Thank you.", "Thanks!", "Many thanks", "Thanks in advance.", "Thank you for your time.", "Thanks for your help.", "Cheers",
         "Cheers, Dan", "Thank you, Mei", "Appreciated.", "Have a nice day.", "tia", "thx", "Best wishes, Olu", "Much appreciated, Carla")


def polarity(emotions):
    """The label that words of GoEmotions stand for, or None."""
    up, down = bool(POSITIVE & set(emotions)), bool(NEGATIVE & set(emotions))
    if emotions == ["neutral"]:
        return data.LABELS.index("neutral")
    if up != down:
        return data.LABELS.index("positive" if up else "negative")
    return data.LABELS.index("mixed") if up else None


def targets(name, row):
    """What a row of a public set tells, by task."""
    label = row.get("label")
    if name == "goemotions":
        told = {data.GOEMOTIONS.get(e) for e in row["emotions"]}
        out = {"feeling": [float(e in told) for e in data.EMOTIONS]}
        if (side := polarity(row["emotions"])) is not None:
            out["tone"] = side
        return out
    if name == "isarcasmeval":
        return {"sarcasm": float(label == "sarcastic")}
    if name in data.CATEGORY_OF:
        category = data.category_of(name, label)
        return {"category": [float(c == category) for c in data.CATEGORIES]} if category else {}
    out = {"tone": data.LABELS.index(label)} if name != "emobank" else {}
    if "valence" in row:
        out["valence"] = row["valence"]
    return out


def own_targets(row):
    """What a message of ours tells: everything. Where the two passes differ on emotion, urgency, category or sarcasm each counts half."""
    passes = [row, row.get("second", row)]
    shares = lambda kind, words: [sum(p[kind] == word for p in passes) / 2 for word in words]
    return {
        "valence": sum(p["valence"] for p in passes) / 200, "label": data.LABELS.index(row["label"]),
        "emotion": shares("emotion", data.EMOTIONS), "urgency": shares("urgency", data.URGENCY),
        "sarcasm": shares("sarcasm", [True])[0], "category": shares("category", data.CATEGORIES),
    }


def own(rows, folder, change=lambda row: row["text"]):
    """Our messages as the product's own reader takes them apart; without those it would not read."""
    found = pieces([{"text": change(r), "kind": kind(r)} for r in rows], folder, "pieces")
    return [Row(p, own_targets(r), source=r["group"], extra=r) for r, p in zip(rows, found) if p]


def mistyped(row):
    """The text as hasty fingers would have typed it: letters swapped, left out, doubled, or hit beside; always the same way."""
    text = row["text"]
    rng = random.Random(text)
    out = list(text)
    for at, letter in enumerate(text[:-1]):
        if not letter.isascii() or not letter.isalpha() or rng.random() * 100 >= SLIPS:
            continue
        slip = rng.randrange(4)
        if slip == 0 and text[at + 1].isalpha():
            out[at], out[at + 1] = out[at + 1], out[at]
        elif slip == 1:
            out[at] = ""
        elif slip == 2:
            out[at] = letter * 2
        else:
            row = next(row for row in KEYS if letter.lower() in row)
            out[at] = row[(row.index(letter.lower()) + rng.choice((-1, 1))) % len(row)]
    return "".join(out)


def dressed(row):
    """The message with a greeting before it, thanks after it, or other punctuation; always the same way. Notes and transcripts stay as they are."""
    text = row["text"]
    if kind(row) != "message":
        return text
    rng = random.Random(text[::-1])
    way = rng.randrange(4)
    if way in (0, 2):
        text = f"{rng.choice(BEFORE)} {text}"
    if way in (1, 2):
        text = f"{text}{rng.choice((' ', ' ', chr(10)))}{rng.choice(AFTER)}"
    if way == 3:
        full, comma = rng.choice((("!", ","), ("...", ","), ("", ""), (" -", ","), ("\n", "")))
        text = text.removesuffix(".") + (". " if full else " ")
        text = text.replace(". ", f"{full} ").replace(", ", f"{comma} ").strip()
    return text


def public(folder, model):
    """The public rows by set, with at most as many word pieces as a window has room for."""
    out = {}
    for name, weight in WEIGHTS.items():
        rows = data.public(folder, f"train/{name}")
        found = pieces([{"text": r["text"]} for r in rows], model, "all")
        made = [Row(p, targets(name, r), weight, name, {"text": r["text"]}) for r, p in zip(rows, found)]
        out[name] = [r for r in made if r.targets and 0 < len(r.pieces) <= 126]
    return out


def turns(folder, model):
    """Turns of real support dialogues that we labelled: their texts lie in the public sets, their labels in `training/corpus/turns.jsonl`, told by
    the checksum of the text."""
    labels = {row["sha256"]: row for row in data.turns()}
    found = {}
    for name in ("multidogo", "banking77"):
        for row in data.public(folder, f"train/{name}", all_of_it=True):
            digest = data.digest(row["text"])
            if digest in labels:
                found[digest] = labels[digest] | {"text": row["text"], "group": name, "id": digest}
    rows = [found[digest] for digest in sorted(found)]
    made = [Row(p, own_targets(r), 0.5, "turns") for r, p in zip(rows, pieces([{"text": r["text"]} for r in rows], model, "all"))]
    return [r for r in made if 0 < len(r.pieces) <= 126]
