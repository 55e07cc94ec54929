"""A grid's file: sections of an experiment that all cells share, and [grid] with what varies.

[grid]                                   # or [[grid]] several times: parts with axes of their own
topologies = ["ring", "regular:d=4"]     # a list is an axis, any other value is one for all cells
seeds = [0, 1, 2]
"training.lr" = [0.05, 0.1]

[training]                               # as in an experiment's file
rounds = 100
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gossipnet import toml_file
from gossipnet.config import SECTIONS, options
from gossipnet.errors import BadInput, unknown
from gossipnet.grid.axes import TOGETHER, Axis, find_axis, read_axis, text_of
from gossipnet.grid.plan import BASELINES, Grid, Part
from gossipnet.options import find_option
from gossipnet.settings import Choice, wrong
from gossipnet.toml_file import Given

WORLDS = ("sim", "live")
LONGEST_ABOUT = 1000
_SAID = ("name", "about", "world", "baselines", "leave_out")  # keys of [grid] that are no axis


def read_grid(source: str | Path, name: str = "grid") -> Grid:
    """The grid of a file, or of TOML text; `name` is used if the file has none. Raises BadInput with file and line."""
    fixed: dict[str, Any] = {}
    tables: list[tuple[str, list[Given]]] = []  # of each part: its place, its keys
    shared: list[Given] = []  # keys of [grid]
    for given in toml_file.read(source):
        if given.section == "grid" and given.key:
            shared.append(given)
        elif (given.section, given.key) == ("", "grid"):
            tables = list(_several(given))
        elif given.section and not given.key:
            if given.section not in (*SECTIONS, "grid"):
                raise BadInput(f"{given.place}{unknown('section', given.section, (*SECTIONS, 'grid'))}")
        else:
            _fix(given, fixed)
    place = f"{source}: " if toml_file.is_path(source) else ""
    if not shared and not tables:
        raise BadInput(f"{place}nothing varies: expected a section [grid], as in [grid] seeds = [0, 1, 2]")
    stem = Path(source).stem if toml_file.is_path(source) else name
    parts = [_part(where, keys, fixed, stem, i) for i, (where, keys) in enumerate(tables or [(place, shared)])]
    _check_names(parts, place)
    return Grid(stem, _joined(parts), tuple(parts))


def _joined(parts: list[Part]) -> str:
    return parts[0].about if len(parts) == 1 else ""


def _several(given: Given) -> Iterator[tuple[str, list[Given]]]:
    """The tables of [[grid]], each as its keys."""
    if not isinstance(given.value, list) or not all(isinstance(t, dict) for t in given.value):
        raise BadInput(f"{given.place}grid is a section: write [grid] and its keys below")
    for number, table in enumerate(given.value, start=1):
        place = f"{given.place}[[grid]] {number}: "
        yield place, [Given("grid", key, value, place) for key, value in table.items()]


def _fix(given: Given, fixed: dict[str, Any]) -> None:
    try:
        if not given.section:
            raise unknown("section", given.key, (*SECTIONS, "grid"))
        known = find_option(options(), given.dotted)
    except BadInput as error:
        raise BadInput(f"{given.place}{error}") from error
    fixed[known.name] = known.admit(given.value, f"{given.place}{known.dotted}")


def _part(place: str, keys: list[Given], fixed: Mapping[str, Any], stem: str, i: int) -> Part:
    said: dict[str, Given] = {}
    axes: list[Axis] = []
    for given in keys:
        if given.key in _SAID:
            said[given.key] = given
            continue
        for key, value in _dotted(given):
            try:
                axes.append(read_axis(key, value))
            except BadInput as error:
                raise BadInput(f"{given.place}{error}") from error
            _check_once(axes, given)
    return Part(
        name=_name(said["name"]) if "name" in said else stem if not i else f"{stem}-{i + 1}",
        about=_text(said["about"]) if "about" in said else "",
        axes=tuple(axes),
        fixed=dict(fixed),
        baselines=_baselines(said["baselines"]) if "baselines" in said else BASELINES,
        world=_world(said["world"]) if "world" in said else "sim",
        leave_out=tuple(_leave_out(said["leave_out"], axes)) if "leave_out" in said else (),
    )


def _dotted(given: Given) -> list[tuple[str, Any]]:
    """Unquoted `training.lr = [...]` below [grid] is in a table to TOML; it means "training.lr"."""
    if isinstance(given.value, dict) and given.key in SECTIONS:
        return [(f"{given.key}.{key}", inner) for key, inner in given.value.items()]
    return [(given.key, given.value)]


def _check_once(axes: list[Axis], given: Given) -> None:
    twice = {field for axis in axes[:-1] for field in axis.fields} & axes[-1].fields
    if twice:
        raise BadInput(f"{given.place}{given.key}: {min(twice)} is set by another key of [grid], expected one of them")


def _name(given: Given) -> str:
    text = _text(given)
    if not text or len(text) > 60:
        raise BadInput(f"{given.place}name: {wrong(text, 'a text of 1 to 60 characters')}")
    return text


def _text(given: Given) -> str:
    if not isinstance(given.value, str) or len(given.value) > LONGEST_ABOUT:
        raise BadInput(f"{given.place}{given.key}: {wrong(given.value, 'a text')}")
    return given.value


def _world(given: Given) -> str:
    try:
        return Choice(WORLDS).admit(given.value)
    except BadInput as error:
        raise BadInput(f"{given.place}world: {error}") from error


def _baselines(given: Given) -> tuple[str, ...]:
    """A list of names, `true` for all, `false` for none."""
    if isinstance(given.value, bool):
        return BASELINES if given.value else ()
    if not isinstance(given.value, list):
        raise BadInput(f"{given.place}baselines: {wrong(given.value, 'true, false or a list of names')}")
    for name in given.value:
        if name not in BASELINES:
            raise BadInput(f"{given.place}{unknown('baseline', str(name), BASELINES)}")
    return tuple(dict.fromkeys(given.value))


def _leave_out(given: Given, axes: list[Axis]) -> list[dict[str, frozenset[str]]]:
    if not isinstance(given.value, list) or not all(isinstance(item, dict) and item for item in given.value):
        raise BadInput(f'{given.place}leave_out: expected a list of tables, as in [{{merges = "average", nodes = 7}}]')
    labels = {axis.name: {point.label for point in axis.points} for axis in axes}
    return [{k: v for key, value in item.items() for k, v in _left(given, key, value, labels)} for item in given.value]


def _left(given: Given, key: str, value: Any, labels: Mapping[str, set[str]]) -> Iterator[tuple[str, frozenset[str]]]:
    """One key of a table of leave_out: its axis, and the labels that are meant."""
    try:
        axis = TOGETHER.get(key) or (key if key in labels else find_axis(key).name)
        if axis not in labels:
            raise BadInput(f"leave_out: {key} does not vary here, expected one of {', '.join(labels) or 'nothing'}")
        meant = frozenset(text_of(v) for v in (value if isinstance(value, list) else [value]))
        for label in meant - labels[axis]:
            raise unknown(f"value of {key}", label, labels[axis])
    except BadInput as error:
        raise BadInput(f"{given.place}{error}") from error
    yield axis, meant


def _check_names(parts: list[Part], place: str) -> None:
    names = [part.name for part in parts]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"{place}two parts are called {name!r}: give each [[grid]] a name of its own")
