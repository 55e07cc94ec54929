"""Line charts as SVG, drawn once in Python; the page's script only reads out what is already in them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gossipnet.report.axis import PLAIN, ROUND, Axis, Kind, make_axis
from gossipnet.report.curves import Curve
from gossipnet.report.markup import Markup, element, join, short
from gossipnet.report.metrics import Floats

WIDTH, HEIGHT = 520.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 26.0, 12.0, 50.0
MOST_MARKS = 24
N_COLORS = 8
# One shape a colour, so that curves differ without colour too: circle, square, up, down, cross, diamond, bar, dash.
_SHAPES = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "M-3.6-3.6h7.2v7.2h-7.2z",
    "M0-4.8L4.6 3.4h-9.2z",
    "M0 4.8L4.6-3.4h-9.2z",
    "M-1.4-4.4h2.8v3h3v2.8h-3v3h-2.8v-3h-3v-2.8h3z",
    "M0-5L4 0L0 5L-4 0z",
    "M-1.6-5h3.2v10h-3.2z",
    "M-5-1.6h10v3.2h-10z",
)
_DIAMOND = "M0-7.5L6 0L0 7.5L-6 0z"


@dataclass(frozen=True)
class Line:
    """`style` picks colour and shape (s0, s1, ...) or a shade without shape (l0 to l7).

    `end` is one more figure at the end of the curve.
    """

    label: str
    curve: Curve
    style: str
    end: float | None = None


@dataclass(frozen=True)
class Chart:
    """`about` is one sentence under the title. `reference` is a level that a reader should compare with."""

    title: str
    about: str
    lines: tuple[Line, ...]
    x_label: str = "round"
    x_kind: Kind = ROUND
    y_kind: Kind = PLAIN
    log_above: float = math.inf
    x_log_above: float = math.inf
    reference: float | None = None
    include: tuple[float, ...] = ()  # heights that the axis must reach too
    worst_is: str = "worst"


def draw(chart: Chart) -> Markup:
    """A figure: title, legend, SVG with a description that says in words where each curve starts and ends."""
    x = make_axis(_all(line.curve.x for line in chart.lines), chart.x_kind, tight=True, log_above=chart.x_log_above)
    y = make_axis(_all(_heights(chart)), chart.y_kind, log_above=chart.log_above)
    drawn = element(
        "svg",
        element("title", chart.title),
        element("desc", _describe(chart)),
        _grid(x, y, chart),
        join(_band(line, x, y) for line in chart.lines),
        join(_line(line, x, y, chart) for line in chart.lines),
        class_="chart",
        role="img",
        tabindex=0,
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
    )
    head = element("figcaption", element("h3", chart.title), element("p", chart.about))
    names = legend(chart.lines) if len(chart.lines) > 1 else ""
    return element("figure", head, names, drawn, class_="plot")


def legend(lines: Iterable[Line]) -> Markup:
    """The names of the curves, each with its colour and shape."""
    return element("ul", *(element("li", chip(li.style), li.label) for li in lines), class_="legend")


def chip(style: str) -> Markup:
    """The piece of line that stands for a curve in a legend or a table."""
    mark = element("path", d=_shape(style), transform="translate(13 7)") if style.startswith("s") else ""
    line = element("path", class_="mean", d="M1 7h24")
    return element("svg", line, mark, class_=f"chip {color(style)}", viewBox="0 0 26 14", aria_hidden="true")


def color(style: str) -> str:
    """The class of a style in the style sheet; from the ninth run on, colours come back with another shape."""
    return f"{style[0]}{int(style[1:]) % N_COLORS}"


def _heights(chart: Chart) -> Iterable[Floats]:
    yield np.array([*chart.include, *(v for v in (chart.reference,) if v is not None)], dtype=np.float64)
    for line in chart.lines:
        yield np.array([line.end] if line.end is not None else [], dtype=np.float64)
        curve = line.curve
        yield from (v for v in (curve.mean, curve.low, curve.high, curve.worst) if v is not None)


def _all(parts: Iterable[Floats]) -> Floats:
    return np.concatenate([np.empty(0), *parts])


def _describe(chart: Chart) -> str:
    read = chart.y_kind.read
    ends = [f"{li.label}: from {read(float(li.curve.mean[0]))} to {read(li.curve.last)}" for li in chart.lines]
    return f"{chart.about} {'; '.join(ends)}."


def _grid(x: Axis, y: Axis, chart: Chart) -> Markup:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for value, text in y.ticks:
        at = float(_down(y, np.array([value]))[0])
        parts.append(element("line", x1=LEFT, x2=right, y1=at, y2=at))
        parts.append(element("text", text, x=LEFT - 8, y=at, dy="0.35em", text_anchor="end"))
    for value, text in x.ticks:
        at = float(_across(x, np.array([value]))[0])
        parts.append(element("line", x1=at, x2=at, y1=bottom, y2=bottom + 4))
        parts.append(element("text", text, x=at, y=bottom + 20, text_anchor="middle"))
    if chart.reference is not None:
        at = float(_down(y, np.array([chart.reference]))[0])
        parts.append(element("line", class_="reference", x1=LEFT, x2=right, y1=at, y2=at))
    label = f"{chart.x_label} ({x.unit})" if x.unit else chart.x_label
    parts.append(element("text", label, class_="label", x=(LEFT + right) / 2, y=HEIGHT - 8, text_anchor="middle"))
    return element("g", *parts, class_="axes")


def _band(line: Line, x: Axis, y: Axis) -> Markup:
    """The middle half of the nodes as an area, the worst of them as a broken line."""
    curve, parts = line.curve, []
    if curve.low is not None and curve.high is not None:
        there, back = _points(curve.x, curve.high, x, y), _points(curve.x, curve.low, x, y)[::-1]
        area = np.concatenate([there, back])
        parts.append(element("path", class_="band", d=_path(area[np.isfinite(area).all(axis=1)])))
    if curve.worst is not None:
        parts.append(element("path", class_="worst", d=_path(_points(curve.x, curve.worst, x, y))))
    return element("g", *parts, class_=color(line.style))


def _line(line: Line, x: Axis, y: Axis, chart: Chart) -> Markup:
    points = _points(line.curve.x, line.curve.mean, x, y)
    seen = np.flatnonzero(np.isfinite(points).all(axis=1))
    marks = seen if len(seen) <= MOST_MARKS else seen[:: len(seen) // (MOST_MARKS // 2)]
    parts = [element("path", class_="mean", d=_path(points))]
    if line.style.startswith("s"):
        parts += [_mark(_shape(line.style), points[i]) for i in marks]
    if line.end is not None and not math.isnan(line.end):
        end = _points(line.curve.x[-1:], np.array([line.end]), x, y)[0]
        parts.append(_mark(_DIAMOND, end, "end"))
    return element("g", *parts, class_=f"line {color(line.style)}", **_read_out(line, points, seen, chart))


def _read_out(line: Line, points: Floats, seen: NDArray[np.intp], chart: Chart) -> dict[str, object]:
    """What the script shows at each point, as text: positions, x values, y values."""
    curve, read = line.curve, chart.y_kind.read
    worst = [f", {chart.worst_is} {read(float(w))}" for w in curve.worst] if curve.worst is not None else None
    says = [read(float(curve.mean[i])) + (worst[i] if worst else "") for i in seen]
    return {
        "data_label": line.label,
        "data_at": " ".join(f"{short(points[i, 0])},{short(points[i, 1])}" for i in seen),
        "data_x": "|".join(f"{chart.x_kind.read(float(curve.x[i]))}" for i in seen),
        "data_y": "|".join(says),
        "data_name": chart.x_label if chart.x_label == "round" else "",
    }


def _mark(shape: str, point: Floats, class_: str | None = None) -> Markup:
    return element("path", class_=class_, d=shape, transform=f"translate({short(point[0])} {short(point[1])})")


def _shape(style: str) -> str:
    n = int(style[1:])
    return _SHAPES[(n + n // N_COLORS) % len(_SHAPES)]


def _points(x: Floats, y: Floats, across: Axis, down: Axis) -> Floats:
    """(n, 2) positions in the drawing, nan where there is no number."""
    return np.stack([_across(across, x), _down(down, y)], axis=1)


def _across(axis: Axis, values: Floats) -> Floats:
    return LEFT + axis.at(values) * (WIDTH - LEFT - RIGHT)


def _down(axis: Axis, values: Floats) -> Floats:
    return HEIGHT - BOTTOM - np.clip(axis.at(values), -0.02, 1.02) * (HEIGHT - TOP - BOTTOM)


def _path(points: Floats) -> str:
    """A path through the points, broken where one is nan."""
    text, pen = [], "M"
    for px, py in points:
        if math.isnan(px) or math.isnan(py):
            pen = "M"
            continue
        text.append(f"{pen}{short(px)} {short(py)}")
        pen = "L"
    return "".join(text)
