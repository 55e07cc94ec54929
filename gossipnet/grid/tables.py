"""The tables of a grid: on its page a cell per setting, or a line per setting and a column per figure; as text too."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gossipnet.grid.compare import Panel, Setting, has_accuracy, main_threshold, said, thresholds
from gossipnet.grid.figures import Styles
from gossipnet.grid.interval import Interval
from gossipnet.report import units
from gossipnet.report.chart import chip
from gossipnet.report.markup import NO_BREAK, Markup, clean, element, escape, join
from gossipnet.report.tables import aligned

Show = Callable[[float | None], str]


@dataclass(frozen=True)
class Figure:
    """One figure of a setting: its name, how it is found and read. `more`: whether more is better, None for neither."""

    name: str
    find: Callable[[Setting], Interval | None]
    show: Show
    more: bool | None = None
    accuracy: float | None = None  # to which it goes: one that no seed reaches reads "never"


def _summary(name: str, key: str, show: Show, more: bool | None = None) -> Figure:
    return Figure(name, lambda s: s.figure(key), show, more)


def to_accuracy(accuracy: float, what: str, name: str, show: Show) -> Figure:
    """Rounds, time or traffic to an accuracy; of who sends nothing, traffic does not apply."""

    def find(setting: Setting) -> Interval | None:
        found = setting.to(accuracy, what)
        return None if what == "bytes_sent" and found is not None and not found.mean else found

    return Figure(f"{name} to {units.percent(accuracy, 0)}", find, show, False, accuracy)


ACCURACY = _summary("mean accuracy", "mean_accuracy", units.percent, True)
WORST = _summary("worst node", "min_accuracy", units.percent, True)
LOSS = _summary("test loss", "test_loss", units.number, False)
GAP = _summary("spectral gap", "spectral_gap", units.number)
TRAFFIC = _summary("per node and round", "bytes_per_node_round", units.data)


def figures(held: Sequence[Setting]) -> list[Figure]:
    """Every figure that a line per setting shows, those left out that no setting has."""
    at = main_threshold(held)
    made = [
        *((ACCURACY, WORST) if has_accuracy(held) else (LOSS,)),
        _summary("mean model", "mean_model_accuracy", units.percent, True),
        *(to_accuracy(t, "round", "rounds", units.count) for t in thresholds(held)),
        *(
            [to_accuracy(at, "time_s", "time", units.seconds), to_accuracy(at, "bytes_sent", "sent", units.data)]
            if at
            else []
        ),
        TRAFFIC,
        _summary("consensus distance", "consensus_distance", units.number),
        _summary("variance kept", "variance_kept", units.number),
        GAP,
    ]
    return [f for f in made if any(f.find(s) is not None for s in held)]


def read(figure: Figure, setting: Setting) -> str:
    """ "92.1% ± 0.3", "never", "120 (2 of 3)" where not all seeds have it, a dash where it does not apply."""
    found = figure.find(setting)
    if found is None:
        at = figure.accuracy
        return "never" if at is not None and setting.outcomes and setting.to(at) is None else units.DASH
    text = figure.show(found.mean) + _half(found, figure)
    missing = found.n < setting.asked
    return f"{text} ({found.n} of {setting.asked})" if missing else text


def _half(found: Interval, figure: Figure) -> str:
    """The half width in the unit of the mean: points beside a share, nothing beside a size or time."""
    if found.half is None or figure.show in (units.data, units.seconds):
        return ""
    half = f"{100 * found.half:.1f}" if figure.show is units.percent else units.number(found.half)
    return f" ± {half}" if found.half > 1e-9 * abs(found.mean) else ""  # no rounding


def best(figure: Figure, held: Sequence[Setting]) -> list[bool]:
    """Which gossip settings read best; none if the figure has no better end or all read alike."""
    means = [None if s.baseline else _comparable(figure, s) for s in held]
    known = [m for m in means if m is not None]
    if figure.more is None or not known or len({figure.show(m) for m in known}) == 1:
        return [False] * len(held)
    top = figure.show((max if figure.more else min)(known))
    return [m is not None and figure.show(m) == top for m in means]


def _comparable(figure: Figure, setting: Setting) -> float | None:
    """The mean, None if it is that of the seeds which got to an accuracy and others did not."""
    found = figure.find(setting)
    if figure.accuracy is not None:
        found = setting.of_all(found)
    return None if found is None else found.mean


def by_line(panel: Panel, style: Styles, held: Sequence[Setting]) -> Markup:
    """A line per setting of a panel, a column per figure."""
    shown = figures(held)
    members = [s for _, s in panel.all]
    bests = [best(f, members) for f in shown]
    cells = [[_cell(read(f, s), b[i]) for f, b in zip(shown, bests, strict=True)] for i, s in enumerate(members)]
    return grid([_name(n, style) for n, _ in panel.all], [f.name for f in shown], cells)


def by_panel(held: Sequence[Panel], style: Styles, figure: Figure) -> Markup:
    """A line per panel, a column per curve; with the spectral gap where the topology is what differs."""
    names = [*style]
    gaps = "topology" in {axis for panel in held for axis in panel.place}
    cells = []
    for panel in held:
        of = dict(panel.all)
        members = [of[n] for n in names if n in of]
        bests = dict(zip((n for n in names if n in of), best(figure, members), strict=True))
        line = [_cell(read(figure, of[n]), bests[n]) if n in of else _cell(units.DASH) for n in names]
        gap = next((g for _, s in panel.lines if (g := GAP.find(s)) is not None), None)
        cells.append(([_cell(units.number(gap.mean if gap else None))] if gaps else []) + line)
    heads: list[object] = [*(["spectral gap"] if gaps else []), *(_name(n, style) for n in names)]
    return grid([panel.label for panel in held], heads, cells)


def _cell(text: str, is_best: bool = False) -> Markup:
    return element("td", text.replace(" ", NO_BREAK) if len(text) < 24 else text, class_="best" if is_best else None)


def _name(name: str, style: Styles) -> Markup:
    return join((chip(style[name]), Markup(escape(name).replace("=", "=<wbr/>"))), " ")


def grid(names: Sequence[object], heads: Sequence[object], cells: Sequence[Sequence[Markup]]) -> Markup:
    """A table in a box that scrolls sideways when it must."""
    top = element("tr", element("th", "", scope="col"), *(element("th", head, scope="col") for head in heads))
    lines = (element("tr", element("th", name, scope="row"), *line) for name, line in zip(names, cells, strict=True))
    table = element("table", element("thead", top), element("tbody", *lines))
    return element("div", table, class_="wide table", role="region", aria_label="table", tabindex=0)


def _line_name(panel: Panel, name: str, setting: Setting) -> str:
    """A baseline stands where it first appears: of the panel it is called by what means something to it."""
    where = {axis: label for axis, label in panel.place.items() if not setting.baseline or axis in setting.place}
    return " · ".join([*(said(axis, label) for axis, label in where.items()), name])


def text_table(parts: Sequence[tuple[str, Sequence[Setting], Sequence[Panel]]]) -> str:
    """Aligned text for the terminal, a line per setting; a part begins with its name if there are several."""
    blocks = []
    for name, held, shown in parts:
        columns = [f for f in figures(held) if f.name not in ("mean model", "variance kept", "consensus distance")]
        if not any(s.outcomes for s in held):
            continue
        seen: set[int] = set()
        lines = []
        for panel in shown:
            for label, s in panel.all:
                if id(s) not in seen:
                    seen.add(id(s))
                    lines.append([clean(_line_name(panel, label, s), 70), *(read(f, s) for f in columns)])
        table = aligned([["", *(f.name for f in columns)], *lines])
        blocks.append(f"{clean(name, 60)}\n{table}" if len(parts) > 1 else table)
    return "\n\n".join(blocks)
