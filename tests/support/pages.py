"""The Markdown pages of the repository, read as what a reader would type and click."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(str(p.relative_to(ROOT)) for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
# what stands at the beginning of a line that is to be typed
PROGRAMS = ("gossipnet", "make", "pip", "python", "eval", "tensorboard", "_GOSSIPNET_COMPLETE")
_FENCE = re.compile(r"^```(\w*) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?: {4}.*\n|\n(?= {4}))+")


@dataclass(frozen=True)
class Step:
    """One thing that a reader does: types a command, runs a piece of Python, or writes a file."""

    kind: str  # command | python | file
    text: str
    name: str = ""  # of the file
    line: int = 0


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def steps(page: str) -> list[Step]:
    """All steps of a page, in its order."""
    text = text_of(page)
    found: list[tuple[int, Step]] = []
    for match in _FENCE.finditer(text):
        language, name, body = match.groups()
        at = text.count("\n", 0, match.start()) + 1
        if name:
            found.append((match.start(), Step("file", body, name, at)))
        elif language == "python":
            found.append((match.start(), Step("python", body, line=at)))
        else:
            found += [(match.start() + i, step) for i, step in enumerate(_commands(body, at))]
    prose = _FENCE.sub(lambda m: re.sub(r"[^\n]", "", m[0]), text)  # the same lines, without what is fenced
    for match in _INDENTED.finditer(prose):
        at = prose.count("\n", 0, match.start())
        start = sum(len(line) + 1 for line in text.split("\n")[:at])
        found += [(start + i, step) for i, step in enumerate(_commands(match[0], at))]
    return [step for _, step in sorted(found, key=lambda item: item[0])]


def _commands(block: str, before: int) -> Iterator[Step]:
    for i, line in enumerate(block.splitlines(), start=1):
        if line.split() and line.split()[0].partition("=")[0] in PROGRAMS:
            yield Step("command", line.strip(), line=before + i)


def headings(page: str) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    prose = _FENCE.sub("", text_of(page))
    seen: dict[str, int] = {}
    anchors = set()
    for title in re.findall(r"^#{1,6} +(.+?) *#*$", prose, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        n = seen[anchor] = seen.get(anchor, -1) + 1
        anchors.add(anchor if not n else f"{anchor}-{n}")
    return anchors


def links(page: str) -> list[str]:
    """Where a page points to, pictures among it."""
    prose = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text_of(page)))
    return re.findall(r"\]\(([^)\s]+)\)", prose) + re.findall(r"(?:src|href)=\"([^\"]+)\"", prose)
