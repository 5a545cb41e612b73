"""What words, and each after the one before it, say by themselves of emotion, urgency and category: a linear map on counts.

The fine-tuned encoder and this err on different messages; added together they err less than either. It is fitted on the messages that the
encoder is trained on, and how much of it is added was chosen on those that it never saw (decision 0003).
"""

import numpy as np
from scipy.sparse import csr_matrix, diags
from sklearn.linear_model import LogisticRegression

from .data import CATEGORIES, EMOTIONS, URGENCY
from .features import kind, pieces

# Rows of the table: one for each word piece, and one for each bucket of pairs.
PIECES, PAIRS = 30522, 1 << 16
# How strongly the fit is held back, and how much of it is added to what the heads say.
STRENGTH, ADDED = 2, 0.5
NAMES = {"emotion": EMOTIONS, "urgency": URGENCY, "category": CATEGORIES}


def bucket(before, piece):
    """The row of a pair; the same as `Lexicon::bucket` in crates/scoring/src/local/lexicon.rs."""
    return PIECES + ((((before * 0x9E3779B1) & 0xFFFFFFFF) + ((piece * 0x85EBCA77) & 0xFFFFFFFF) & 0xFFFFFFFF) >> 16 & PAIRS - 1)


def counts(texts):
    """How often each row is met in each text, over the root of the text's length: what `Lexicon::of` adds up."""
    columns, values, ends = [], [], [0]
    for text in texts:
        rows = list(text) + [bucket(a, b) for a, b in zip(text, text[1:])]
        found, often = np.unique(rows, return_counts=True)
        columns.append(found)
        values.append(often / np.sqrt(len(text)))
        ends.append(ends[-1] + len(found))
    return csr_matrix((np.concatenate(values), np.concatenate(columns), ends), shape=(len(texts), PIECES + PAIRS))


def fit(rows, folder):
    """The table for `rows`, int8; what a step of each column is worth; and what is added to each task's heads whatever the words."""
    found = pieces([{"text": r["text"], "kind": kind(r)} for r in rows], folder, "pieces")
    rows, found = zip(*[(r, p) for r, p in zip(rows, found) if p])
    seen = counts(found)
    # What few texts hold tells more, and is held back less; what a single one holds tells nothing.
    texts = np.asarray((seen > 0).sum(0)).ravel()
    rarity = np.where(texts > 1, np.log((1 + len(rows)) / (1 + texts)) + 1, 0)
    weights, biases = [], {}
    for task, names in NAMES.items():
        told = [names.index(r[task]) for r in rows]
        model = LogisticRegression(C=STRENGTH, max_iter=60).fit(seen @ diags(rarity), told)
        # What all classes share changes nothing between them, and would change the strengths of emotions.
        centred = lambda a: ADDED * (a - a.mean(0))
        weights.append(centred(model.coef_) * rarity)
        biases[task] = centred(model.intercept_)
    table = np.concatenate(weights).T
    scale = np.abs(table).max(0) / 127
    return np.round(table / scale).astype(np.int8), scale.astype(np.float32)[None], biases
