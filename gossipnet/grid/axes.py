"""What a grid varies: an axis is an option of the experiment, or several at once, and the values that it takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gossipnet.config import options
from gossipnet.errors import BadInput, unknown
from gossipnet.options import Option, find_option, no_option
from gossipnet.settings import wrong

PLURALS = {
    "topologies": "topology",
    "mixings": "mixing",
    "merges": "merge",
    "splits": "partition",
    "partitions": "partition",
    "inits": "init",
    "seeds": "seed",
    "tasks": "task",
    "models": "model",
    "codecs": "codec",
    "optimizers": "optimizer",
    "schedules": "schedule",
    "quorums": "quorum",
}
TOGETHER = {"networks": "network", "variants": "variant"}  # axes whose points are several settings at once


@dataclass(frozen=True)
class Point:
    """One value of an axis: what it is called, and the fields of `Experiment` that it sets."""

    label: str
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """`name` is a field of `Experiment`, or "network" or "variant"; `points` are distinct and at least one."""

    name: str
    points: tuple[Point, ...]

    @property
    def varies(self) -> bool:
        return len(self.points) > 1

    @property
    def fields(self) -> frozenset[str]:
        """The fields of `Experiment` that it sets."""
        return frozenset(field for point in self.points for field in point.changes)


def read_axis(key: str, value: Any) -> Axis:
    """The axis that a key of [grid] says; a single value is an axis of one point. Raises BadInput."""
    plural = key in PLURALS or key in TOGETHER
    if plural and not isinstance(value, list):
        raise BadInput(f"{key}: got {value!r}, expected a list, as in {key} = [{_toml(value)}]")
    values = value if isinstance(value, list) else [value]
    if not values:
        raise BadInput(f"{key}: got an empty list, expected at least one value")
    if key in TOGETHER:
        points = [_together(key, number, item) for number, item in enumerate(values, start=1)]
        return Axis(TOGETHER[key], _distinct(key, points))
    known = find_axis(key)
    points = [_point(known, key, item) for item in values]
    return Axis(known.name, _distinct(key, points))


def find_axis(key: str) -> Option:
    """The option that a key of [grid] means: a plural, a field or a TOML key. Raises BadInput with the nearest."""
    name = PLURALS.get(key, key.replace("-", "_"))
    for known in options():
        if known.name == name != "name":
            return known
    if "." in key:
        return find_option(options(), key)
    close = unknown("key of [grid]", key, (*PLURALS, *TOGETHER, *(o.name for o in options() if o.name != "name")))
    hint = str(close).partition(";")[2].partition(" known:")[0].strip()
    if hint:
        raise BadInput(f"no key {key!r} in [grid]; {hint} Any option of `gossipnet list options` may be one")
    raise no_option(options(), key)


def _point(known: Option, where: str, value: Any) -> Point:
    admitted = known.admit(value, where)
    return Point(text_of(value), {known.name: admitted})


def _together(key: str, number: int, item: Any) -> Point:
    """A table of settings with a name; those of `networks` are keys of [network], and a text is a preset."""
    where = f"{key}, {number}"
    if isinstance(item, str) and key == "networks":
        item = {"name": item, "preset": item}
    if not isinstance(item, Mapping):
        raise BadInput(f"{where}: {wrong(item, 'a table of settings, as in {drop_rate = 0.1}')}")
    held = {k: v for k, v in _flat(item).items() if k != "name"}
    changes: dict[str, Any] = {}
    for k, value in held.items():
        known = find_option(options(), f"network.{k}") if key == "networks" else find_axis(k)
        changes[known.name] = known.admit(value, f"{where}, {k}")
    said = ",".join(f"{k.rpartition('.')[2]}={text_of(v)}" for k, v in held.items())
    label = item.get("name", said or "plain")
    if not isinstance(label, str) or not 0 < len(label) <= 60:
        raise BadInput(f"{where}, name: {wrong(label, 'a text of at most 60 characters')}")
    return Point(label, changes)


def _flat(item: Mapping[str, Any]) -> dict[str, Any]:
    """An unquoted dotted key is a table in TOML: {network = {drop_rate = 0.1}} is "network.drop_rate" again."""
    found: dict[str, Any] = {}
    for k, v in item.items():
        found.update({f"{k}.{inner}": value for inner, value in v.items()} if isinstance(v, Mapping) else {k: v})
    return found


def _distinct(key: str, points: Sequence[Point]) -> tuple[Point, ...]:
    seen: set[str] = set()
    for point in points:
        if point.label in seen:
            raise BadInput(f"{key}: got {point.label!r} twice, expected every value once")
        seen.add(point.label)
    return tuple(points)


def text_of(value: Any) -> str:
    """A value as a label and as a cell of a table."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.12g}"  # as many digits as tell two values apart
    if isinstance(value, (list, tuple)):
        return ",".join(map(text_of, value))
    return str(value)


def _toml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else text_of(value)
