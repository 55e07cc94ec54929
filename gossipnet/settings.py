"""What values one option of an experiment may have, and how each is read from text.

Every field of `Experiment` carries one of these checks. A check says in words what it expects (`expected`), turns
text from a command line into a value (`from_text`, which never raises) and admits or refuses a value (`admit`).
`admit` is strict: TOML has types, so `nodes = 8.0` is a slip and not a number of nodes.
"""

import importlib
import math
import numbers
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gossipnet.errors import BadInput, unknown
from gossipnet.registry import Registry, split_name

LONGEST_TEXT = 1000  # of one value; a message that quotes it stays readable
LARGEST_INT = 2**63 - 1  # the largest integer that TOML promises to carry

# what `gossipnet list` calls it -> where its registry lives
REGISTRIES = {
    "merges": ("gossipnet.merge", "merge_rules"),
    "topologies": ("gossipnet.topology", "topologies"),
    "mixings": ("gossipnet.topology", "mixings"),
    "codecs": ("gossipnet.codec", "codecs"),
    "tasks": ("gossipnet.data.task", "tasks"),
    "models": ("gossipnet.data.models", "models"),
    "partitions": ("gossipnet.data.partition", "partitions"),
    "optimizers": ("gossipnet.training.optimizer", "optimizers"),
    "schedules": ("gossipnet.training.schedule", "schedules"),
    "speeds": ("gossipnet.sim.speeds", "speeds"),
    "churns": ("gossipnet.sim.churn", "churns"),
}

# Names that are good as they stand: to look them up would import torch, for seconds, into a launcher that needs none.
PLAIN = {
    "merges": {"average", "variance-corrected", "sign-aligned"},
    "codecs": {"float32", "float16", "bfloat16"},
    "tasks": {"digits", "mnist", "fashion-mnist", "cifar10", "california-housing"},
    "models": {"logistic", "mlp", "lenet5", "cnn", "resnet18", "transformer"},
    "partitions": {"iid"},
    "optimizers": {"sgd", "adamw"},
    "schedules": {"constant", "step", "cosine", "warmup-cosine"},
    "speeds": {"same", "log-normal", "uniform", "stragglers"},
    "churns": {"none", "log-normal", "crashes"},
}


def is_plain(plural: str, text: str) -> bool:
    """Whether a name of this package stands there alone, which needs no check."""
    return text in PLAIN.get(plural, ())


def registry(plural: str) -> Registry[Any]:
    """The registry that `gossipnet list` calls so ("merges"); imports it, which may import torch."""
    if plural not in REGISTRIES:
        raise unknown("list of", plural, REGISTRIES)
    module, name = REGISTRIES[plural]
    found: Registry[Any] = getattr(importlib.import_module(module), name)
    return found


def names(plural: str) -> list[str]:
    """All that an option of that registry can name, the catalogue of topologies included."""
    if plural == "topologies":
        return [*importlib.import_module("gossipnet.topology").known_topologies()]
    return registry(plural).names()


class Check(Protocol):
    """What one option may be."""

    @property
    def expected(self) -> str:
        """The values in words, as in "got 0, expected a whole number >= 1"."""

    def from_text(self, text: str) -> Any:
        """The value that `text` stands for, or `text` itself, which `admit` then refuses. Never raises."""

    def admit(self, value: Any) -> Any:
        """The value to keep. Raises BadInput that does not name the option: the caller knows how it was spelled."""


@dataclass(frozen=True)
class Whole:
    """An integer in [low, high]. True, 8.0 and "8" are none."""

    low: int
    high: int = 2**31 - 1

    @property
    def expected(self) -> str:
        limits = f">= {self.low}" if self.high >= 2**31 - 1 else f"from {self.low} to {self.high}"
        return f"a whole number {limits}"

    def from_text(self, text: str) -> Any:
        return int(text) if re.fullmatch(r"\s*[+-]?[0-9]{1,30}\s*", text) else text

    def admit(self, value: Any) -> int:
        if not _is(value, numbers.Integral) or not self.low <= value <= self.high:
            raise wrong(value, self.expected)
        return int(value)


@dataclass(frozen=True)
class Number:
    """A finite number in [low, high], or in (low, high] with `above`. nan and inf are none."""

    low: float
    above: bool = False
    high: float = 1e9

    @property
    def expected(self) -> str:
        limits = f"{'>' if self.above else '>='} {self.low:g}"
        return f"a finite number {limits}" if self.high >= 1e9 else f"a number {limits} and <= {self.high:g}"

    def from_text(self, text: str) -> Any:
        try:
            return float(text)
        except ValueError:
            return text

    def admit(self, value: Any) -> float:
        if not _is(value, numbers.Real):
            raise wrong(value, self.expected)
        if self.high < value < math.inf:  # integers too large for a float compare well
            raise wrong(value, f"at most {self.high:g}")
        if not self.low <= value < math.inf or (self.above and value == self.low):  # nan fails every comparison
            raise wrong(value, self.expected)
        return float(value)


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        *most, last = map(repr, self.words)
        return f"{', '.join(most)} or {last}"

    def from_text(self, text: str) -> str:
        return text

    def admit(self, value: Any) -> str:
        if not isinstance(value, str) or len(value) > LONGEST_TEXT:
            raise wrong(value, self.expected)
        if value not in self.words:
            raise unknown("such choice", value, self.words)
        return value


@dataclass(frozen=True)
class YesNo:
    """True or false, in text of any case; 1 and "yes" are neither."""

    expected: str = "true or false"

    def from_text(self, text: str) -> Any:
        return {"true": True, "false": False}.get(text.strip().lower(), text)

    def admit(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise wrong(value, self.expected)
        return value


@dataclass(frozen=True)
class WordOr:
    """A word that stands for "decide yourself", or a value."""

    word: str
    otherwise: Check

    @property
    def expected(self) -> str:
        return f"{self.word!r} or {self.otherwise.expected}"

    def from_text(self, text: str) -> Any:
        return text if text == self.word else self.otherwise.from_text(text)

    def admit(self, value: Any) -> Any:
        if isinstance(value, str) and value == self.word:
            return value
        try:
            return self.otherwise.admit(value)
        except BadInput:
            raise wrong(value, self.expected) from None


@dataclass(frozen=True)
class Text:
    """A text that a pattern matches as a whole."""

    pattern: str
    expected: str

    def from_text(self, text: str) -> str:
        return text

    def admit(self, value: Any) -> str:
        if not isinstance(value, str) or len(value) > LONGEST_TEXT or not re.fullmatch(self.pattern, value):
            raise wrong(value, self.expected)
        return value


@dataclass(frozen=True)
class Registered:
    """A name in a registry with its options, `"regular:d=4"`; a `file.py:name` is kept with its absolute path."""

    plural: str  # what `gossipnet list` calls the registry
    optional: bool = False  # "" is allowed

    @property
    def expected(self) -> str:
        return f"a name that `gossipnet list {self.plural}` shows, or file.py:NAME"

    def from_text(self, text: str) -> str:
        return text

    def admit(self, value: Any) -> str:
        if value == "" and self.optional:
            return ""
        if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_TEXT:
            raise wrong(value, self.expected)
        if self.plural == "topologies":
            return _graph(value)
        if is_plain(self.plural, value):
            return value
        known = registry(self.plural)
        text = _absolute_path(known.absolute(value))
        if self.plural in ("tasks", "models"):  # these may also be plain functions of the user's
            importlib.import_module("gossipnet.data.own").find(known, text)
        else:
            known.parse(text)
        return text


def _absolute_path(text: str) -> str:
    """The same text with the file of an option `path=` made absolute, if that is where it is and can be said."""

    def replace(option: re.Match[str]) -> str:
        path = str(Path(option[1]).resolve())
        return f"path={path}" if Path(path).is_file() and not set(path) & set(",=") else option[0]

    return re.sub(r"(?<=[:,])path=([^,]+)", replace, text)


def _graph(text: str) -> str:
    """A topology may also be a file, a name of the catalogue or a generator of networkx; making it checks those."""
    known: Any = importlib.import_module("gossipnet.topology")
    text = known.absolute(text)
    name = split_name(text)[0]
    if name.endswith(".py") or name in known.topologies.names():
        known.topologies.parse(text)
    elif not (Path(text).is_absolute() or name.startswith("networkx.") or name in known.known_topologies()):
        raise unknown("topology", name, known.known_topologies())
    return text


@dataclass(frozen=True)
class Several:
    """A list, each item of which passes `each`; in text the items are separated by commas, in brackets or not."""

    each: Check
    expected: str

    def from_text(self, text: str) -> Any:
        listed = re.fullmatch(r"\s*\[(.*)\]\s*", text)
        items = (item.strip().strip("\"'") for item in (listed[1] if listed else text).split(","))
        return tuple(self.each.from_text(item) for item in items if item)

    def admit(self, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            raise wrong(value, self.expected)
        return tuple(self.each.admit(item) for item in value)


def _is(value: Any, kind: type) -> bool:
    """Whether a value is a number of that kind, numpy's among them; True is none."""
    return isinstance(value, kind) and not isinstance(value, bool)


def wrong(value: Any, expected: str) -> BadInput:
    """A BadInput that says what was got, in at most 80 characters, and what was expected."""
    if isinstance(value, int) and value.bit_length() > 256:  # Python refuses to print the longest ones
        got = f"an integer of {value.bit_length()} bits"
    else:
        got = repr(value) if isinstance(value, (str, int, float)) else f"{type(value).__name__} {value!r}"
    return BadInput(f"got {got if len(got) <= 80 else got[:77] + '...'}, expected {expected}")
