"""How well the program tells English from other languages: the last row of the table in docs/decisions/0004-language.md.

`python -m undertone_training.languages --data FOLDER` has the program read 400 film subtitles (XED) of each language, of 15 to 200 characters, and counts
how many it takes for English.
"""

import argparse
import collections
import gzip
import json
import random
from pathlib import Path

from . import data, figures

LANGUAGES = ("en", "de", "es", "fr", "pt", "it", "nl", "da", "no", "sv", "pl", "hu", "et", "id")


def main():
    parser = argparse.ArgumentParser(prog="undertone_training.languages", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    by = collections.defaultdict(list)
    for line in gzip.open(arguments.data / "train/xed.jsonl.gz", "rt", encoding="utf-8"):
        row = json.loads(line)
        if 15 <= len(row["text"]) <= 200:
            by[row["lang"]].append({"text": row["text"]})
    folder = Path(__file__).parents[2] / "crates/scoring/artifacts/reader-2"
    own = data.own("train")
    for name, rows in [("own", own)] + [(name, random.Random(1).sample(by[name], 400)) for name in LANGUAGES]:
        reasons = figures.answers(folder, rows)["reason"]
        foreign = sum(reason == "language_not_validated" for reason in reasons)
        print(f"{name:4} {len(rows):5} texts, taken for English {100 * (1 - foreign / len(rows)):5.1f} %")


main()
