"""Which topology to use: those that no other beats in both traffic and spectral gap are simulated for a few rounds.

Recommended is the one that sends least among those that reach the accuracy in nearly the least time. Swarms of more
than SWEEP_NODES nodes are simulated with that many: graphs that mix much slower at the true size are not recommended.
"""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gossipnet.config import Experiment
from gossipnet.errors import BadInput, RunFailed, RunInterrupted
from gossipnet.grid.check import check_cells
from gossipnet.grid.compare import Setting, main_threshold, settings
from gossipnet.grid.interval import Interval
from gossipnet.grid.plan import Cell
from gossipnet.grid.records import records
from gossipnet.grid.run import View, outcomes, run_cells
from gossipnet.report import units
from gossipnet.report.tables import aligned
from gossipnet.topology import Topology, files, make_topology
from gossipnet.topology.describe import warnings

FAMILIES = (
    "ring",
    "complete",
    "star",
    "tree",
    "torus",
    "hypercube",
    "regular:d=3",
    "regular:d=4",
    "regular:d=6",
    "regular:d=8",
    "regular:d=16",
    "small-world:k=4,p=0.2",
    "scale-free:m=2",
    "exponential",
    "one-peer-exponential",
)  # of two that are alike the first is taken
SWEEP_NODES = 64
NEAR_TIME = 1.25  # of the least time: who is faster than that is not worth its traffic
NEAR_ACCURACY = 0.01
SLOWER = 4.0  # times as many rounds to agree as in the sweep: too slow at the true size
LARGEST_COMPLETE = 128
TENTH_ROUNDS_MOST = 1e9


@dataclass(frozen=True)
class Candidate:
    """A topology at its true size. `fanout`: models that a node sends in a round, mean over nodes and rounds."""

    text: str
    topology: Topology
    fanout: float
    gap: float
    slower: float = 1.0  # rounds to agree, times those of the graph that was simulated


@dataclass(frozen=True)
class Measured:
    """A candidate and its sweep; figures are over seeds, traffic is scaled to the true fanout."""

    candidate: Candidate
    setting: Setting
    scale: float

    def to(self, target: float | None, what: str) -> float | None:
        found = self.setting.to(target, what) if target is not None else None
        if found is None or found.n < self.setting.asked:
            return None
        return found.mean * (self.scale if what == "bytes_sent" else 1.0)

    @property
    def accuracy(self) -> Interval | None:
        return self.setting.figure("mean_accuracy")


@dataclass(frozen=True)
class Advice:
    """What came out. `best` is the recommended one of `measured`; `nodes` were asked for, `swept` were simulated."""

    nodes: int
    swept: int
    rounds: int
    target: float | None
    measured: tuple[Measured, ...]
    best: Measured
    left_out: tuple[Candidate, ...]  # beaten by others without a simulation

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "nodes": self.nodes,
            "simulated_nodes": self.swept,
            "rounds": self.rounds,
            "target": self.target,
            "recommended": self._line(self.best),
            "candidates": [self._line(m) for m in self.measured],
            "not_simulated": [{"topology": c.text, "fanout": c.fanout, "spectral_gap": c.gap} for c in self.left_out],
            "warnings": warnings(self.best.candidate.topology),
        }

    def _line(self, m: Measured) -> dict[str, Any]:
        return {
            "topology": m.candidate.text,
            "fanout": m.candidate.fanout,
            "spectral_gap": m.candidate.gap,
            "rounds": m.to(self.target, "round"),
            "time_s": m.to(self.target, "time_s"),
            "bytes_per_node": m.to(self.target, "bytes_sent"),
            "accuracy": m.accuracy.mean if m.accuracy else None,
            "mixes_slower": m.candidate.slower,
        }

    def __str__(self) -> str:
        """A table, the cheapest first, and the recommendation with its reason."""
        return f"{self.table()}\n\n{self.reason()}"

    def table(self) -> str:
        at = "" if self.target is None else f" to {_exactly(self.target)}"
        head = ["topology", "fanout", "spectral gap", f"rounds{at}", f"time{at}", f"sent per node{at}", "accuracy"]
        return aligned([head, *(self._cells(m) for m in self.measured)])

    def _cells(self, m: Measured) -> list[str]:
        never = "never" if self.target is not None else units.DASH
        to = [m.to(self.target, what) for what in ("round", "time_s", "bytes_sent")]
        shows = (units.count, units.seconds, units.data)
        said = [never if v is None else show(v) for v, show in zip(to, shows, strict=True)]
        c, accuracy = m.candidate, m.accuracy
        return [c.text, f"{c.fanout:.3g}", f"{c.gap:.3g}", *said, units.percent(accuracy.mean if accuracy else None)]

    def reason(self) -> str:
        """Why, in a few lines; the command to use it last."""
        best, c = self.best, self.best.candidate
        lines = [f"recommended: {c.text}, fanout {c.fanout:.3g} (models that a node sends in a round)"]
        time_s, sent = best.to(self.target, "time_s"), best.to(self.target, "bytes_sent")
        if time_s is not None and self.target is not None:
            rounds, accuracy = units.count(best.to(self.target, "round")), _exactly(self.target)
            spent = f"{units.seconds(time_s)} and {units.data(sent)} sent by each node"
            lines.append(f"expected: {accuracy} accuracy after {rounds} round{'' if rounds == '1' else 's'}, {spent}")
            lines += self._faster(time_s, sent or 0.0)
        else:
            what = "no accuracy worth asking for" if self.target is None else f"{_exactly(self.target)} accuracy"
            not_ = "" if self.target is None else " not"
            lines.append(f"{what} was{not_} reached in {self.rounds} rounds: chosen by what was")
        if self.swept < self.nodes:
            slow = f"those that mix {SLOWER:g} times slower with {self.nodes:,} are not recommended"
            lines.append(f"simulated with {self.swept} nodes; {slow}")
        lines += [f"warning: {text}" for text in warnings(c.topology)]
        return "\n".join(lines)

    def _faster(self, time_s: float, sent: float) -> list[str]:
        """Who is faster, and at what price."""
        said = []
        for m in self.measured:
            other, theirs = m.to(self.target, "time_s"), m.to(self.target, "bytes_sent")
            if other is not None and theirs is not None and other < time_s * 0.98 and sent:
                gain = f"{100 * (1 - other / time_s):.0f} % faster"
                said.append(f"{m.candidate.text} is {gain} and sends {theirs / sent:.2g} times as much")
        return said[:3]


def _exactly(accuracy: float) -> str:
    """A target as it was asked for: 0.999 is not 100%."""
    return f"{100 * accuracy:.6g}%"


def advise(
    experiment: Experiment,
    view: View,
    jobs: int,
    asked: Sequence[str] = (),
    target: float | None = None,
    seeds: int = 1,
) -> Advice:
    """Simulate `experiment` on candidate topologies (or those that are `asked` for) and recommend one.

    Raises BadInput, RunFailed if no candidate finishes, RunInterrupted after Ctrl-C.
    """
    found = candidates(experiment, asked)
    kept = found if asked else undominated(found)
    sweep = [(c, _swept(c, experiment)) for c in kept]
    cells = [_cell(c, e, seed) for c, e in sweep for seed in range(experiment.seed, experiment.seed + seeds)]
    check_cells(cells, lambda cell, error: BadInput(f"on {cell.place['topology']}: {error}"))
    with tempfile.TemporaryDirectory(prefix="gossipnet-advise-") as folder:
        if not run_cells(Path(folder), cells, jobs, view):
            raise RunInterrupted(None)
        held = records(cells, outcomes(Path(folder), cells))
    by_text = {s.place["topology"]: s for s in settings("advise", held)}
    measured = [_measured(c, by_text[c.text], e) for c, e in sweep if by_text[c.text].outcomes]
    if not measured:
        errors = [r.outcome.error for r in held if r.outcome is not None and r.outcome.error]
        raise RunFailed(f"no topology could be simulated: {errors[0] if errors else 'for no known reason'}")
    goal = target if target is not None else main_threshold([m.setting for m in measured])
    measured.sort(key=lambda m: (m.candidate.fanout, -m.candidate.gap))
    left_out = tuple(c for c in found if c not in kept)
    swept = max(e.nodes for _, e in sweep)
    return Advice(experiment.nodes, swept, experiment.rounds, goal, tuple(measured), best_of(measured, goal), left_out)


def candidates(experiment: Experiment, asked: Sequence[str] = ()) -> list[Candidate]:
    """Every family that has a graph of that many nodes, those alike once. Raises BadInput for an asked one."""
    found: list[Candidate] = []
    for text in dict.fromkeys(asked or FAMILIES):
        if text == "complete" and not asked and experiment.nodes > LARGEST_COMPLETE:
            continue
        try:
            made = _make(text, experiment.nodes, experiment)
        except BadInput:
            if asked:
                raise
            continue
        one = Candidate(text, made, fanout(made), made.spectral_gap)
        if asked or not any(_alike(one, other) for other in found):
            found.append(one)
    return found


def _alike(a: Candidate, b: Candidate) -> bool:
    """The same traffic and the same gap: a torus of 4 x 4 is a hypercube."""
    same_kind = (a.topology.period > 1) == (b.topology.period > 1)
    return same_kind and abs(a.fanout - b.fanout) < 1e-9 and abs(a.gap - b.gap) < 1e-9


def _make(text: str, nodes: int, experiment: Experiment) -> Topology:
    return make_topology(text, n=nodes, seed=experiment.seed, mixing=experiment.mixing)


def fanout(topology: Topology) -> float:
    """Models that a node sends in a round, mean over nodes and rounds."""
    both = 1 if topology.directed else 2
    return both * sum(map(len, topology.rounds)) / topology.n / topology.period


def undominated(found: Sequence[Candidate]) -> list[Candidate]:
    """Those that no other beats: none sends less, or as little, and has a larger gap.

    Graphs that change per round are compared among themselves: their gap is that of a period's product, which says less
    of the rounds in between.
    """
    return [c for c in found if not any(_beats(other, c) for other in found)]


def _beats(a: Candidate, b: Candidate) -> bool:
    if (a.topology.period > 1) != (b.topology.period > 1):
        return False
    no_worse = a.fanout <= b.fanout + 1e-9 and a.gap >= b.gap - 1e-9
    return no_worse and (a.fanout < b.fanout - 1e-9 or a.gap > b.gap + 1e-9)


def _swept(candidate: Candidate, experiment: Experiment) -> Experiment:
    """The experiment on that topology, with at most SWEEP_NODES nodes unless the graph is a fixed one."""
    fixed = files.is_file(candidate.text) or files.in_catalogue(candidate.text)
    nodes = experiment.nodes if fixed else min(experiment.nodes, SWEEP_NODES)
    every = experiment.evaluate_every or 1
    return experiment.replace(topology=candidate.text, nodes=nodes, evaluate_every=every)


def _cell(candidate: Candidate, experiment: Experiment, seed: int) -> Cell:
    place = {"topology": candidate.text, "seed": str(seed)}
    return Cell("advise", "", "sim", place, experiment.replace(seed=seed))


def _measured(candidate: Candidate, setting: Setting, swept: Experiment) -> Measured:
    if swept.nodes == candidate.topology.n:
        return Measured(candidate, setting, 1.0)
    small = _make(candidate.text, swept.nodes, swept)
    slower = _tenth(candidate.topology) / _tenth(small)
    scaled = Candidate(candidate.text, candidate.topology, candidate.fanout, candidate.gap, slower)
    return Measured(scaled, setting, candidate.fanout / fanout(small))


def _tenth(topology: Topology) -> float:
    """Rounds to shrink disagreement tenfold, as a real number."""
    gap = topology.spectral_gap
    return (
        1.0 if gap >= 1 else min(TENTH_ROUNDS_MOST, -math.log(10) / math.log(1 - gap)) if gap > 0 else TENTH_ROUNDS_MOST
    )


def best_of(measured: Sequence[Measured], target: float | None) -> Measured:
    """The one to recommend; see the head of this file. Where none reaches the target, the most accurate ones count."""
    scaling = [m for m in measured if m.candidate.slower <= SLOWER] or list(measured)
    timed = [(t, m) for m in scaling if (t := m.to(target, "time_s")) is not None]
    if timed:
        least = min(t for t, _ in timed)
        return min((m for t, m in timed if t <= NEAR_TIME * least), key=lambda m: _price(m, target))
    known = [(m.accuracy.mean, m) for m in scaling if m.accuracy]
    if not known:
        return min(scaling, key=lambda m: (-m.candidate.gap, m.candidate.fanout))
    top = max(accuracy for accuracy, _ in known)
    return min((m for accuracy, m in known if accuracy >= top - NEAR_ACCURACY), key=lambda m: _price(m, None))


def _price(m: Measured, target: float | None) -> tuple[float, float]:
    """Bytes to the target, else per round; the larger gap among equals."""
    return (m.to(target, "bytes_sent") or m.candidate.fanout, -m.candidate.gap)
