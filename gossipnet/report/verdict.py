"""The page's first sentences: what came out, in words and numbers that the figures then show."""

from collections.abc import Sequence

from gossipnet.report import units
from gossipnet.report.curves import over_nodes, variance_kept
from gossipnet.report.run import Run

NEAR = 0.005  # half a point of accuracy: less says nothing about one run of each


def verdict(named: Sequence[tuple[str, Run]]) -> str:
    """One run: what it reached and at what price. Several: which is ahead, by how much, and what its weights kept."""
    return _of_one(named[0][1]) if len(named) == 1 else _of_several(named)


def subtitle(runs: Sequence[Run]) -> str:
    """What all runs have in common, in one line."""
    world = {"sim": "simulator", "live": "live swarm"}
    found = [
        [
            f"{r.summary.nodes:,} {'node' if r.summary.nodes == 1 else 'nodes'}",
            r.summary.topology,
            r.config.get("task.name", ""),
            f"split {r.config['task.partition']}" if "task.partition" in r.config else "",
            f"merge {r.summary.merge}" if r.summary.merge else "",
            f"{r.summary.rounds:,} rounds",
            world.get(r.summary.world, ""),
        ]
        for r in runs
    ]
    return " · ".join(texts[0] for texts in zip(*found, strict=True) if texts[0] and len(set(texts)) == 1)


def _of_one(run: Run) -> str:
    s = run.summary
    if s.mean_accuracy is None:
        loss = _test_loss(run)
        if loss is None:
            return f"Neither accuracy nor test loss was reported in {s.rounds:,} rounds."
        return f"The nodes' mean test loss is {units.number(loss)} after {s.rounds:,} rounds; there is no accuracy."
    so_far = "" if run.complete else " so far"
    if s.nodes == 1:
        text = f"The node reached {units.percent(s.mean_accuracy)} accuracy{so_far}"
    else:
        text = f"The nodes reached {units.percent(s.mean_accuracy)} accuracy in the mean{so_far}"
        text += f", the worst of them {units.percent(s.min_accuracy)}"
    spent = s.virtual_s if s.world == "sim" else s.wall_s
    if spent is not None:
        text += f", in {s.rounds:,} rounds and {units.seconds(spent)}{' of virtual time' if s.world == 'sim' else ''}"
    if s.bytes_per_node_round:
        text += f", each sending {units.data(s.bytes_per_node_round)} a round"
    return text + "."


def _test_loss(run: Run) -> float | None:
    """Mean over nodes, in the end; None if none has been evaluated."""
    curve = over_nodes(run, "finished", "loss") or over_nodes(run, "evaluated", "loss")
    return curve.last if curve is not None else None


def _of_several(named: Sequence[tuple[str, Run]]) -> str:
    scored = [(run.summary.mean_accuracy, label) for label, run in named if run.summary.mean_accuracy is not None]
    losses = [(loss, label) for label, run in named if (loss := _test_loss(run)) is not None]
    if not scored and len(losses) > 1:
        (low, first), (high, last) = min(losses), max(losses)
        found = f"{units.number(low)} with {first}; highest: {units.number(high)} with {last}"
        return f"Lowest mean test loss: {found}. There is no accuracy."
    if len(scored) < 2:
        return "Fewer than two of the runs have reported an accuracy yet."
    scored.sort(key=lambda item: -item[0])
    (top, first), (bottom, last) = scored[0], scored[-1]
    if top - bottom < NEAR:
        text = f"All runs end within {100 * (top - bottom):.1f} points of accuracy: one run of each cannot order them."
    else:
        below = f"{100 * (top - bottom):.1f} points above {last} ({units.percent(bottom)})"
        text = f"{first} ends highest: {units.percent(top)} mean accuracy, {below}."
    if any(not r.complete for _, r in named):
        text += " Not all of the runs are complete."
    return text + _variances(named)


def _variances(named: Sequence[tuple[str, Run]]) -> str:
    found = [(label, variance_kept(run.metrics)) for label, run in named]
    kept = [f"{units.number(c.last)} with {label}" for label, c in found if c is not None]
    if len(kept) < 2 or len(kept) > 4:
        return ""
    return f" Weight variance kept from the start: {', '.join(kept[:-1])} and {kept[-1]}."
