"""What a reader should know before the figures: plain rules over one run, each a function that finds or does not."""

import math
from collections.abc import Callable, Iterator

import numpy as np

from gossipnet.report import units
from gossipnet.report.curves import variance_kept
from gossipnet.report.run import Run, refusals

LOST_VARIANCE = 0.5  # of the start; training alone rather lets it grow
WORST_GAP, MEAN_MODEL_GAP = 0.10, 0.05


def findings(run: Run) -> list[str]:
    """Sentences, the gravest first; empty if nothing stands out."""
    return [*run.notes, *(text for rule in _RULES for text in rule(run))]


def _unfinished(run: Run) -> Iterator[str]:
    if run.complete:
        return
    rounds = run.config.get("training.rounds", "")
    of = f" of {rounds}" if rounds else ""
    at = units.seconds(run.metrics.last_time_s)
    yield (
        f"Still running, or cut short: there is no summary.json. Shown is what was reported up to round "
        f"{run.metrics.last_round}{of}, {at} after the start."
    )


def _failures(run: Run) -> Iterator[str]:
    nodes, rounds = run.metrics.column("failed", "node"), run.metrics.column("failed", "round")
    errors = run.metrics.text("failed", "error")
    for node, round_, error in list(zip(nodes, rounds, errors, strict=True))[:5]:
        who = "The run" if math.isnan(node) else f"Node {int(node)}"
        when = "" if math.isnan(round_) else f" in round {int(round_)}"
        yield f"{who} failed{when}: {error or 'no reason given'}"
    if len(errors) > 5:
        yield f"{len(errors) - 5:,} more failures are in metrics.jsonl."
    if run.summary.left:
        yield f"{_nodes(list(run.summary.left))} did not finish; means are over the others."


def _not_finite(run: Run) -> Iterator[str]:
    loss, nodes = run.metrics.column("merged", "loss"), run.metrics.column("merged", "node")
    if "loss" in run.metrics.names("merged") and np.isnan(loss).any():
        who = _nodes(sorted({int(n) for n in nodes[np.isnan(loss) & np.isfinite(nodes)]}))
        yield f"{who}: the training loss was no finite number in {int(np.isnan(loss).sum()):,} of {len(loss):,} rounds."


def _device_full(run: Run) -> Iterator[str]:
    full, nodes = run.metrics.column("merged", "device_full"), run.metrics.column("merged", "node")
    at = np.flatnonzero(full > 0)
    if len(at):
        yield (
            f"{_nodes(sorted({int(n) for n in nodes[at]}))}: the device was out of memory in {len(at):,} of "
            f"{len(full):,} merges, which the CPU did instead."
        )


def _alone(run: Run) -> Iterator[str]:
    nodes, up = run.metrics.column("merged", "node"), run.metrics.column("merged", "neighbors_up")
    last = {int(n): u for n, u in zip(nodes, up, strict=True) if not math.isnan(n + u)}
    alone = sorted(n for n, u in last.items() if u == 0)
    if alone and len(last) > 1:
        yield f"{_nodes(alone)} ended with no neighbor up, and so learned alone."


def _lost_variance(run: Run) -> Iterator[str]:
    curve = variance_kept(run.metrics)
    if curve is None or not curve.last < LOST_VARIANCE:
        return
    yield (
        f"The weights lost variance: the median tensor keeps {units.number(curve.last)} of its variance at the "
        "start. Averages of models that differ shrink so, and shrunken weights learn slowly."
        + (" Try --merge variance-corrected." if run.summary.merge.startswith("average") else "")
    )


def _worst_node(run: Run) -> Iterator[str]:
    found, mean = run.final_accuracy, run.summary.mean_accuracy
    worst = run.summary.min_accuracy
    if mean is None or worst is None or mean - worst < WORST_GAP:
        return
    node = min(found, key=found.__getitem__, default=None)
    who = f"Node {node}" if node is not None else "The worst node"
    yield f"{who} is {100 * (mean - worst):.0f} points below the mean accuracy."


def _no_agreement(run: Run) -> Iterator[str]:
    mean, model = run.summary.mean_accuracy, run.summary.mean_model_accuracy
    if mean is not None and model is not None and mean - model >= MEAN_MODEL_GAP:
        yield (
            f"The average of all models is {100 * (mean - model):.0f} points less accurate than its nodes are: "
            "they have not agreed yet."
        )


def _refused(run: Run) -> Iterator[str]:
    counts = run.summary.messages_refused or refusals(run.metrics)
    total = sum(counts.values())
    if total:
        most = max(counts, key=counts.__getitem__)
        yield f"{total:,} {'message was' if total == 1 else 'messages were'} refused, most often for {most}."


_RULES: tuple[Callable[[Run], Iterator[str]], ...] = (
    _unfinished,
    _failures,
    _not_finite,
    _device_full,
    _alone,
    _lost_variance,
    _worst_node,
    _no_agreement,
    _refused,
)


def _nodes(nodes: list[int]) -> str:
    shown = ", ".join(map(str, nodes[:8]))
    more = f" and {len(nodes) - 8:,} more" if len(nodes) > 8 else ""
    return f"Node{'s' if len(nodes) > 1 else ''} {shown}{more}"
