"""Where each curve of a chart wins and where it loses: accuracies in the end, compared seed by seed."""

from collections.abc import Sequence
from dataclasses import dataclass

from gossipnet.grid.compare import Panel, Setting, difference
from gossipnet.grid.interval import Interval
from gossipnet.report import units

NEAR = 0.005  # half a point of accuracy is level, whatever the seeds say
MOST_LOSSES = 6


@dataclass(frozen=True)
class Loss:
    """In `panel`, `name` is behind `to` by `by` (a positive share of accuracy), beyond what its seeds leave open."""

    panel: Panel
    name: str
    to: str
    by: Interval


@dataclass(frozen=True)
class Tally:
    """How one curve does over all panels: how often it is ahead or level, in how many it stands, where it loses."""

    name: str
    level: int
    of: int
    losses: tuple[Loss, ...]


def best(panel: Panel) -> tuple[str, Setting] | None:
    """The gossip setting of the highest mean accuracy."""
    known = [(s.figure("mean_accuracy"), name, s) for name, s in panel.lines]
    scored = [(found.mean, name, s) for found, name, s in known if found is not None]
    return max(scored, key=lambda item: item[0])[1:] if scored else None


def losses(panel: Panel) -> list[Loss]:
    """Of each gossip setting that is behind the best one of its panel."""
    top = best(panel)
    if top is None:
        return []
    found = []
    for name, setting in panel.lines:
        by = difference(top[1], setting)
        if by is not None and by.mean >= NEAR and by.low > 0:
            found.append(Loss(panel, name, top[0], by))
    return found


def tallies(held: Sequence[Panel]) -> list[Tally]:
    """Of every curve, the best first."""
    names = dict.fromkeys(name for panel in held for name, _ in panel.lines)
    lost = [loss for panel in held for loss in losses(panel)]
    made = []
    for name in names:
        of = sum(any(n == name and s.outcomes for n, s in panel.lines) for panel in held)
        mine = sorted((x for x in lost if x.name == name), key=lambda x: -x.by.mean)
        made.append(Tally(name, of - len(mine), of, tuple(mine)))
    return sorted(made, key=lambda t: (-t.level, sum(x.by.mean for x in t.losses)))


def say(loss: Loss) -> str:
    """ "own · dirichlet:alpha=0.1: 12.3 ± 2.1 points behind sign-aligned"."""
    where = f"{loss.panel.label}: " if loss.panel.label else ""
    return f"{where}{points(loss.by)} points behind {loss.to}"


def points(found: Interval) -> str:
    """A difference of accuracies, in points."""
    return f"{100 * found.mean:.1f}" + ("" if found.half is None else f" ± {100 * found.half:.1f}")


def verdict(held: Sequence[Panel]) -> str:
    """What came out of a part, in a sentence or two."""
    counted = [t for t in tallies(held) if t.of]
    if not any(map(best, held)):
        return "No cell of this part has finished with an accuracy yet."
    several, n = len(counted) > 1, len(held)
    if several and n > 1:
        text = "Ahead or level: " + ", ".join(f"{t.name} in {t.level} of {t.of} charts" for t in counted[:4]) + "."
    else:
        text = " ".join(filter(None, (_highest(panel, several) for panel in held[:3])))
    return f"{text} {_against(held)}".strip()


def _highest(panel: Panel, several: bool) -> str:
    top = best(panel)
    found = top[1].figure("mean_accuracy") if top else None
    if top is None or found is None:
        return ""
    where = f" ({panel.label})" if panel.label else ""
    ends = "ends highest" if several else "ends"
    return f"{top[0]} {ends}{where}: {units.percent(found.mean)} mean accuracy."


def _against(held: Sequence[Panel]) -> str:
    """The best gossip of each panel against federated averaging from a common start."""
    gaps = []
    for panel in held:
        top = best(panel)
        fedavg = _fedavg_of(panel, top[1]) if top else None
        by = difference(top[1], fedavg) if top and fedavg else None
        if by is not None:
            gaps.append(by.mean)
    if not gaps:
        return ""
    low, high = 100 * min(gaps), 100 * max(gaps)
    span = f"{low:+.1f}" if high - low < 0.05 else f"{low:+.1f} to {high:+.1f}"
    return f"The best gossip of each chart against fedavg from a common start: {span} points."


def _fedavg_of(panel: Panel, top: Setting) -> Setting | None:
    """Federated averaging with the data and training of that setting: a chart may have others beside it."""
    held = [s for _, s in panel.baselines if s.baseline == "fedavg"]
    return next((s for s in held if all(top.place.get(axis) == label for axis, label in s.place.items())), None)
