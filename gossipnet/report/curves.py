"""From the reports of all nodes to one curve: mean, middle half and worst node, at rounds worth drawing."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gossipnet.report.metrics import Floats, Metrics
from gossipnet.report.run import Run

MOST_POINTS = 160  # a chart is some 440 units wide
ALL = sys.maxsize  # points, where a curve is for a table


@dataclass(frozen=True)
class Curve:
    """Each (points,) float64. `low` and `high` hold the middle half of the nodes, `worst` the worst node."""

    x: Floats
    mean: Floats
    low: Floats | None = None
    high: Floats | None = None
    worst: Floats | None = None

    @property
    def last(self) -> float:
        """The last mean that is a number, nan if none is."""
        finite = self.mean[np.isfinite(self.mean)]
        return float(finite[-1]) if finite.size else float("nan")


def over_nodes(
    run: Run, event: str, name: str, worst: Callable[[Floats], float] = np.min, most: int = MOST_POINTS
) -> Curve | None:
    """A number of every node against rounds, at most so many of them; None if no node reported it.

    While a run is going, rounds that fewer than half of the nodes have reached are left out: their mean would be
    that of the fastest nodes alone.
    """
    groups = _by_round(run.metrics, event, name)
    if not run.complete and groups:
        nodes = max(len(g) for g in groups.values())
        groups = {r: g for r, g in groups.items() if 2 * len(g) >= nodes}
    if not groups:
        return None
    x = thin(np.array(sorted(groups)), most)
    held = [groups[r] for r in x]
    low, high = np.array([np.quantile(g, [0.25, 0.75]) for g in held]).T
    return Curve(x, np.array([g.mean() for g in held]), low, high, np.array([worst(g) for g in held]))


def over_swarm(metrics: Metrics, name: str, most: int = MOST_POINTS) -> Curve | None:
    """A number of the whole swarm (event "consensus") against rounds."""
    groups = _by_round(metrics, "consensus", name)
    if not groups:
        return None
    x = thin(np.array(sorted(groups)), most)
    return Curve(x, np.array([groups[r][-1] for r in x]))


def layers(metrics: Metrics, most: int = MOST_POINTS) -> dict[str, Curve]:
    """Tensor -> its weight variance against that at the start, in the order of the model."""
    prefix = "variance_ratios/"
    names = [n for n in metrics.names("consensus") if n.startswith(prefix)]
    found = {n.removeprefix(prefix): over_swarm(metrics, n, most) for n in names}
    return {n: c for n, c in found.items() if c is not None}


def variance_kept(metrics: Metrics, most: int = MOST_POINTS) -> Curve | None:
    """Weight variance against that at the start, of the median tensor."""
    found = [(c, dict(zip(c.x, c.mean, strict=True))) for c in layers(metrics, most).values()]
    if not found:
        return None
    x = np.unique(np.concatenate([c.x for c, _ in found]))
    return Curve(x, np.array([np.median([at[r] for _, at in found if r in at]) for r in x]))


def against(curve: Curve, metrics: Metrics, event: str, name: str) -> Curve | None:
    """The same curve with the nodes' mean of another number (time, bytes) in place of rounds.

    None if that number never grows: one node alone sends nothing.
    """
    groups = _by_round(metrics, event, name)
    if not groups:
        return None
    known = np.array(sorted(groups))
    x = np.interp(curve.x, known, np.array([groups[r].mean() for r in known]))
    if not x[-1] > 0:
        return None
    return Curve(x, curve.mean, curve.low, curve.high, curve.worst)


def thin(values: Floats, most: int = MOST_POINTS) -> Floats:
    """At most `most` of the values, evenly chosen, the first and the last among them."""
    if len(values) <= most:
        return values
    return np.asarray(values[np.unique(np.linspace(0, len(values) - 1, most).round().astype(int))])


def _by_round(metrics: Metrics, event: str, name: str) -> dict[float, Floats]:
    """Round -> the values reported for it, of each node the latest: one that started again comes there twice."""
    rounds, nodes, values = (metrics.column(event, column) for column in ("round", "node", name))
    kept = np.flatnonzero(np.isfinite(rounds) & np.isfinite(values))
    kept = kept[np.lexsort((nodes[kept], rounds[kept]))]  # stable: of equal ones the latest is last
    last = (np.diff(rounds[kept], append=np.nan) != 0) | (np.diff(nodes[kept], append=np.nan) != 0)
    kept = kept[last]
    distinct, starts = np.unique(rounds[kept], return_index=True)
    return dict(zip(distinct.tolist(), np.split(values[kept], starts[1:]), strict=True)) if distinct.size else {}
