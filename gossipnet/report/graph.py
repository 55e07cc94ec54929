"""The topology as a picture, each node in the colour of its final accuracy."""

import math
from collections.abc import Mapping

import numpy as np

from gossipnet.report.layout import positions
from gossipnet.report.markup import Markup, clean, element, join, short
from gossipnet.report.metrics import Floats
from gossipnet.report.run import Graph
from gossipnet.report.units import percent

SIZE, EDGE = 360.0, 26.0
MOST_DRAWN = 2000
MOST_EDGES, MOST_NAMED, MOST_ARROWS = 3000, 32, 200
# Nine stops of viridis (van der Walt and Smith, CC0), which stays in order for every kind of colour vision.
_STOPS = ("440154", "472c7a", "3b518b", "2c718e", "21908d", "27ad81", "5cc863", "aadc32", "fde725")


def shade(share: float) -> str:
    """0 is dark violet, 1 is yellow."""
    place = min(max(share, 0.0), 1.0) * (len(_STOPS) - 1)
    i = min(int(place), len(_STOPS) - 2)
    pairs = (tuple(int(s[k : k + 2], 16) for k in (0, 2, 4)) for s in _STOPS[i : i + 2])
    return "#" + "".join(f"{round(a + (b - a) * (place - i)):02x}" for a, b in zip(*pairs, strict=True))


def draw_graph(graph: Graph, accuracy: Mapping[int, float], span: tuple[float, float], title: str) -> Markup:
    """A figure. `span` is the accuracy of the darkest and of the brightest colour, shared by figures to compare."""
    at = SIZE / 2 + positions(graph.n, graph.edges, graph.name) * (SIZE / 2 - EDGE)
    edges, of = _shown_edges(graph)
    shown = range(0, graph.n, math.ceil(graph.n / MOST_DRAWN))
    about = f"{graph.name or 'topology'}: {graph.n:,} nodes, {of:,} {'directed ' if graph.directed else ''}links"
    if len(edges) < of or len(shown) < graph.n:
        about += f" ({len(shown):,} and {len(edges):,} of them drawn)"
    radius = min(11.0, max(2.2, 66 / math.sqrt(graph.n)))
    nodes = (_node(graph, i, at[i], radius, accuracy.get(i), span) for i in shown)
    drawn = element(
        "svg",
        element("title", title),
        element("desc", f"{about}. {_spread(accuracy)}"),
        _links(edges, at, graph.directed and len(edges) <= MOST_ARROWS, radius),
        element("g", *nodes, class_="many" if graph.n > 200 else None),
        class_="graph",
        role="img",
        viewBox=f"0 0 {SIZE:g} {SIZE:g}",
    )
    return element("figure", element("figcaption", element("h3", title), element("p", about)), drawn, class_="plot")


def span_of(accuracies: list[float]) -> tuple[float, float]:
    """From the worst to the best, at least two points wide so that colours do not make much of little."""
    low, high = min(accuracies, default=0.0), max(accuracies, default=1.0)
    middle, half = (low + high) / 2, max((high - low) / 2, 0.01)
    return middle - half, middle + half


def color_bar(span: tuple[float, float], all_known: bool = False) -> Markup:
    """What the colours mean, with a grey swatch for nodes that have no accuracy, if there are any."""
    stops = ", ".join(shade(i / 8) for i in range(9))
    bar = element("span", class_="bar", style=f"background:linear-gradient(90deg, {stops})")
    other = element("span", element("span", class_="bar none"), "unknown", class_="pair")
    parts = ("final accuracy", percent(span[0]), bar, percent(span[1]))
    return element("p", join(parts if all_known else (*parts, other), " "), class_="colors")


def _node(graph: Graph, i: int, at: Floats, radius: float, accuracy: float | None, span: tuple[float, float]) -> Markup:
    label = graph.labels[i]
    share = math.nan if accuracy is None else (accuracy - span[0]) / (span[1] - span[0])
    name = f"node {i}" if label == str(i) else f"node {i} ({label})"
    circle = element(
        "circle",
        element("title", f"{name}: {percent(accuracy)}"),
        cx=float(at[0]),
        cy=float(at[1]),
        r=radius,
        fill=None if math.isnan(share) else shade(share),
    )
    if graph.n > MOST_NAMED:
        return circle
    ink = "on-dark" if share < 0.6 else "on-bright"
    text = element("text", i, x=float(at[0]), y=float(at[1]), dy="0.35em", text_anchor="middle", class_=ink)
    return join((circle, text))


def _links(edges: list[tuple[int, int]], at: Floats, arrows: bool, radius: float) -> Markup:
    d = "".join(_link(at[a], at[b]) for a, b in edges)
    heads = "".join(_arrow(at[a], at[b], radius) for a, b in edges) if arrows else ""
    faint = "links faint" if len(edges) > 400 else "links"
    return join((element("path", class_=faint, d=d), element("path", class_="heads", d=heads) if heads else ""))


def _link(a: Floats, b: Floats) -> str:
    return f"M{short(a[0])} {short(a[1])}L{short(b[0])} {short(b[1])}"


def _arrow(a: Floats, b: Floats, radius: float) -> str:
    """A head where the link from a meets the circle of b."""
    along = (b - a) / max(float(np.hypot(*(b - a))), 1e-9)
    tip, across = b - along * radius, np.array([-along[1], along[0]])
    corners = (tip, tip - 7 * along + 3 * across, tip - 7 * along - 3 * across)
    return "M" + "L".join(f"{short(c[0])} {short(c[1])}" for c in corners) + "z"


def _shown_edges(graph: Graph) -> tuple[list[tuple[int, int]], int]:
    """The links to draw, evenly chosen if there are too many, and how many there are; loops are left out."""
    found = [(a, b) for a, b in graph.edges.tolist() if a != b]
    if not graph.directed:
        found = sorted({(min(e), max(e)) for e in found})
    stride = math.ceil(len(found) / MOST_EDGES) or 1
    return found[::stride], len(found)


def _spread(accuracy: Mapping[int, float]) -> str:
    if not accuracy:
        return "No node has been evaluated yet."
    worst = min(accuracy, key=accuracy.__getitem__)
    best = max(accuracy, key=accuracy.__getitem__)
    return clean(f"Worst: node {worst} at {percent(accuracy[worst])}; best: node {best} at {percent(accuracy[best])}.")
