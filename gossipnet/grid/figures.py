"""The charts of a grid's page: means over seeds with their 95 % interval, and the mean of the worst nodes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from gossipnet.grid.compare import Panel, Setting, has_accuracy, line_axis, main_threshold, panels, said, varying
from gossipnet.grid.interval import interval
from gossipnet.report import units
from gossipnet.report.axis import BYTES, PLAIN, ROUND, SECONDS, SHARE, Kind
from gossipnet.report.chart import Chart, Line
from gossipnet.report.curves import Curve, thin
from gossipnet.report.metrics import Floats

Styles = Mapping[str, str]
HOW = "Mean over seeds; of gossip with a band, its 95 % interval, and a broken line, the worst node of the swarm."
LEAST_GAPS = 3


def styles(held: Sequence[Panel]) -> dict[str, str]:
    """A colour and shape for each name, the same in every chart of a part; gossip first, then baselines."""
    names = dict.fromkeys([n for p in held for n, _ in p.lines] + [n for p in held for n, _ in p.baselines])
    return {name: f"s{i}" for i, name in enumerate(names)}


def curve(setting: Setting, what: str, against: str = "round", worst: str = "") -> Curve | None:
    """A column of the cells' curves over seeds, at the rounds that all of them have; None if no seed has it.

    Baselines come as the mean alone: charts are about gossip, and seven bands hide each other.
    """
    held = [o.curve for o in setting.outcomes.values() if any(v is not None for v in o.curve.get(what, ()))]
    if not held:
        return None
    rounds = thin(np.array(sorted(set.intersection(*({*c["round"]} for c in held)), key=lambda r: r or 0.0)))
    places = [[c["round"].index(r) for c in held] for r in rounds]
    values = [[v for c, i in zip(held, at, strict=True) if (v := c[what][i]) is not None] for at in places]
    means = [interval(v) for v in values]
    x = [_mean([c[against][i] for c, i in zip(held, at, strict=True)]) for at in places]
    low, high = (np.array([getattr(m, end) if m else math.nan for m in means]) for end in ("low", "high"))
    if what == "accuracy":  # a share has ends, whatever Student says
        low, high = low.clip(0, 1), high.clip(0, 1)
    several = len(held) > 1 and not setting.baseline
    return Curve(
        np.array(x),
        np.array([m.mean if m else math.nan for m in means]),
        low if several else None,
        high if several else None,
        _worst(held, places, worst) if worst and not setting.baseline else None,
    )


def _worst(held: Sequence[Mapping[str, list[float | None]]], places: Sequence[Sequence[int]], worst: str) -> Floats:
    return np.array([_mean([c[worst][i] for c, i in zip(held, at, strict=True)]) for at in places])


def _mean(values: Sequence[float | None]) -> float:
    known = [v for v in values if v is not None]
    return math.fsum(known) / len(known) if known else math.nan


def scores(held: Sequence[Panel], style: Styles, against: str = "round") -> list[Chart]:
    """Accuracy (or test loss, if the task has none) of each panel against round, time_s or bytes_sent."""
    accurate = has_accuracy([s for panel in held for _, s in panel.lines])
    what, worst, kind = ("accuracy", "worst_accuracy", SHARE) if accurate else ("loss", "", PLAIN)
    label, x_kind = _AGAINST[against]

    def make(setting: Setting) -> Curve | None:
        found = curve(setting, what, against, worst)
        return found if found is None or found.x[-1] > 0 else None  # who sends nothing has no traffic

    title = "accuracy" if accurate else "test loss"
    made = [_chart(panel, style, title, make, kind, x_label=label, x_kind=x_kind) for panel in held]
    charts = [c for c in made if c is not None]
    return charts if accurate else [replace(c, log_above=50.0) for c in charts]


_AGAINST: Mapping[str, tuple[str, Kind]] = {
    "round": ("round", ROUND),
    "time_s": ("virtual time", SECONDS),
    "bytes_sent": ("sent per node", BYTES),
}


def agreement(held: Sequence[Panel], style: Styles) -> list[Chart]:
    """Consensus distance, weight variance kept and variance through a merge, of each panel."""
    charts = []
    for panel in held:
        far = _chart(panel, style, "consensus distance", lambda s: curve(s, "consensus_distance"), PLAIN)
        kept = _chart(panel, style, "weight variance kept", lambda s: curve(s, "variance_kept"), PLAIN)
        through = _chart(panel, style, "variance through one merge", lambda s: curve(s, "variance_ratio"), PLAIN)
        charts += [replace(far, log_above=30.0)] if far else []
        charts += [_ratio(c) for c in (kept, through) if c is not None]
    return charts


def _ratio(chart: Chart) -> Chart:
    """From zero, with the level at which nothing is lost; logarithmic where it has grown far beyond."""
    steep = max(float(np.nanmax(line.curve.mean)) for line in chart.lines) > 4
    return replace(chart, reference=1.0, log_above=10.0 if steep else math.inf, include=() if steep else (0.0,))


def _chart(
    panel: Panel,
    style: Styles,
    title: str,
    make: Callable[[Setting], Curve | None],
    kind: Kind,
    x_label: str = "round",
    x_kind: Kind = ROUND,
) -> Chart | None:
    made = ((name, make(setting)) for name, setting in panel.all)
    lines = tuple(Line(name, found, style[name]) for name, found in made if found is not None)
    head = panel.label or title.capitalize()
    about = title.capitalize() if panel.label else ""
    if not lines:
        return None
    return Chart(head, about, lines, x_label, x_kind, kind, worst_is="worst node")


def by_gap(held: Sequence[Setting]) -> list[Chart]:
    """Final accuracy and rounds to an accuracy against the spectral gap, for each setting of all but the topology."""
    if "topology" not in varying(held):
        return []
    inner = next((axis for axis in ("merge", line_axis(held)) if axis in varying(held) and axis != "topology"), None)
    at, style = main_threshold(held), styles(panels(held))
    charts = []
    for label, members in _apart(held, inner).items():
        end = _gap_chart(label, "final accuracy", members, inner, style, lambda s: s.figure("mean_accuracy"), SHARE)
        charts += [end] if end else []
        if at is not None:
            title = f"rounds to {units.percent(at, 0)}"
            to = _gap_chart(label, title, members, inner, style, lambda s: s.of_all(s.to(at)), ROUND)
            charts += [replace(to, y_kind=PLAIN, log_above=30.0)] if to else []
    return charts


def _apart(held: Sequence[Setting], inner: str | None) -> dict[str, list[Setting]]:
    """The gossip settings by all that varies beside topology and `inner`."""
    others = [axis for axis in varying(held) if axis not in ("topology", inner)]
    found: dict[str, list[Setting]] = {}
    for s in held:
        if not s.baseline:
            found.setdefault(" · ".join(said(axis, s.place[axis]) for axis in others), []).append(s)
    return found


def _gap_chart(
    label: str,
    title: str,
    members: Sequence[Setting],
    inner: str | None,
    style: Styles,
    read: Callable[[Setting], object],
    kind: Kind,
) -> Chart | None:
    lines: dict[str, list[tuple[float, float, float, float]]] = {}
    for s in members:
        gap, value = s.figure("spectral_gap"), read(s)
        if gap is not None and value is not None:
            name = s.place[inner] if inner else s.merge
            lines.setdefault(name, []).append((gap.mean, value.mean, value.low, value.high))  # type: ignore[attr-defined]
    found = []
    for name, points in lines.items():
        x, mean, low, high = np.array(sorted(points)).T
        if len(np.unique(x)) >= LEAST_GAPS:
            found.append(Line(name, Curve(x, mean, low, high), style.get(name, "s0")))
    if not found:
        return None
    head = f"{label} · {title}" if label else title.capitalize()
    about = f"A point for each topology. {'' if kind is SHARE else 'Who does not get there with every seed has none.'}"
    return Chart(head, about, tuple(found), "spectral gap", PLAIN, kind, x_log_above=10.0)
