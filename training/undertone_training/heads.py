"""Fits what stands on top of the fine-tuned heads.

The token heads come trained with the encoder (`finetune.py`); they are linear in a mean vector, so that each word's part in them is exact. The
message head is a small linear map on what they say of the whole message and of its clauses; it decides the label and the score. It is fitted
on messages the encoder never saw, and on long notes put together from them.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge

from .data import EMOTIONS, LABELS, URGENCY

OUTPUTS = (["valence"] + ["label." + l for l in LABELS] + ["emotion." + e for e in EMOTIONS] + ["urgency." + u for u in URGENCY]
           + ["sarcasm"])
LABEL = slice(1, 5)


class Scaler:
    """Mean 0 and deviation 1 per column while fitting; folded into the weights afterwards."""

    def __init__(self, x):
        self.mean, self.deviation = x.mean(0), x.std(0) + 1e-6

    def __call__(self, x):
        return (x - self.mean) / self.deviation

    def fold(self, weights, bias):
        weights = weights / self.deviation
        return weights, bias - weights @ self.mean


def logistic(x, y, weight, strength):
    """Weights and biases, one row per class, or one row where there are two classes."""
    model = LogisticRegression(C=strength, max_iter=400, tol=1e-4).fit(x, y, sample_weight=weight)
    return model.coef_, model.intercept_


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def message_features(whole, sizes, clauses):
    """The numbers of `MessageFeatures::new` in crates/scoring/src/local/heads.rs, in its order."""
    logits = whole[LABEL] - whole[LABEL].mean()
    odds = softmax(clauses[:, LABEL])
    share = sizes / sizes.sum()
    valence = clauses[:, 0]
    return np.array([*logits, whole[0], whole[18], valence.min(), valence.max(), valence[-1], odds[:, 0].max(), share @ odds[:, 0],
                     odds[:, 2].max(), share @ odds[:, 2], np.log(len(sizes))])


class Reading:
    """Outputs of the token heads for a message: of the whole, and of each clause with its size."""

    def __init__(self, whole, sizes, clauses):
        self.whole, self.sizes, self.clauses = whole, sizes, clauses

    @classmethod
    def of(cls, text, weights, biases):
        return cls(text.whole @ weights.T + biases, text.sizes, text.clauses @ weights.T + biases)

    @classmethod
    def joined(cls, readings):
        sizes = np.concatenate([r.sizes for r in readings])
        clauses = np.concatenate([r.clauses for r in readings])
        return cls((sizes[:, None] * clauses).sum(0) / sizes.sum(), sizes, clauses)

    def features(self):
        return message_features(self.whole, self.sizes, self.clauses)


def long_notes(readings, rows, count, random):
    """Notes of several messages, labelled by what feeling is in them: calm ones around one that is not, or praise and complaint."""
    by = {label: [i for i, r in enumerate(rows) if r["label"] == label] for label in LABELS}
    made = []
    for _ in range(count):
        calm = [readings[i] for i in random.choice(by["neutral"], random.integers(2, 7))]
        label = LABELS[random.choice([0, 2, 2, 3])]
        if label == "mixed":
            picks = [random.choice(by["positive"]), random.choice(by["negative"])]
            valence = np.mean([rows[i]["valence"] for i in picks]) / 100
        else:
            picks = [random.choice(by[label])]
            valence = 0.8 * rows[picks[0]]["valence"] / 100
        parts = calm + [readings[i] for i in picks]
        order = random.permutation(len(parts))
        made.append((Reading.joined([parts[i] for i in order]).features(), LABELS.index(label), valence))
    return made


def message_head(features, labels, valences, weight):
    """Weights [8, features] and biases: four label scores, then the valence under each label."""
    scaler = Scaler(features)
    z = scaler(features)
    w, b = logistic(z, labels, weight, 0.3)
    for label in range(len(LABELS)):
        mine = labels == label
        model = Ridge(alpha=10).fit(z[mine], valences[mine], sample_weight=weight[mine])
        w, b = np.vstack([w, model.coef_]), np.append(b, model.intercept_)
    return scaler.fold(w, b)


def label_odds(features, head):
    """Label probabilities, as `Heads::message` computes them."""
    return softmax((features @ head[0].T + head[1])[..., :4])


def calibration(top, right):
    """Scale and shift of the logit of the winning probability, by logistic regression on whether it was right."""
    logit = np.log(top / (1 - top))
    model = LogisticRegression(C=1e6).fit(logit[:, None], right)
    return float(model.coef_[0, 0]), float(model.intercept_[0])
