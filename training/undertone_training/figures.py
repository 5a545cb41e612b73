"""What the model is worth, on texts it never saw, beside VADER on the same texts."""

import json
import subprocess

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import f1_score, recall_score
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from . import data
from .features import ROOT, kind


def labels(truth, answer, prefix=""):
    """Macro-F1 and negative recall over all messages; an unscored message (-1) counts as wrong."""
    negative = data.LABELS.index("negative")
    positive = data.LABELS.index("positive")
    kinds = list(range(len(data.LABELS)))
    return {
        f"{prefix}label macro-F1": f1_score(truth, answer, labels=kinds, average="macro"),
        f"{prefix}negative recall": recall_score(truth, answer, labels=[negative], average="macro"),
        f"{prefix}negatives called positive": np.mean(answer[truth == negative] == positive),
        f"{prefix}label accuracy": np.mean(truth == answer),
    }


def answers(folder, rows):
    """What the program says of each row with the model in `folder`: the figures are the product's, not the recipe's."""
    lines = "".join(json.dumps({"text": r["text"], "kind": kind(r)}) + "\n" for r in rows)
    run = subprocess.run(["cargo", "run", "--quiet", "--release", "-p", "undertone", "--", "score", "--model", str(folder), "--min-length", "0",
                          "--quiet", "--format", "jsonl", "--input-format", "jsonl", "-"],
                         cwd=ROOT, input=lines.encode(), stdout=subprocess.PIPE, check=True)
    verdicts = [json.loads(line) for line in run.stdout.splitlines()]
    place = lambda names, word: names.index(word) if word in names else -1
    return {
        "label": np.array([place(data.LABELS, v["label"]) for v in verdicts]),
        "emotion": np.array([place(data.EMOTIONS, v["dominant_emotion"]) for v in verdicts]),
        "urgency": np.array([place(data.URGENCY, v["urgency"]) for v in verdicts]),
        "category": np.array([place(data.CATEGORIES, v["category"]) for v in verdicts]),
        "score": np.array([v["score"] or 0 for v in verdicts]),
        "confidence": np.array([v["confidence"] or 0 for v in verdicts]) / 100,
        "reason": [v["reason"] for v in verdicts],
    }


def vader(rows):
    analyser = SentimentIntensityAnalyzer()
    compound = np.array([analyser.polarity_scores(r["text"])["compound"] for r in rows])
    return np.where(compound >= 0.05, 0, np.where(compound <= -0.05, 2, 1))


def test_part(folder):
    rows = data.own("test")
    said = answers(folder, rows)
    label = said["label"]
    truth = np.array([data.LABELS.index(r["label"]) for r in rows])
    review = said["confidence"] < 0.6
    macro = lambda task, names: f1_score([names.index(r[task]) for r in rows], said[task], labels=range(len(names)), average="macro")
    result = {"test messages": len(rows), "test abstained": np.mean(label == -1)}
    result |= labels(truth, label, "test ") | labels(truth, vader(rows), "test VADER ")
    result |= {
        "test valence Spearman": spearmanr(said["score"], [r["valence"] for r in rows]).statistic,
        "test emotion macro-F1": macro("emotion", data.EMOTIONS),
        "test urgency macro-F1": macro("urgency", data.URGENCY),
        "test category macro-F1": macro("category", data.CATEGORIES),
        "test calibration error": calibration_error(said["confidence"], label == truth),
        "test needs_review": np.mean(review),
        "test errors in needs_review": np.mean(review[label != truth]),
    }
    return result


def calibration_error(confidence, right, bins=10):
    """Expected calibration error over bins of equal size."""
    parts = np.array_split(np.argsort(confidence), bins)
    return sum(len(p) * abs(confidence[p].mean() - right[p].mean()) for p in parts) / len(right)


def tweets(folder, public):
    """TweetEval's sentiment validation, three classes: a mixed verdict goes by its score. None of its tweets were trained on."""
    rows = data.public(public, "dev/tweeteval")
    said = answers(folder, rows)
    label = np.where(said["label"] == 3, np.where(said["score"] >= 0, 0, 2), said["label"])
    truth = np.array([data.LABELS.index(r["label"]) for r in rows])
    recall = lambda answer: recall_score(truth, answer, labels=[0, 1, 2], average="macro")
    return {"TweetEval macro recall": recall(label), "TweetEval VADER macro recall": recall(vader(rows))}


def agreement():
    """How often the second, blind pass over the test part chose the same."""
    second = {}
    for path in sorted((data.CORPUS / "second-pass").glob("*.jsonl")):
        second |= {r["id"]: r for r in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    rows = [r for r in data.own("test") if r["id"] in second]
    return {f"test agreement on {kind}": np.mean([r[kind] == second[r["id"]][kind] for r in rows])
            for kind in ("label", "emotion", "urgency", "category")}
