"""Which marks of a verdict tell that the embedded model is wrong though it is sure: what the cascade's rule "it contradicts itself" was chosen
by (docs/decisions/0016-cascade.md). The messages are those of the training corpus that the encoder never saw; the test part is not looked at.

    python3 bench/contradictions.py target/release/undertone
"""

import json
import subprocess
import sys
from pathlib import Path

CORPUS = Path(__file__).resolve().parent.parent / "training/corpus/train"
# HELD_OUT of undertone_training; the first two are written as an inbox reads, the others mislead more often.
GROUPS = ("apps", "notes-chats", "at-a-glance", "gold-stars", "kind-words", "turned-corners")
DOWN = {"frustration", "anger", "disappointment", "worry", "sadness"}
UP = {"gratitude", "relief", "joy"}
SURE = 70


def goes_with(emotion, label):
    """`Emotion::goes_with`."""
    if emotion == "neutral" or label == "neutral":
        return label == "neutral" and emotion in ("neutral", "confusion")
    if emotion == "confusion":
        return label != "positive"
    return label == "mixed" or emotion in (UP if label == "positive" else DOWN)


def signs(verdict):
    return {(aspect["score"] > 0) - (aspect["score"] < 0) for aspect in verdict["aspects"]} - {0}


def opposite(verdict, strength):
    other = {"positive": DOWN, "negative": UP}.get(verdict["label"], set())
    return any(e["emotion"] in other and e["strength"] >= strength for e in verdict["emotions"])


MARKS = {
    "strongest emotion does not go with the label": lambda v: not goes_with(v["emotions"][0]["emotion"], v["label"]),
    "likes some things and not others, not called mixed": lambda v: v["label"] != "mixed" and signs(v) == {1, -1},
    "either of these": lambda v: MARKS_OF_NOW[0](v) or MARKS_OF_NOW[1](v),
    "an opposite emotion of .5 or more": lambda v: opposite(v, 0.5),
    "an opposite emotion of .3 or more": lambda v: opposite(v, 0.3),
    "all things it names against the label": lambda v: signs(v) == {{"positive": -1, "negative": 1}.get(v["label"])},
    "things liked or not, called neutral": lambda v: v["label"] == "neutral" and bool(signs(v)),
    "mixed": lambda v: v["label"] == "mixed",
    "some of it unread": lambda v: v["coverage"]["unread_percent"] > 0,
}
MARKS_OF_NOW = list(MARKS.values())[:2]


def main():
    program = sys.argv[1]
    read = []
    for group in GROUPS:
        labels = {row["id"]: row["label"] for row in map(json.loads, open(CORPUS / f"{group}.jsonl"))}
        told = subprocess.run([program, "score", "--format", "jsonl", CORPUS / f"{group}.jsonl"], capture_output=True, text=True, check=True)
        for verdict in map(json.loads, told.stdout.splitlines()):
            if verdict["label"]:
                read.append((group in GROUPS[:2], verdict["label"] != labels[verdict["id"]], verdict))
    for name, inbox in (("all groups", None), ("apps, notes-chats", True), ("the other four", False)):
        sure = [(wrong, v) for kind, wrong, v in read if v["confidence"] >= SURE and inbox in (None, kind)]
        print(f"\n{name}: {len(sure)} of confidence {SURE} or more, {sum(wrong for wrong, _ in sure)} wrong")
        for mark, holds in MARKS.items():
            marked = [wrong for wrong, v in sure if holds(v)]
            print(f"  {sum(marked):4} of {len(marked):4} wrong   {mark}")


if __name__ == "__main__":
    main()
