"""From a grid to its cells: every combination of what varies is one run, and beside them run the baselines.

Baselines learn from the same samples, split in the same way, and exchange nothing over any graph:

- `isolated`: every node trains alone.
- `fedavg`: after each round all nodes take the plain mean of all models, from a common start; `fedavg-own`: from own
  starts. With equal weights that is gossip on the complete graph with mixing `uniform` (W = 1/n).
- `centralized`: one model, all samples, as many local steps, each on the batches of all nodes together. Its samples
  per round and its steps are those of the swarm.
"""

import functools
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gossipnet.config import Experiment, fields_of
from gossipnet.errors import BadInput
from gossipnet.grid.axes import Axis, Point
from gossipnet.sim.presets import conditions

BASELINES = ("isolated", "fedavg", "fedavg-own", "centralized")
MOST_CELLS = 100_000
_SHARED = ("swarm", "task", "training", "report")  # sections that mean something to a baseline


@dataclass(frozen=True)
class Part:
    """One set of axes. `fixed` are the fields of all its cells; a cell that matches one of `leave_out` is none."""

    name: str
    about: str
    axes: tuple[Axis, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    baselines: tuple[str, ...] = BASELINES
    world: str = "sim"
    leave_out: tuple[Mapping[str, frozenset[str]], ...] = ()  # axis -> labels


@dataclass(frozen=True)
class Grid:
    """A file: its parts have distinct names."""

    name: str
    about: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Cell:
    """One run. `place` is where it stands in its part: axis -> label, of the axes that mean something to it."""

    part: str
    baseline: str  # "" for a swarm
    world: str
    place: Mapping[str, str]
    experiment: Experiment

    @functools.cached_property
    def key(self) -> str:
        """12 hex digits of all that decides the run: equal for cells of two parts that are the same run."""
        text = f"{self.world}\n{self.baseline}\n{self.experiment.to_toml()}"
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    def __str__(self) -> str:
        said = [self.baseline, *(f"{axis}={label}" for axis, label in self.place.items())]
        return " ".join(filter(None, said)) or "the only cell"

    @property
    def work(self) -> int:
        """Local steps of all nodes together, a measure of how long it takes."""
        return self.experiment.nodes * self.experiment.rounds * self.experiment.local_steps


def cells_of(grid: Grid) -> list[Cell]:
    """All cells, those of the first seed first, so that a grid that is cut short has whole tables. Raises BadInput."""
    found = [cell for part in grid.parts for cell in part_cells(part)]
    if not found:
        raise BadInput(f"grid {grid.name!r} has no cell: leave_out leaves nothing")
    seeds = list(dict.fromkeys(cell.experiment.seed for cell in found))
    return sorted(found, key=lambda cell: seeds.index(cell.experiment.seed))


def part_cells(part: Part) -> list[Cell]:
    """The cells of one part, then its baselines."""
    count = 1
    for axis in part.axes:
        count *= len(axis.points)
    if count > MOST_CELLS:
        raise BadInput(f"part {part.name!r} has {count:,} cells, expected at most {MOST_CELLS:,}: split it up")
    swarms = list(_swarms(part))
    return [*swarms, *_baselines(part, swarms)]


def _swarms(part: Part) -> Iterator[Cell]:
    for points in itertools.product(*(axis.points for axis in part.axes)):
        place = {axis.name: point.label for axis, point in zip(part.axes, points, strict=True)}
        if not any(_matches(place, left) for left in part.leave_out):
            yield Cell(part.name, "", part.world, place, _experiment(part, place, points))


def _matches(place: Mapping[str, str], left: Mapping[str, frozenset[str]]) -> bool:
    return all(place[axis] in labels for axis, labels in left.items())


def _experiment(part: Part, place: Mapping[str, str], points: Sequence[Point]) -> Experiment:
    changes = {name: value for point in points for name, value in point.changes.items()}
    try:
        return Experiment(**{**part.fixed, **changes})
    except BadInput as error:  # each value is good, but not together
        raise cannot_run(Cell(part.name, "", part.world, place, Experiment()), error) from error


def cannot_run(cell: Cell, error: BadInput) -> BadInput:
    """A BadInput that names the cell, and how a grid does without it."""
    return BadInput(f"part {cell.part!r}, cell {cell}: {error}; leave_out takes a cell out of the grid")


def _baselines(part: Part, swarms: Sequence[Cell]) -> Iterator[Cell]:
    """Once for each combination of the axes that mean something to a baseline."""
    shared = {*fields_of(*_SHARED)} - {"init"}
    network = {*fields_of("network")}
    fixed = {name: value for name, value in part.fixed.items() if name not in ("topology", "merge", "mixing", "init")}
    for kind in part.baselines:
        init = "own" if kind == "fedavg-own" else "same"
        alike = {"topology": "complete", "mixing": "uniform", "merge": "average", "init": init}
        timed = len({tuple(_times(kind, cell.experiment).values()) for cell in swarms}) > 1
        axes = [axis.name for axis in part.axes if axis.fields & (shared | network if timed else shared)]
        seen: set[tuple[str, ...]] = set()
        for cell in swarms:
            place = {axis: cell.place[axis] for axis in axes}
            if tuple(place.values()) not in seen:
                seen.add(tuple(place.values()))
                held = {name: getattr(cell.experiment, name) for name in shared}
                made = Experiment(**{**fixed, **held, **alike})
                yield Cell(part.name, kind, "sim", place, _on_time(kind, made, cell.experiment))


def _times(kind: str, experiment: Experiment) -> dict[str, float]:
    """All that the network means to a baseline: what takes time. No fault reaches one."""
    link = conditions(experiment)
    sent = {"latency_s": link.latency_s, "bandwidth_bytes_per_s": link.bandwidth_bytes_per_s}
    return {"compute_s": experiment.compute_s, **(sent if kind.startswith("fedavg") else {})}


def _on_time(kind: str, baseline: Experiment, swarm: Experiment) -> Experiment:
    """The baseline with the times of that swarm's network."""
    own = _times(kind, baseline)
    return baseline.replace(**{name: t for name, t in _times(kind, swarm).items() if t != own[name]})
