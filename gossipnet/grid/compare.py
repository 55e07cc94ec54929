"""Cells put together: the seeds of a setting, the settings that stand in one chart, the accuracies worth asking for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gossipnet.grid.cell import Outcome
from gossipnet.grid.interval import Interval, interval
from gossipnet.grid.records import Record, reached_at
from gossipnet.report.summary import THRESHOLDS

SEED = "seed"
BASELINE_NAMES = {
    "isolated": "isolated",
    "fedavg": "fedavg, common start",
    "fedavg-own": "fedavg, own starts",
    "centralized": "centralized",
}
_STARTS = {("init", "same"): "common start", ("init", "own"): "own starts"}
_LINES_FIRST = ("merge", "topology")  # the axis whose values are the curves of a chart, if it varies


@dataclass(frozen=True)
class Setting:
    """One cell apart from its seed. `outcomes`: seed -> what came out, of cells that finished."""

    part: str
    baseline: str
    place: Mapping[str, str]  # axis -> label, without the seed
    merge: str
    topology: str
    outcomes: Mapping[int, Outcome] = field(default_factory=dict)
    asked: int = 0  # seeds in the grid

    def figure(self, name: str) -> Interval | None:
        """A figure of the summary over seeds; None where no seed has it."""
        return _over(o.figures.get(name) for o in self.outcomes.values())

    def to(self, accuracy: float, what: str = "round") -> Interval | None:
        """`round`, `time_s` or `bytes_sent` to that accuracy, over the seeds that reach it."""
        return _over(reached_at(o, accuracy, what) for o in self.outcomes.values())

    def of_all(self, found: Interval | None) -> Interval | None:
        """`found` if all seeds are in it: the mean of those that got to an accuracy compares with nothing."""
        return found if found is not None and found.n == len(self.outcomes) else None

    def to_dict(self) -> dict[str, Any]:
        """As in results.json."""
        figures = ("mean_accuracy", "min_accuracy", "mean_model_accuracy", "test_loss", "consensus_distance")
        more = ("variance_kept", "spectral_gap", "bytes_per_node_round")
        said = {n: _said(self.figure(n)) for n in (*figures, *more)}
        to = {f"{t:.2f}": {w: _said(self.to(t, w)) for w in ("round", "time_s", "bytes_sent")} for t in THRESHOLDS}
        who = {"part": self.part, "baseline": self.baseline or None, **self.place, "seeds": len(self.outcomes)}
        return {**who, **said, "to_accuracy": {t: w for t, w in to.items() if w["round"] is not None}}


def _over(values: Any) -> Interval | None:
    return interval([v for v in values if v is not None])


def _said(found: Interval | None) -> dict[str, Any] | None:
    return None if found is None else {"mean": found.mean, "half": found.half, "n": found.n}


@dataclass(frozen=True)
class Panel:
    """What stands in one chart: settings that differ on the line axis alone, then baselines; names are distinct."""

    label: str
    place: Mapping[str, str]  # the axes that vary between panels
    lines: tuple[tuple[str, Setting], ...]
    baselines: tuple[tuple[str, Setting], ...]

    @property
    def all(self) -> tuple[tuple[str, Setting], ...]:
        return (*self.lines, *self.baselines)


def settings(part: str, held: Sequence[Record]) -> list[Setting]:
    """The settings of a part in the order of the grid, baselines last."""
    found: dict[tuple[Any, ...], list[Record]] = {}
    for record in held:
        if record.cell.part == part:
            place = tuple((a, label) for a, label in record.cell.place.items() if a != SEED)
            found.setdefault((record.cell.baseline, place), []).append(record)
    made = [_setting(part, baseline, dict(place), records) for (baseline, place), records in found.items()]
    return sorted(made, key=lambda s: bool(s.baseline))


def _setting(part: str, baseline: str, place: Mapping[str, str], held: Sequence[Record]) -> Setting:
    experiment = held[0].cell.experiment
    outcomes = {r.cell.experiment.seed: r.outcome for r in held if r.finished and r.outcome is not None}
    return Setting(part, baseline, place, experiment.merge, experiment.topology, outcomes, len(held))


def varying(held: Sequence[Setting]) -> list[str]:
    """The axes on which gossip settings differ."""
    swarms = [s for s in held if not s.baseline]
    axes = dict.fromkeys(axis for s in swarms for axis in s.place)
    return [axis for axis in axes if len({s.place.get(axis) for s in swarms}) > 1]


def line_axis(held: Sequence[Setting]) -> str:
    """The axis whose values are the curves of a chart: the merge, else the topology, else the first that varies."""
    axes = varying(held)
    return next((axis for axis in (*_LINES_FIRST, *axes) if axis in axes), "merge")


def panels(held: Sequence[Setting]) -> list[Panel]:
    """A panel for each combination of the axes that vary beside the line axis."""
    lines = line_axis(held)
    others = [axis for axis in varying(held) if axis != lines]
    found: dict[tuple[str, ...], list[Setting]] = {}
    for s in held:
        if not s.baseline:
            found.setdefault(tuple(s.place[axis] for axis in others), []).append(s)
    made = []
    for labels, members in found.items():
        place = dict(zip(others, labels, strict=True))
        named = tuple((s.place.get(lines, s.merge), s) for s in members)
        made.append(
            Panel(
                " · ".join(said(*pair) for pair in place.items()), place, named, tuple(_baselines(held, place, lines))
            )
        )
    return made


def said(axis: str, label: str) -> str:
    """A value as part of a title: "own starts", "32 nodes", "lr=0.1", "ring"."""
    if axis == "nodes":
        return f"{label} nodes"
    number = label.replace(".", "", 1).isdecimal() or label in ("true", "false")
    return _STARTS.get((axis, label), f"{axis}={label}" if number else label)


def _baselines(held: Sequence[Setting], place: Mapping[str, str], lines: str) -> list[tuple[str, Setting]]:
    """The baselines of the same data; named by the line axis too where it means something to them."""
    found = [s for s in held if s.baseline and all(s.place[a] == place[a] for a in s.place if a in place)]
    several = len({s.place.get(lines) for s in found}) > 1
    return [(BASELINE_NAMES[s.baseline] + (f" ({s.place[lines]})" if several else ""), s) for s in found]


def has_accuracy(held: Sequence[Setting]) -> bool:
    return any(s.figure("mean_accuracy") is not None for s in held)


def thresholds(held: Sequence[Setting], most: int = 3) -> list[float]:
    """The accuracies worth a table: the highest that some gossip setting reaches, but not all at once at the start."""
    swarms = [s for s in held if not s.baseline and s.outcomes]
    told = [t for t in THRESHOLDS if any(s.to(t) is not None for s in swarms)]
    return told[-most:]


def main_threshold(held: Sequence[Setting]) -> float | None:
    """The highest accuracy that at least half of the gossip settings reach, else the highest that any does."""
    swarms = [s for s in held if not s.baseline and s.outcomes]
    told = thresholds(held, len(THRESHOLDS))
    common = [t for t in told if 2 * sum(s.to(t) is not None for s in swarms) >= len(swarms)]
    return next(reversed(common or told), None)


def difference(a: Setting, b: Setting, figure: str = "mean_accuracy") -> Interval | None:
    """a - b of a figure, paired by seed."""
    pairs = (
        (a.outcomes[s].figures.get(figure), b.outcomes[s].figures.get(figure)) for s in a.outcomes if s in b.outcomes
    )
    return interval([x - y for x, y in pairs if x is not None and y is not None])
