"""Who holds which data: nodes across, classes down, the darker the more samples."""

import numpy as np
from numpy.typing import NDArray

from gossipnet.report.markup import Markup, element, join
from gossipnet.report.run import Split
from gossipnet.report.units import count

MOST_NODES, MOST_CLASSES = 128, 40
WIDTH, LEFT, TOP, TALL = 1080.0, 64.0, 54.0, 16.0
UPPER, FULL = 0.61, 0.86  # shares from which the ink of numbers turns over: on a dark ground, on a light one
_BAR = 34.0  # the tallest of the bars above the map, which show all samples of a node


def draw_split(split: Split, title: str = "Samples of each class on each node") -> Markup:
    """A figure; of many nodes an even selection is drawn, of many classes neighbouring ones are drawn together."""
    nodes = np.unique(np.linspace(0, len(split.counts) - 1, MOST_NODES).round().astype(int))
    counts, classes = _grouped(split.counts[nodes], split.classes)
    about = _about(split, len(nodes))
    wide = min((WIDTH - LEFT) / len(nodes), 60.0)
    height = TOP + TALL * len(classes) + 34
    width = LEFT + wide * len(nodes) + 2
    drawn = element(
        "svg",
        element("title", title),
        element("desc", about),
        _bars(counts, nodes, wide),
        element("rect", x=LEFT, y=TOP, width=wide * len(nodes), height=TALL * len(classes), class_="ground"),
        join(_row(counts[:, c], classes[c], c, nodes, wide, int(counts.max())) for c in range(len(classes))),
        _node_numbers(nodes, wide, height),
        class_="heat",
        role="img",
        viewBox=f"0 0 {round(width)} {round(height)}",
        style=f"max-width:{round(width)}px;min-width:{min(round(width), 560)}px",
    )
    box = element("div", drawn, class_="wide", role="region", aria_label=title, tabindex=0)
    return element("figure", element("figcaption", element("h3", title), element("p", about)), box, class_="plot full")


def _grouped(counts: NDArray[np.int64], classes: tuple[str, ...]) -> tuple[NDArray[np.int64], list[str]]:
    """Columns summed in groups until at most MOST_CLASSES are left."""
    size = -(-len(classes) // MOST_CLASSES)
    starts = np.arange(0, len(classes), size)
    groups = [classes[s : s + size] for s in starts]
    names = [g[0] if len(g) == 1 else f"{g[0]}–{g[-1]}" for g in groups]
    return np.add.reduceat(counts, starts, axis=1), names


def _about(split: Split, shown: int) -> str:
    total = split.counts.sum(axis=1)
    held = (split.counts > 0).sum(axis=1)
    text = f"{count(int(total.min()))} to {count(int(total.max()))} samples a node (bars), "
    least, most = int(held.min()), int(held.max())
    text += f"{most if least == most else f'{least} to {most}'} of {len(split.classes)} classes"
    return text + (f"; {shown} of {len(total):,} nodes drawn" if shown < len(total) else "")


def _bars(counts: NDArray[np.int64], nodes: NDArray[np.int64], wide: float) -> Markup:
    total = counts.sum(axis=1)
    tall = _BAR * total / max(int(total.max()), 1)
    bars = (
        element(
            "rect",
            element("title", f"node {node}: {count(int(total[i]))} samples"),
            x=LEFT + i * wide + 0.5,
            y=float(TOP - 4 - tall[i]),
            width=max(wide - 1, 0.5),
            height=float(tall[i]),
        )
        for i, node in enumerate(nodes)
    )
    label = element("text", "samples", x=LEFT - 8, y=TOP - 8, text_anchor="end")
    return join((label, element("g", *bars, class_="totals")))


def _row(counts: NDArray[np.int64], name: str, row: int, nodes: NDArray[np.int64], wide: float, most: int) -> Markup:
    y = TOP + row * TALL
    label = element("text", name if len(name) <= 8 else name[:7] + "…", x=LEFT - 8, y=y + 12, text_anchor="end")
    places = [(i, int(node), int(n)) for i, (node, n) in enumerate(zip(nodes, counts, strict=True)) if n]
    cells = (
        _cell(LEFT + i * wide, y, wide, n / most, f"node {node}, class {name}: {count(n)}") for i, node, n in places
    )
    numbers = (_number(LEFT + (i + 0.5) * wide, y, n, n / most) for i, _, n in places) if wide >= 30 else ()
    return join((label, element("g", *cells, *numbers, class_="cells")))


def _cell(x: float, y: float, wide: float, share: float, title: str) -> Markup:
    box = {"x": x + 0.5, "y": y + 0.5, "width": max(wide - 1, 0.5), "height": TALL - 1}
    return element("rect", element("title", title), **box, fill_opacity=f"{share:.2f}")


def _number(x: float, y: float, n: int, share: float) -> Markup:
    ink = "full" if share > FULL else "upper" if share > UPPER else None
    return element("text", count(n), x=x, y=y + 12, text_anchor="middle", class_=ink)


def _node_numbers(nodes: NDArray[np.int64], wide: float, height: float) -> Markup:
    step = max(1, round(34 / wide))
    numbers = (
        element("text", node, x=LEFT + (i + 0.5) * wide, y=height - 20, text_anchor="middle")
        for i, node in enumerate(nodes)
        if i % step == 0
    )
    return join((*numbers, element("text", "node", class_="label", x=LEFT - 8, y=height - 20, text_anchor="end")))
