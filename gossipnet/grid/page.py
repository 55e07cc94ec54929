"""The page of a grid: what came out of each part, its curves and tables, where each merge loses, and what failed."""

from collections.abc import Sequence
from dataclasses import replace

from gossipnet.grid import figures, losses, tables
from gossipnet.grid.compare import Panel, Setting, has_accuracy, main_threshold, panels, settings, thresholds
from gossipnet.grid.plan import BASELINES, Grid, Part
from gossipnet.grid.records import Record, machine
from gossipnet.report import units
from gossipnet.report.chart import Chart, draw
from gossipnet.report.markup import Markup, element, join
from gossipnet.report.page import document

MOST_OPEN = 4  # charts or tables of a kind that stand open; more are folded away
MOST_FAILED = 20
SAYS = {
    "isolated": "isolated: every node trains alone, on its own samples.",
    "fedavg": "fedavg, common start: after every round all nodes take the plain mean of all models.",
    "fedavg-own": "fedavg, own starts: the same, but every node begins with weights of its own.",
    "centralized": "centralized: one model on all samples; as many local steps, each on the batches of all nodes.",
}


def page(grid: Grid, held: Sequence[Record]) -> Markup:
    """The whole page as text."""
    made = []
    several = len(grid.parts) > 1
    for i, part in enumerate(grid.parts):
        made.append((f"part-{i}", part.name if several else "Results", _part(part, settings(part.name, held))))
    made.append(("cells", "Cells", _cells(held)))
    made.append(("reading", "How to read this page", _reading(grid)))
    return document(f"{grid.name}: a grid of {len(held):,} cells", _subtitle(held), made)


def _subtitle(held: Sequence[Record]) -> str:
    on = machine()
    seeds = len({r.cell.experiment.seed for r in held})
    done = sum(r.finished for r in held)
    where = f"{on['cores']} cores, {on['memory_gb']} GB" + (f", {on['gpu']}" if on["gpu"] else "")
    return f"{done:,} of {len(held):,} cells finished · {_counted(seeds, 'seed')} · {where} · torch {on['torch']}"


def _part(part: Part, held: Sequence[Setting]) -> Markup:
    shown = panels(held)
    style = figures.styles(shown)
    accurate = has_accuracy(held)
    parts = [
        element("p", part.about, class_="soft") if part.about else "",
        element("p", losses.verdict(shown), class_="verdict") if accurate else "",
        _notes(held),
        _overview(shown, style, held),
        element("p", figures.HOW, class_="soft"),
        _charts("Against rounds", figures.scores(shown, style), MOST_OPEN),
        _charts("Against virtual time" if part.world == "sim" else "Against time", _over_time(part, shown, style), 0),
        _charts("Against traffic", figures.scores(shown, style, "bytes_sent"), 0),
        _charts("Against the spectral gap", figures.by_gap(held), MOST_OPEN),
        _to_accuracy(shown, style, held),
        _lost(shown) if accurate else "",
        _charts("Agreement and variance", figures.agreement(shown, style), 0),
        _every_figure(shown, style, held),
    ]
    return join(p for p in parts if p)


def _over_time(part: Part, shown: Sequence[Panel], style: figures.Styles) -> list[Chart]:
    """The time of live swarms is that of the clock."""
    made = figures.scores(shown, style, "time_s")
    return made if part.world == "sim" else [replace(chart, x_label="time") for chart in made]


def _notes(held: Sequence[Setting]) -> Markup:
    """What a reader must know before the figures."""
    found = []
    open_ = sum(s.asked - len(s.outcomes) for s in held)
    if open_:
        found.append(f"{open_:,} of {sum(s.asked for s in held):,} cells of this part have failed or are yet to run.")
    if all(s.asked == 1 for s in held):
        found.append("One seed of each setting: differences of a point or two order nothing.")
    if any(o.left for s in held for o in s.outcomes.values()):
        found.append("Nodes of some cells did not finish; means are over the others.")
    return element("ul", *(element("li", text) for text in found), class_="notes") if found else Markup()


def _overview(shown: Sequence[Panel], style: figures.Styles, held: Sequence[Setting]) -> Markup:
    """All figures of a single panel; of several a table of accuracies, and one of the worst nodes."""
    if len(shown) == 1:
        return tables.by_line(shown[0], style, held)
    kept = [tables.ACCURACY, tables.WORST] if has_accuracy(held) else [tables.LOSS]
    return join(element("div", element("h3", f.name.capitalize()), tables.by_panel(shown, style, f)) for f in kept)


def _charts(title: str, made: Sequence[Chart], most: int) -> Markup:
    """A few charts under a title; more of them behind it."""
    if not made:
        return Markup()
    drawn = element("div", *map(draw, made), class_="grid")
    if len(made) <= most:
        return join((element("h3", title), drawn))
    if not most:
        return _folded(f"{title} ({_counted(len(made), 'chart')})", drawn)
    first = element("div", *map(draw, made[:most]), class_="grid")
    rest = element("div", *map(draw, made[most:]), class_="grid")
    return join((element("h3", title), first, _folded(f"{_counted(len(made) - most, 'more chart')}", rest)))


def _folded(title: str, content: Markup) -> Markup:
    return element("details", element("summary", title), content)


def _to_accuracy(shown: Sequence[Panel], style: figures.Styles, held: Sequence[Setting]) -> Markup:
    """Rounds to accuracies, and time and bytes to the main one; of a single panel the overview has them."""
    at = main_threshold(held)
    if len(shown) == 1 or at is None:
        return Markup()
    made = [tables.to_accuracy(t, "round", "rounds", units.count) for t in thresholds(held)]
    made += [
        tables.to_accuracy(at, "time_s", "time", units.seconds),
        tables.to_accuracy(at, "bytes_sent", "sent per node", units.data),
    ]
    parts = [join((element("h3", f.name.capitalize()), tables.by_panel(shown, style, f))) for f in made]
    return join((*parts[:1], _folded("To other accuracies, in time and traffic", join(parts[1:]))))


def _lost(shown: Sequence[Panel]) -> Markup:
    """Each curve: how often it is ahead, and where it loses."""
    counted = [t for t in losses.tallies(shown) if t.of]
    if len(counted) < 2:
        return Markup()
    cells = []
    for tally in counted:
        said = [losses.say(loss) for loss in tally.losses[: losses.MOST_LOSSES]]
        more = len(tally.losses) - len(said)
        said += [f"and {more} more"] if more > 0 else []
        text = join(element("div", line) for line in said) if said else units.DASH
        cells.append([element("td", f"{tally.level} of {tally.of}"), element("td", text, class_="text")])
    sure = any(len(s.outcomes) > 1 for panel in shown for _, s in panel.lines)
    likely = ", in every likely draw of seeds (95 % interval of the paired differences)."
    about = f"Behind by half a point or more{likely if sure else '; one seed cannot tell that from chance.'}"
    head = element("div", element("h3", "Where each loses"), element("p", about, class_="soft"))
    return join((head, tables.grid([t.name for t in counted], ["ahead or level", "loses"], cells)))


def _every_figure(shown: Sequence[Panel], style: figures.Styles, held: Sequence[Setting]) -> Markup:
    if len(shown) == 1:
        return Markup()
    made = (join((element("h3", p.label), tables.by_line(p, style, held))) for p in shown)
    return _folded("Every figure of every setting", join(made))


def _cells(held: Sequence[Record]) -> Markup:
    """What failed and why, and how to go on."""
    failed = [r for r in held if r.outcome is not None and not r.finished]
    left = sum(r.outcome is None for r in held)
    says = [element("p", f"{len(failed):,} failed, {left:,} have not run.")]
    if failed:
        lines = [
            element("li", element("b", f"{r.cell.part}: {r.cell}: "), r.outcome.error if r.outcome else "")
            for r in failed[:MOST_FAILED]
        ]
        says.append(element("ul", *lines, class_="notes"))
    if failed or left:
        says.append(element("p", "gossipnet bench --resume goes on with what is left, and tries again what failed."))
    says.append(element("p", "results.csv and results.json have every cell, curves.csv every evaluated round of it."))
    return join(says)


def _reading(grid: Grid) -> Markup:
    kept = [kind for kind in BASELINES if any(kind in part.baselines for part in grid.parts)]
    says = [
        "Accuracies in tables are those of the final models on the whole test set, mean over nodes; curves are on the "
        "first samples of it. ± is half the 95 % interval of the mean over seeds (Student's t).",
        "Rounds, time and traffic to an accuracy are those of the first evaluation at which the nodes' mean has it; "
        "(2 of 3) says how many seeds got there, and the mean is over these.",
        "Time is virtual: what the simulated network and machines would have taken. Of live swarms it is that of the "
        "clock; of their baselines it is virtual all the same.",
        *(SAYS[kind] for kind in kept),
    ]
    return element("ul", *(element("li", text) for text in says), class_="quiet")


def _counted(n: int, word: str) -> str:
    return f"{n:,} {word}" + ("" if n == 1 else "s")
