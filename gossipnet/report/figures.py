"""Which charts a page has, and what each is made of. A chart that no run has numbers for is left out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gossipnet.report.axis import BYTES, PLAIN, SECONDS, SHARE, Kind
from gossipnet.report.chart import Chart, Line
from gossipnet.report.curves import Curve, against, layers, over_nodes, over_swarm, thin, variance_kept
from gossipnet.report.run import Run

MOST_LAYERS = 8
_KNOWN = ("accuracy", "loss", "samples")
_RANKS = "Sorted; a flat curve means that all nodes are equally good."
_HOW = "Mean over nodes; band: the middle half of them; broken line: the worst."


@dataclass(frozen=True)
class Entry:
    """A run on the page: what it is called, and the colour that it has in every figure."""

    label: str
    run: Run
    style: str


def entries(runs: Sequence[Run], labels: Sequence[str]) -> tuple[Entry, ...]:
    return tuple(Entry(n, r, f"s{i}") for i, (n, r) in enumerate(zip(labels, runs, strict=True)))


def accuracy(shown: Sequence[Entry]) -> Chart | None:
    lines = _lines(shown, lambda run: over_nodes(run, "evaluated", "accuracy"))
    lines = tuple(replace(li, end=e.run.summary.mean_model_accuracy) for li, e in _paired(lines, shown))
    ends = any(line.end is not None for line in lines)
    about = _HOW + (" Diamond: the mean of all models in the end." if ends else "")
    return _chart("Accuracy", about, lines, y_kind=SHARE)


def variance(shown: Sequence[Entry]) -> Chart | None:
    lines = _lines(shown, lambda run: variance_kept(run.metrics))
    about = "Weight variance now against that at the start, median tensor; dotted: nothing lost."
    return _ratios("Weight variance kept", about, lines)


def learning(shown: Sequence[Entry]) -> list[Chart]:
    """Test loss against rounds, if the top of the page has not shown it, and the training loss; then accuracy and
    test loss against time and bytes, and the task's own metrics."""
    score, loss = accuracy(shown), test_loss(shown)
    charts = [loss if score else None, _training_loss(shown)]
    for base in (score, loss):
        charts += [by_time(base, shown), by_bytes(base, shown)] if base else []
    return [c for c in (*charts, *_other_metrics(shown)) if c is not None]


def by_time(base: Chart, shown: Sequence[Entry]) -> Chart | None:
    """The same chart against the nodes' mean time at each round."""
    clocks = {e.run.clock for e in shown}
    clock = clocks.pop() if len(clocks) == 1 else "time"
    return _moved(base, shown, "evaluated", "time_s", clock, SECONDS, f"{base.title} against {clock}")


def by_bytes(base: Chart, shown: Sequence[Entry]) -> Chart | None:
    """The same chart against the bytes that the mean node has sent."""
    return _moved(base, shown, "merged", "bytes_sent", "sent per node", BYTES, f"{base.title} against traffic")


def ranking(shown: Sequence[Entry]) -> Chart | None:
    """Final accuracy of every node, sorted."""
    lines = _lines(shown, _ranked)
    title = "Final accuracy of each node"
    return (
        replace(chart, x_label="nodes, from the worst on") if (chart := _chart(title, _RANKS, lines, SHARE)) else None
    )


def _ranked(run: Run) -> Curve | None:
    scores = np.sort(np.array(list(run.final_accuracy.values())))
    places = thin(np.arange(len(scores), dtype=np.float64))
    return Curve(places + 1, scores[places.astype(int)]) if len(scores) > 1 else None


def agreement(shown: Sequence[Entry]) -> list[Chart]:
    distance = _lines(shown, lambda run: over_swarm(run.metrics, "consensus_distance"))
    merges = _lines(shown, lambda run: over_nodes(run, "merged", "variance_ratio"))
    kept = "Weight variance after a merge against the mean of what went in; 1 keeps it, less shrinks the weights."
    charts = (
        _chart(
            "Consensus distance",
            "How far the models lie apart: root of the mean squared distance to their mean.",
            distance,
            log_above=30.0,
        ),
        _ratios("Variance through one merge", kept, merges),
    )
    return [c for c in charts if c is not None]


def by_layer(shown: Sequence[Entry]) -> list[Chart]:
    """A chart a run, all to the same scale."""
    charts = [c for e in shown if (c := _layers_of(e)) is not None]
    most = max((float(np.nanmax(li.curve.mean)) for c in charts for li in c.lines), default=1.0)
    steep = any(c.log_above < math.inf for c in charts)
    return [
        replace(c, include=(most,) if steep else (0.0, most), log_above=10.0 if steep else math.inf) for c in charts
    ]


def _layers_of(entry: Entry) -> Chart | None:
    """Weight variance against the start, a curve per tensor, from the first layer to the last."""
    found = list(layers(entry.run.metrics).items())
    chosen = [found[int(i)] for i in thin(np.arange(len(found), dtype=np.float64), MOST_LAYERS)]
    lines = tuple(Line(name, curve, f"l{_shade(i, len(chosen))}") for i, (name, curve) in enumerate(chosen))
    some = f" {len(chosen)} of {len(found)} tensors." if len(chosen) < len(found) else ""
    about = f"Weight variance against that at the start, by tensor.{some}"
    return _ratios(f"Layers: {entry.label}", about, lines)


def exchange(shown: Sequence[Entry]) -> list[Chart]:
    """Only what changes: a number that stays the same is a sentence on the page."""
    wanted = (
        ("staleness", "Staleness", "Rounds by which merged models lag behind the node that merges them.", np.max),
        ("merged", "Models merged", "Models that a node merges in a round.", np.min),
        ("neighbors_up", "Neighbors up", "Neighbors that a node can reach.", np.min),
    )
    charts = []
    for name, title, about, worst in wanted:
        if any(constant(e.run, name) is None for e in shown):
            lines = _lines(shown, lambda run, name=name, worst=worst: over_nodes(run, "merged", name, worst))  # type: ignore[misc]
            charts.append(_chart(title, f"{about} {_HOW}", lines))
    return [c for c in charts if c is not None]


def constant(run: Run, name: str) -> float | None:
    """The number that every merge reported under this name; None if they differ, nan if there are none."""
    values = run.metrics.column("merged", name)
    values = values[np.isfinite(values)]
    if not values.size:
        return math.nan
    return float(values[0]) if bool((values == values[0]).all()) else None


def test_loss(shown: Sequence[Entry]) -> Chart | None:
    """On test samples, as accuracy is."""
    lines = _lines(shown, lambda run: over_nodes(run, "evaluated", "loss", np.max))
    return _chart("Test loss", _HOW, lines, log_above=50.0)


def _training_loss(shown: Sequence[Entry]) -> Chart | None:
    lines = _lines(shown, lambda run: over_nodes(run, "merged", "loss", np.max))
    return _chart("Training loss", f"Of each round's local steps. {_HOW}", lines, log_above=50.0)


def _other_metrics(shown: Sequence[Entry]) -> list[Chart | None]:
    """A task's own metrics; whether more or less is better is not known, so no worst node is drawn."""
    names = dict.fromkeys(n for e in shown for n in e.run.metrics.names("evaluated") if n not in _KNOWN)
    about = "Mean over nodes; band: the middle half of them."
    return [
        _chart(
            name.replace("_", " "),
            about,
            tuple(replace(li, curve=replace(li.curve, worst=None)) for li in _evaluated(shown, name)),
        )
        for name in list(names)[:4]
    ]


def _evaluated(shown: Sequence[Entry], name: str) -> tuple[Line, ...]:
    return _lines(shown, lambda run: over_nodes(run, "evaluated", name))


def _lines(shown: Sequence[Entry], make: Callable[[Run], Curve | None]) -> tuple[Line, ...]:
    made = ((e, make(e.run)) for e in shown)
    return tuple(Line(e.label, curve, e.style) for e, curve in made if curve is not None)


def _paired(lines: Sequence[Line], shown: Sequence[Entry]) -> list[tuple[Line, Entry]]:
    of = {e.label: e for e in shown}
    return [(line, of[line.label]) for line in lines]


def _moved(
    base: Chart, shown: Sequence[Entry], event: str, name: str, x_label: str, kind: Kind, title: str
) -> Chart | None:
    lines = []
    for line, entry in _paired(base.lines, shown):
        curve = against(line.curve, entry.run.metrics, event, name)
        if curve is not None:
            lines.append(replace(line, curve=curve))
    if not lines:
        return None
    about = f"The same curves, against what the mean node has {'sent' if kind is BYTES else 'taken'} by then."
    return replace(base, title=title, about=about, lines=tuple(lines), x_label=x_label, x_kind=kind)


def _chart(
    title: str,
    about: str,
    lines: tuple[Line, ...],
    y_kind: Kind = PLAIN,
    log_above: float = math.inf,
) -> Chart | None:
    return Chart(title, about, lines, y_kind=y_kind, log_above=log_above) if lines else None


def _ratios(title: str, about: str, lines: tuple[Line, ...]) -> Chart | None:
    """Ratios are drawn from zero, so that a loss is seen as one, unless one of them has grown far beyond 1."""
    chart = _chart(title, about, lines)
    if chart is None:
        return None
    steep = max(float(np.nanmax(line.curve.mean)) for line in lines) > 4
    return replace(chart, reference=1.0, log_above=10.0 if steep else math.inf, include=() if steep else (0.0,))


def _shade(i: int, of: int) -> int:
    return round(i * (MOST_LAYERS - 1) / max(of - 1, 1))
