"""A TOML file of sections and keys, read with the line that each key stands on, so that a message can name it."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gossipnet.errors import BadInput

MISSING = "an experiment file; `gossipnet init FILE` makes one"
LARGEST_FILE_BYTES = 1 << 20  # an experiment file is a page; /dev/zero is not one


@dataclass(frozen=True)
class Given:
    """One section or value of a file. `place` is as much of `"file.toml:12: "` as is known, for a message to follow."""

    section: str  # "" for a key above the first section
    key: str  # "" for the section itself
    value: Any
    place: str

    @property
    def dotted(self) -> str:
        return f"{self.section}.{self.key}"


def is_path(source: str | Path) -> bool:
    """Whether a source is a file and not the text itself."""
    return isinstance(source, Path) or not re.search(r"[\n=]", source)


def read(source: str | Path) -> Iterator[Given]:
    """The sections and values of a file, or of TOML text (a str with a line break or an equals sign).

    Raises BadInput for a file that cannot be read, is not UTF-8 or not TOML.
    """
    if is_path(source):
        path, text = str(source), read_text(Path(source), MISSING)
    else:
        path, text = "", str(source)
    for section, table in _parse(text, path).items():
        if not isinstance(table, dict):
            yield Given("", section, table, _place(path, text, "", section))
            continue
        yield Given(section, "", table, _place(path, text, section, ""))
        for key, value in table.items():
            yield Given(section, key, value, _place(path, text, section, key))


def _parse(text: str, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise BadInput(f"{path or 'the text'} is not valid TOML: nested too deeply") from error
    except ValueError as error:  # tomllib's own errors, and those of numbers with too many digits
        reason = " ".join(str(error).split())
        raise BadInput(f"{path or 'the text'} is not valid TOML: {reason}") from error


def _place(path: str, text: str, section: str, key: str) -> str:
    line = _line_of(text, section, key)
    if not path:
        return f"line {line}: " if line else ""
    return f"{path}:{line}: " if line else f"{path}: "


def _line_of(text: str, section: str, key: str) -> int | None:
    """The line of a key or section; None where TOML's freedom hides it from this simple look."""
    wanted = f"{section}.{key}".strip(".")
    current = ""
    for number, line in enumerate(text.split("\n"), 1):
        if header := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line):
            dotted = current = _bare(header[1])
        elif name := re.match(r"\s*([^=#]+?)\s*=", line):
            dotted = f"{current}.{_bare(name[1])}".strip(".")
        else:
            continue
        if dotted == wanted or (dotted == section and "{" in line):  # section = {key = 1}
            return number
    return None


def _bare(name: str) -> str:
    return re.sub(r"[\s\"']", "", name)


def read_text(path: Path, missing: str, what: str = "an experiment file") -> str:
    """The text of a file of `what`. Raises BadInput, which says `missing` if there is none."""
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_FILE_BYTES + 1)
    except FileNotFoundError:
        raise BadInput(f"no file {str(path)!r}: expected {missing}") from None
    except IsADirectoryError:
        hint = f"; did you mean {str(path / 'config.toml')!r}?" if (path / "config.toml").is_file() else ""
        raise BadInput(f"{str(path)!r} is a folder, expected {what}{hint}") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{str(path)!r} cannot be read: {error}") from error
    if len(content) > LARGEST_FILE_BYTES:
        raise BadInput(f"{str(path)!r} is larger than 1 MiB: expected {what}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{str(path)!r} is not UTF-8 text (byte {error.start}): expected {what}") from error
