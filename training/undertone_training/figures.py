"""What the model is worth, on texts it never saw, beside VADER on the same texts."""

import json
import subprocess

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import f1_score, recall_score, roc_auc_score
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from . import data, finetune
from .features import ROOT, kind, pieces, program


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
    run = subprocess.run([program(), "score", "--model", str(folder), "--min-length", "0", "--quiet",
                          "--format", "jsonl", "--input-format", "jsonl", "-"],
                         cwd=ROOT, input=lines.encode(), stdout=subprocess.PIPE, check=True)
    verdicts = [json.loads(line) for line in run.stdout.splitlines()]
    strength = lambda v, emotion: next((e["strength"] for e in v["emotions"] or () if e["emotion"] == emotion), 0.0)
    place = lambda names, word: names.index(word) if word in names else -1
    return {
        "label": np.array([place(data.LABELS, v["label"]) for v in verdicts]),
        "emotion": np.array([place(data.EMOTIONS, v["dominant_emotion"]) for v in verdicts]),
        "urgency": np.array([place(data.URGENCY, v["urgency"]) for v in verdicts]),
        "category": np.array([place(data.CATEGORIES, v["category"]) for v in verdicts]),
        "score": np.array([v["score"] or 0 for v in verdicts]),
        "confidence": np.array([v["confidence"] or 0 for v in verdicts]) / 100,
        "reason": [v["reason"] for v in verdicts],
        "strengths": np.array([[strength(v, e) for e in data.EMOTIONS] for v in verdicts]),
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
    """Expected calibration error over bins of equal size. Answers of one confidence are one: each counts as right as all of them are."""
    right = np.array([right[confidence == one].mean() for one in confidence])
    parts = np.array_split(np.argsort(confidence), bins)
    return sum(len(p) * abs(confidence[p].mean() - right[p].mean()) for p in parts) / len(right)


# An emotion is said to be there from this strength on, where a text may have several. Chosen on GoEmotions' training part.
EMOTION_FROM = 0.15


def public(folder, sets):
    """The held-out public sets: texts that nobody here chose."""
    return tweets(folder, sets) | emotions(folder, sets) | satisfaction(folder, sets)


def tweets(folder, sets):
    """TweetEval's sentiment validation, three classes: a mixed verdict goes by its score. None of its tweets were trained on."""
    rows = data.public(sets, "dev/tweeteval")
    said = answers(folder, rows)
    label = np.where(said["label"] == 3, np.where(said["score"] >= 0, 0, 2), said["label"])
    truth = np.array([data.LABELS.index(r["label"]) for r in rows])
    recall = lambda answer: recall_score(truth, answer, labels=[0, 1, 2], average="macro")
    return {"TweetEval macro recall": recall(label), "TweetEval VADER macro recall": recall(vader(rows))}


def emotions(folder, sets):
    """GoEmotions' held-out part by our emotions: a text may have several, or none of ours."""
    rows = data.public(sets, "dev/goemotions")
    strengths = answers(folder, rows)["strengths"]
    truth = np.array([[e in {data.GOEMOTIONS.get(w) for w in r["emotions"]} for e in data.EMOTIONS] for r in rows])
    return {"GoEmotions macro-F1": f1_score(truth, strengths >= EMOTION_FROM, average="macro", zero_division=0)}


def satisfaction(folder, sets):
    """Turns of task dialogues that raters gave under 3 of 5 for satisfaction, against the others, by the score."""
    rows = [r for r in data.public(sets, "dev/uss_mwoz") if r.get("satisfaction") is not None]
    said = answers(folder, rows)
    return {"USS AUC of a turn rated under 3": roc_auc_score([r["satisfaction"] < 3 for r in rows], -said["score"])}


def languages(model, folder, sets):
    """Macro recall over three classes of tweets in six languages, by the encoder and the head of public texts as they come out of training: the
    program leaves all but English unscored, so it can not be asked."""
    out = {}
    for language in ("english", "german", "french", "spanish", "portuguese", "italian"):
        rows = data.public(sets, "dev/umsab", language=language)
        found = [finetune.Row(p[:126], {}) for p in pieces([{"text": r["text"]} for r in rows], folder, "all")]
        answer = finetune.predict(model, found, 128)[:, finetune.columns()["tone"]][:, :3].argmax(1)
        truth = [data.LABELS.index(r["label"]) for r in rows]
        out[f"UMSAB {language} macro recall"] = recall_score(truth, answer, labels=[0, 1, 2], average="macro")
    return out


def agreement():
    """How often the second, blind pass chose the same, on the test part and on what is trained on."""
    second, out = data.second_pass(), {}
    for part in ("test", "train"):
        rows = [r for r in data.own(part, settled=False) if r["id"] in second]
        out |= {f"{part} agreement on {kind}": np.mean([r[kind] == second[r["id"]][kind] for r in rows])
                for kind in ("label", "emotion", "urgency", "category", "sarcasm")}
    return out
