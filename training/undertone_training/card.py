"""Writes the model card."""

from . import data


def write(manifest, own, counts, packages):
    f = manifest["figures"]
    row = lambda name, shown: f"| {shown} | {f[name]:.3f} |" if name in f else ""
    figures = "\n".join(filter(None, [
        row("test label macro-F1", "label, macro-F1 over 4 labels"),
        row("test VADER label macro-F1", "VADER, the same"),
        row("test negative recall", "negatives found"),
        row("test VADER negative recall", "VADER, the same"),
        row("test negatives called positive", "negatives called positive"),
        row("test VADER negatives called positive", "VADER, the same"),
        row("test valence Spearman", "score, rank correlation"),
        row("test emotion macro-F1", "emotion, macro-F1 over 10"),
        row("test urgency macro-F1", "urgency, macro-F1 over 3"),
        row("test category macro-F1", "category, macro-F1 over 14"),
        row("test calibration error", "calibration error of the confidence"),
        row("test needs_review", "share marked needs_review"),
        row("test errors in needs_review", "share of the errors among them"),
        row("TweetEval macro recall", "TweetEval sentiment validation, macro recall over 3 (no tweet of it in training)"),
        row("TweetEval VADER macro recall", "VADER, the same"),
    ]))
    sets = "\n".join(f"| {source} | {licence} | {counts[name]} |"
                     for name, (_, licence, source, _) in data.PUBLIC.items() if name in counts)
    agreed = ", ".join(f"{kind} {f[f'test agreement on {kind}']:.1%}" for kind in ("label", "emotion", "urgency", "category"))
    return f"""# {manifest["name"]} {manifest["version"]}

The model Undertone uses when no LLM is asked: reads a customer's message in English and says label, score, emotion, urgency and issue
category, with the words that moved it.

- **Encoder**: {manifest["encoder"]["base"]}, {manifest["encoder"]["window"]} word pieces a window, weights unchanged but for int8 rounding.
- **Heads**: linear, trained by `training/` from the texts below. Confidence is calibrated on messages of files the heads had not seen.
- **Licence**: Apache-2.0 for the encoder's weights (sentence-transformers, Microsoft MiniLM), MIT or Apache-2.0 for the heads.
- **Made with** {", ".join(f"{name} {version}" for name, version in packages.items())}.

## What it is worth
On {int(f["test messages"])} support messages of our own, from industries and writers of their own, written and labelled before training and never trained on:

| figure | value |
|---|---|
{figures}

The messages were chosen to be hard: sarcasm, polite fury, understatement, flat bug reports, mixed feelings. Everyday mail is easier. They were written by a
language model and labelled twice by language models of the same family, the second time without seeing the first labels; the passes agree on {agreed}. Both
agree with each other more than two people would, so these figures say how well the model follows that reading, not how well it follows your people's.

## What it does not do
- **Other languages**: text that is not English is left unscored with the reason `language_not_validated`.
- **Sarcasm** made of friendly words is missed often. **Urgency** was learnt from our own messages only.
- **Category** is a similarity; read it as a first sorting. A tenant's own categories with a few examples each fit better.
- It reads words, not people: no voice, no typing speed, no profile. A neutral verdict is not a sign of contentment.

## Trained on
| source | licence as stated there | texts |
|---|---|---|
| our own support messages, `training/corpus/train`, written by a language model | MIT or Apache-2.0 | {own} |
{sets}

Public texts weigh a tenth of our own. The underlying tweets, posts and reviews were cleared by nobody beyond the stated licences.
"""
