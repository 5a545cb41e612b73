"""The parts of docs/performance.md, each under a heading of the first level and written by one script."""

import re
from pathlib import Path

PATH = Path(__file__).resolve().parent.parent / "docs/performance.md"


def put(text):
    """Writes `text`, which begins with its heading, in place of the part with the same heading, or as the last part."""
    heading = text.partition("\n")[0]
    parts = [part.strip() for part in re.split(r"^(?=# )", fenceless(PATH.read_text()), flags=re.MULTILINE) if part.strip()]
    headings = [part.partition("\n")[0] for part in parts]
    if heading in headings:
        parts[headings.index(heading)] = text.strip()
    else:
        parts.append(text.strip())
    PATH.write_text(restored("\n\n".join(parts) + "\n"))


# A line of code that begins with "# " is a comment and no heading.
COMMENT = "\x00"


def fenceless(text):
    within = False
    lines = []
    for line in text.splitlines():
        within ^= line.startswith("```")
        lines.append(COMMENT + line if within and line.startswith("# ") else line)
    return "\n".join(lines)


def restored(text):
    return text.replace(COMMENT, "")
