"""The sections of the page, each a function of the runs that it shows. One with nothing to say is empty."""

import shlex
from collections.abc import Sequence

from gossipnet.report import figures, units
from gossipnet.report.chart import Chart, chip, draw
from gossipnet.report.figures import Entry
from gossipnet.report.findings import findings
from gossipnet.report.graph import color_bar, draw_graph, span_of
from gossipnet.report.heat import draw_split
from gossipnet.report.labels import differing, say
from gossipnet.report.markup import NO_BREAK, Markup, clean, element, escape, join
from gossipnet.report.run import Run
from gossipnet.report.summary import Summary
from gossipnet.report.tables import KEY_ROWS, Row, best
from gossipnet.report.verdict import verdict

_STEADY = {
    "staleness": "Staleness: every merged model lagged {} rounds behind the node that merged it.",
    "merged": "Models merged: {} in every round of every node.",
    "neighbors_up": "Neighbors up: {} of every node, throughout.",
}
MOST_NOTES = 8
MOST_PICTURES = 6  # of several runs, those drawn one by one (layers, topologies, splits)


def glance(shown: Sequence[Entry]) -> Markup:
    several = len(shown) > 1
    top = figures.accuracy(shown) or figures.test_loss(shown), figures.variance(shown)
    pair = charts([c for c in top if c is not None])
    return join(
        (
            element("p", verdict([(e.label, e.run) for e in shown]), class_="verdict"),
            _notes(shown),
            join((pair, _key_table(shown)) if several else (_tiles(shown[0]), pair)),
        )
    )


def _notes(shown: Sequence[Entry]) -> Markup:
    """What the rules have found, the first of it in the open."""
    found = [(e, text) for e in shown for text in findings(e.run)]
    notes = [element("li", element("b", f"{e.label}: ") if len(shown) > 1 else "", text) for e, text in found]
    if len(notes) > MOST_NOTES:
        more = element("summary", f"{len(notes) - MOST_NOTES:,} more")
        notes[MOST_NOTES:] = [element("li", element("details", more, element("ul", *notes[MOST_NOTES:])))]
    return element("ul", *notes, class_="notes") if notes else Markup()


def charts(made: Sequence[Chart]) -> Markup:
    return element("div", *map(draw, made), class_="grid") if made else Markup()


def agreement(shown: Sequence[Entry]) -> Markup:
    return charts([*figures.agreement(shown), *figures.by_layer(shown[:MOST_PICTURES])])


def exchange(shown: Sequence[Entry]) -> Markup:
    says = [element("li", text) for text in _quiet(shown)]
    return join((charts(figures.exchange(shown)), element("ul", *says, class_="quiet") if says else ""))


def _quiet(shown: Sequence[Entry]) -> list[str]:
    """Numbers that did not change, as sentences instead of flat lines, and what was refused."""
    texts = []
    for name, text in _STEADY.items():
        values = {figures.constant(e.run, name) for e in shown}
        value = values.pop() if len(values) == 1 else None
        if not units.missing(value):
            texts.append(text.format(units.number(value)))
    if not any(sum(e.run.summary.messages_refused.values()) for e in shown):
        return [*texts, "No message was refused."]
    return texts + [f"Refused{f' ({e.label})' if len(shown) > 1 else ''}: {_reasons(e.run)}." for e in shown]


def _reasons(run: Run) -> str:
    counts = sorted(run.summary.messages_refused.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} {n:,}" for reason, n in counts[:12] if n) or "nothing"


def nodes(shown: Sequence[Entry]) -> Markup:
    drawn = [(e, e.run.graph, e.run.final_accuracy) for e in shown[:MOST_PICTURES] if e.run.graph is not None]
    span = span_of([a for _, _, found in drawn for a in found.values()])
    pictures = [draw_graph(graph, found, span, e.label if len(shown) > 1 else "Topology") for e, graph, found in drawn]
    ranks = figures.ranking(shown)
    if ranks is not None:
        pictures.append(draw(ranks))
    if not pictures:
        return Markup()
    colored = any(found for _, _, found in drawn)
    known = all(set(found) >= set(range(graph.n)) for _, graph, found in drawn)
    return join((color_bar(span, known) if colored else "", element("div", *pictures, class_="grid")))


def data(shown: Sequence[Entry]) -> Markup:
    """One map for runs that share a split."""
    splits: dict[tuple[object, ...], list[Entry]] = {}
    for e in shown:
        if e.run.split is not None:
            key = (e.run.split.classes, e.run.split.counts.shape, e.run.split.counts.tobytes())
            splits.setdefault(key, []).append(e)
    title = "Samples of each class on each node"
    drawn = []
    for held in list(splits.values())[:MOST_PICTURES]:
        who = "" if len(splits) == 1 else ": " + clean("; ".join(e.label for e in held), 100)
        if held[0].run.split is not None:
            drawn.append(draw_split(held[0].run.split, title + who))
    return join(drawn)


def _tiles(entry: Entry) -> Markup:
    rows = [(row.name, row.read(entry.run.summary)) for row in KEY_ROWS]
    if entry.run.summary.mean_accuracy is None:
        rows = [(say(n), units.number(value)) for n, value in entry.run.final_metrics.items()] + rows
    tiles = (element("div", element("dt", name), element("dd", text)) for name, text in rows if text != units.DASH)
    return element("dl", *tiles, class_="tiles")


def table(rows: Sequence[Row], shown: Sequence[Entry]) -> Markup:
    """Figures down and runs across, the best in bold; figures that apply to no run are left out."""
    summaries = [e.run.summary for e in shown]
    kept = [row for row in rows if any(row.read(s) != units.DASH for s in summaries)]
    cells = [[_cell(row, s, b) for s, b in zip(summaries, best(row, summaries), strict=True)] for row in kept]
    return _grid([row.name for row in kept], [_name(e) for e in shown], cells)


def _key_table(shown: Sequence[Entry]) -> Markup:
    """The same of the key figures; of more than three runs with a line for each run."""
    if len(shown) <= 3:
        return table(KEY_ROWS, shown)
    summaries = [e.run.summary for e in shown]
    bests = [best(row, summaries) for row in KEY_ROWS]
    cells = [[_cell(r, s, b[i]) for r, b in zip(KEY_ROWS, bests, strict=True)] for i, s in enumerate(summaries)]
    return _grid([_name(e) for e in shown], [row.name for row in KEY_ROWS], cells)


def _cell(row: Row, summary: Summary, is_best: bool) -> Markup:
    text = row.read(summary)
    whole = text.replace(" ", NO_BREAK) if len(text) < 16 else text  # a number and its unit stay on one line
    return element("td", whole, class_="best" if is_best else None)


def _name(entry: Entry) -> Markup:
    """A run at the head of a column or line; it may be broken after an equals sign."""
    return join((chip(entry.style), Markup(escape(entry.label).replace("=", "=<wbr/>"))), " ")


def _grid(names: Sequence[str], heads: Sequence[str], cells: Sequence[Sequence[Markup]]) -> Markup:
    """A table in a box that scrolls sideways when it must."""
    top = element("tr", element("th", "", scope="col"), *(element("th", head, scope="col") for head in heads))
    lines = (element("tr", element("th", name, scope="row"), *line) for name, line in zip(names, cells, strict=True))
    return element(
        "div",
        element("table", element("thead", top), element("tbody", *lines)),
        class_="wide table",
        role="region",
        aria_label="table",
        tabindex=0,
    )


def settings(shown: Sequence[Entry]) -> Markup:
    parts = [_differences(shown)] if len(shown) > 1 else []
    for e in shown:
        content = join((_rerun(e.run), _all_settings(e.run)))
        head = element("summary", chip(e.style), " ", e.label)
        parts.append(element("details", head, content) if len(shown) > 1 else content)
    return join(parts)


def _differences(shown: Sequence[Entry]) -> Markup:
    configs = [e.run.config for e in shown]
    keys = differing(configs, idle=())
    if not keys:
        return element("p", "The runs have the same settings.")
    cells = [[element("td", config.get(key, units.DASH)) for config in configs] for key in keys]
    return _grid(keys, [_name(e) for e in shown], cells)


def _rerun(run: Run) -> Markup:
    """The command that runs it again, as it can be pasted into a shell."""
    verb = "sim" if run.summary.world == "sim" else "swarm"
    file = shlex.quote(str(run.path / "config.toml")) if run.config else f"{run.name}/config.toml"
    return join(
        (element("p", "To run it again:", class_="soft"), element("pre", element("code", f"gossipnet {verb} {file}")))
    )


def _all_settings(run: Run) -> Markup:
    sections: dict[str, list[tuple[str, str]]] = {}
    for key, value in run.config.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, []).append((name, value))
    lists = (
        element("div", element("h3", f"[{section}]"), element("dl", *(_setting(n, v) for n, v in held)))
        for section, held in sections.items()
    )
    return element("div", *lists, class_="settings")


def _setting(name: str, value: str) -> Markup:
    return join((element("dt", say(name)), element("dd", value or units.DASH)))
