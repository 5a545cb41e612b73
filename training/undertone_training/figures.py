"""What the model is worth, on texts it never saw, beside VADER on the same texts."""

import json

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import f1_score, recall_score
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from . import data, heads


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


def answers(model, texts):
    """Label, probability, valence, emotion, urgency and category for each text; -1 where it is not read."""
    out = []
    for text in texts:
        if text is None:
            out.append((-1, 0.0, 0.0, -1, -1, -1))
            continue
        reading = heads.Reading.of(text, model["weights"], model["biases"])
        odds, valence = heads.message(reading.features(), model["message"])
        place = heads.unit(text.whole @ model["projection"].T + model["projection_bias"])
        out.append((odds.argmax(), odds.max(), float(valence), emotion(reading.whole, odds.argmax()),
                    reading.whole[15:18].argmax(), (model["prototypes"] @ place).argmax()))
    return [np.array(column) for column in zip(*out)]


def emotion(outputs, label):
    """The strongest emotion that goes with the label, as `Reader::dominant_emotion` chooses it."""
    allowed = {"positive": ["gratitude", "relief", "joy"], "neutral": ["neutral", "confusion"], "mixed": data.EMOTIONS[:9],
               "negative": data.EMOTIONS[:6]}[data.LABELS[label]]
    return max((data.EMOTIONS.index(e) for e in allowed), key=lambda e: outputs[heads.EMOTION.start + e])


def vader(rows):
    analyser = SentimentIntensityAnalyzer()
    compound = np.array([analyser.polarity_scores(r["text"])["compound"] for r in rows])
    return np.where(compound >= 0.05, 0, np.where(compound <= -0.05, 2, 1))


def test_part(model, read):
    rows = data.own("test")
    label, top, valence, feeling, urgency, category = answers(model, read(rows))
    truth = np.array([data.LABELS.index(r["label"]) for r in rows])
    scale, shift = model["calibration"]
    confidence = 1 / (1 + np.exp(-(scale * np.log(top.clip(1e-4, 1 - 1e-4) / (1 - top.clip(1e-4, 1 - 1e-4))) + shift)))
    review = confidence < 0.6
    macro = lambda kind, names, answer: f1_score([names.index(r[kind]) for r in rows], answer, labels=range(len(names)), average="macro")
    result = {"test messages": len(rows), "test abstained": np.mean(label == -1)}
    result |= labels(truth, label, "test ") | labels(truth, vader(rows), "test VADER ")
    result |= {
        "test valence Spearman": spearmanr(valence, [r["valence"] for r in rows]).statistic,
        "test emotion macro-F1": macro("emotion", data.EMOTIONS, feeling),
        "test urgency macro-F1": macro("urgency", data.URGENCY, urgency),
        "test category macro-F1": macro("category", data.CATEGORIES, category),
        "test calibration error": calibration_error(confidence, label == truth),
        "test needs_review": np.mean(review),
        "test errors in needs_review": np.mean(review[label != truth]),
    }
    return result


def calibration_error(confidence, right, bins=10):
    """Expected calibration error over bins of equal size."""
    parts = np.array_split(np.argsort(confidence), bins)
    return sum(len(p) * abs(confidence[p].mean() - right[p].mean()) for p in parts) / len(right)


def tweets(model, read, folder):
    """TweetEval's sentiment validation, three classes: a mixed verdict goes by its valence. None of its tweets were trained on."""
    rows = data.public(folder, "dev/tweeteval")
    label, _, valence, *_ = answers(model, read(rows))
    label = np.where(label == 3, np.where(valence >= 0, 0, 2), label)
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
