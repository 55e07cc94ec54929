"""Options: the fields of a dataclass, each with its place in a file, its meaning and its check.

A dataclass says what an option is once, in `option(...)`; files, `--set`, the command line and the docs read it here.
"""

import dataclasses
import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gossipnet.errors import BadInput
from gossipnet.settings import Check


def option(default: Any, where: str, help: str, check: Check, flag: bool = False, also: tuple[str, ...] = ()) -> Any:
    """A field that is an option. `where` is its section.key in a file; with `flag` the commands have it too.

    `also`: what people look for elsewhere and is a part of this one.
    """
    section, key = where.split(".")
    metadata = {"section": section, "key": key, "help": help, "check": check, "flag": flag, "also": also}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Option:
    """One field, as files, commands and docs see it."""

    name: str  # of the field
    section: str
    key: str
    default: Any
    help: str
    check: Check
    flag: bool  # whether the commands have it as an option of its own
    also: tuple[str, ...] = ()

    @property
    def dotted(self) -> str:
        """`section.key`, as in `--set`."""
        return f"{self.section}.{self.key}"

    @property
    def switch(self) -> str:
        """`--local-steps`."""
        return "--" + self.name.replace("_", "-")

    @property
    def literal(self) -> str:
        """The default, as TOML."""
        return json.dumps(list(self.default) if isinstance(self.default, tuple) else self.default)

    def admit(self, value: Any, where: str) -> Any:
        """The value to keep. Raises BadInput that begins with `where`."""
        try:
            return self.check.admit(value)
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from error

    def read(self, text: str, where: str) -> Any:
        """The value that `text` stands for. Raises BadInput that begins with `where`."""
        return self.admit(self.check.from_text(text), where)


def options_of(kind: type) -> tuple[Option, ...]:
    """The options of a dataclass, in the order of its fields."""
    return tuple(Option(name=f.name, default=f.default, **f.metadata) for f in dataclasses.fields(kind))


def find_option(options: Sequence[Option], dotted: str) -> Option:
    """The option of that section.key. Raises BadInput that names the closest one."""
    for known in options:
        if known.dotted == dotted:
            return known
    raise no_option(options, dotted)


def no_option(options: Sequence[Option], got: str) -> BadInput:
    """A BadInput that names the option that `got` most likely means, in whatever section that is."""
    section, _, key = got.replace("-", "_").rpartition(".")
    here = {o.key: o.dotted for o in options if o.section == section}
    anywhere = {n: o.dotted for o in reversed(options) for n in (*o.also, o.key, o.name)}
    close = [known[n] for known in (here, anywhere) for n in difflib.get_close_matches(key, known, n=1)]
    meant = anywhere.get(key) or next(iter(close), None)
    hint = f"did you mean {meant!r}? " if meant else ""
    return BadInput(f"no option {got!r}; {hint}`gossipnet list options` shows all")
