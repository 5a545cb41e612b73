"""Writes the model card."""

import subprocess

from . import data
from .features import ROOT, program


def measured(folder, *arguments):
    """What `undertone eval` says of the model in `folder`, as Markdown."""
    run = subprocess.run([program(), "eval", "--model", str(folder), "--format", "markdown", *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    # 1: packs failed too often, which the table says.
    if run.returncode not in (0, 1):
        raise SystemExit("undertone eval failed")
    return run.stdout.strip()


def write(manifest, folder, own, counts, packages):
    f = manifest["figures"]
    test = sorted((data.CORPUS / "test").glob("*.jsonl"))
    row = lambda name, shown: f"| {shown} | {f[name]:.3f} |" if name in f else ""
    public = "\n".join(filter(None, [
        row("TweetEval macro recall", "TweetEval sentiment validation, macro recall over 3"),
        row("TweetEval VADER macro recall", "VADER, the same"),
        row("GoEmotions macro-F1", "GoEmotions dev and test by our 10 emotions, macro-F1"),
        row("USS AUC of a turn rated under 3", "USS, MultiWOZ: a turn rated under 3 of 5, area under the curve"),
    ]))
    public = f"On public sets that nobody here chose; no text of theirs was trained on:\n\n| figure | value |\n|---|---|\n{public}\n" if public else ""
    of = lambda language: f"{language.title()} {f[f'UMSAB {language} macro recall']:.2f}"
    others = "" if "UMSAB english macro recall" not in f else (
        " By this encoder it would be guesswork: macro recall over three classes of tweets (UMSAB) is " +
        ", ".join(map(of, ("english", "german", "french", "spanish", "portuguese", "italian"))) + ", and .33 is chance.")
    sets = "\n".join(f"| {source} | {licence} | {counts[name]} |"
                     for name, (_, licence, source, _) in (data.PUBLIC | data.LABELLED).items() if name in counts)
    agreed = lambda part: ", ".join(f"{kind} {f[f'{part} agreement on {kind}']:.1%}" for kind in ("label", "emotion", "urgency", "category"))
    return f"""# {manifest["name"]} {manifest["version"]}

The model Undertone uses when no LLM is asked: reads a customer's message in English and says label, score, emotion, urgency and issue
category, with the words that moved it.

- **Encoder**: {manifest["encoder"]["base"]}, {manifest["encoder"]["window"]} word pieces a window.
- **Heads**: linear, trained together with the encoder on every task at once; a small head for whole messages and the confidence are fitted on messages
  the encoder had not seen.
- **Licence**: Apache-2.0 for the encoder it started from (sentence-transformers, Microsoft MiniLM), MIT or Apache-2.0 for what was added.
- **Made with** {", ".join(f"{name} {version}" for name, version in packages.items())}.

## What it is worth
On support messages of our own, from industries and writers of their own, written and labelled before training and never trained on. Beside each figure the range
it lies in nineteen times of twenty, were other messages drawn.

{measured(folder, *test, "--compare", "vader", "--by", "phenomena")}

The messages were chosen to be hard: sarcasm, polite fury, understatement, flat bug reports, mixed feelings. Everyday mail is easier. They were written by a
language model and labelled twice by language models of the same family, the second time without seeing the first labels; the passes agree on
{agreed("test")}. They agree with each other more than two people would, so these figures say how well the model follows that
reading, not how well it follows your people's: label some of your own and `undertone eval` tells.

{public}
Behavioural packs, cases that a support lead decides in two seconds (`undertone eval --pack` lists what failed):

{measured(folder, "--pack")}

## What it does not do
- **Other languages**: text that is not English is left unscored with the reason `language_not_validated`.{others}
- **Sarcasm** made of friendly words alone is still missed at times. **Urgency** was learnt from our own messages only, and real turns we labelled.
- **Category** is a first sorting. A tenant's own categories are places among the default ones, so they need a few examples each.
- It reads words, not people: no voice, no typing speed, no profile. A neutral verdict is not a sign of contentment.

## Trained on
| source | licence as stated there | texts |
|---|---|---|
| our own support messages, `training/corpus/train`, written by a language model | MIT or Apache-2.0 | {own} |
{sets}

The two labelling passes over our own training messages agree on {agreed("train")}; messages whose label they disagree on are left out.
The underlying tweets, posts and reviews of the public sets were cleared by nobody beyond the stated licences.
"""
