"""Pictures of a topology: `svg` gives text, `draw` writes `.svg` or `.png`.

The background is left transparent and every color is a middle one, so that a picture suits light and dark pages.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gossipnet.errors import BadInput
from gossipnet.topology.graph import Topology
from gossipnet.topology.layout import layout

SIDE = 640.0  # of the square that holds the nodes, in px
MARGIN = 56.0
CAPTION = 48.0
NODE = "#0072b2"  # of the color-blind safe palette of Okabe and Ito
EDGE = "#8c8c8c"
INK = "#767676"  # the gray that has the same contrast, 4.5, with white and with black
_RAMP = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")  # viridis
NAMED = 80  # nodes; above, names are tooltips only


@dataclass(frozen=True)
class Line:
    start: tuple[float, float]
    end: tuple[float, float]
    width: float
    opacity: float
    arrow: bool
    title: str


@dataclass(frozen=True)
class Circle:
    center: tuple[float, float]
    radius: float
    fill: str
    title: str


@dataclass(frozen=True)
class Text:
    at: tuple[float, float]
    text: str
    size: float
    fill: str
    anchor: str = "middle"  # or start, end


@dataclass(frozen=True)
class Picture:
    """What to draw, in px, in the order lines, circles, texts."""

    width: float
    height: float
    lines: tuple[Line, ...]
    circles: tuple[Circle, ...]
    texts: tuple[Text, ...]


def draw(topology: Topology, path: str | Path, values: Sequence[float] | None = None) -> None:
    """Write a picture; its suffix says how: .svg, or .png with matplotlib (extra `plots`). Raises BadInput."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".svg", ".png"):
        raise BadInput(f"cannot draw a topology as {str(path)!r}: expected .svg or .png")
    try:
        if suffix == ".svg":
            Path(path).write_text(svg(topology, values), encoding="utf-8")
        else:
            _png(picture(topology, values), Path(path))
    except OSError as error:
        raise BadInput(f"cannot write {str(path)!r}: {error.strerror}") from None


def svg(topology: Topology, values: Sequence[float] | None = None) -> str:
    """A complete <svg> element. `values`, one per node, color the nodes from dark (least) to yellow (most)."""
    p = picture(topology, values)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {p.width:g} {p.height:g}" width="{p.width:g}" '
        f'height="{p.height:g}" role="img" font-family="system-ui, sans-serif">',
        f"<title>{_escape(topology.name)}</title>",
    ]
    parts += [_svg_line(line) for line in p.lines]
    parts += [_svg_circle(circle) for circle in p.circles]
    parts += [_svg_text(text) for text in p.texts]
    return "\n".join([*parts, "</svg>"]) + "\n"


def picture(topology: Topology, values: Sequence[float] | None = None) -> Picture:
    """The geometry of a drawing, for any renderer."""
    if values is not None and len(values) != topology.n:
        raise BadInput(f"got {len(values)} values to color {topology.n} nodes; expected one per node")
    points = MARGIN + SIDE * layout(topology)
    radius = _radius(points)
    colors = [NODE] * topology.n if values is None else _colors(values)
    shown = [] if values is None else [f"{label}: {v:.4g}" for label, v in zip(topology.labels, values, strict=True)]
    circles = tuple(
        Circle((x, y), radius, color, title)
        for (x, y), color, title in zip(points.tolist(), colors, shown or topology.labels, strict=True)
    )
    width = SIDE + 2 * MARGIN
    texts = (*_names(topology, points, radius, colors), *_caption(topology, width / 2, width, values))
    return Picture(width, width + CAPTION, _lines(topology, points, radius), circles, texts)


def _radius(points: np.ndarray) -> float:
    """As large as the nearest neighbors allow, from 3 to 16 px."""
    if len(points) < 2:
        return 16.0
    apart = np.linalg.norm(points[:, None] - points[None], axis=2) + np.diag(np.full(len(points), np.inf))
    return float(np.clip(0.36 * np.quantile(apart.min(1), 0.2), 3.0, 16.0))


def _lines(topology: Topology, points: np.ndarray, radius: float) -> tuple[Line, ...]:
    crowd = len(topology.edges) / max(topology.n, 1)  # edges per node
    opacity = float(np.clip(1.1 - 0.12 * crowd, 0.25, 0.9))
    width = 1.6 if len(topology.edges) < 300 else 1.0
    lines = []
    for i, j in topology.edges:
        start, end = points[i], points[j]
        length = float(np.linalg.norm(end - start)) or 1.0
        if topology.directed:
            end = end - (end - start) * min(1.0, (radius + 1) / length)
        title = f"{topology.labels[i]} {'to' if topology.directed else '-'} {topology.labels[j]}"
        title += "".join(f", {k}={v}" for k, v in topology.link(i, j).items())
        lines.append(Line(_point(start), _point(end), width, opacity, topology.directed, title))
    return tuple(lines)


def _point(p: np.ndarray) -> tuple[float, float]:
    return float(p[0]), float(p[1])


def _names(topology: Topology, points: np.ndarray, radius: float, colors: Sequence[str]) -> list[Text]:
    """Names inside the nodes where they fit, else beside them."""
    if topology.n > NAMED:
        return []
    longest = max(map(len, topology.labels))
    size = min(12.0, 1.9 * radius / (0.62 * longest))
    if size >= 8:
        pairs = zip(points.tolist(), topology.labels, colors, strict=True)
        return [Text((x, y + 0.35 * size), name, size, _on(color)) for (x, y), name, color in pairs]
    return _beside(topology, points, radius)


def _beside(topology: Topology, points: np.ndarray, radius: float, size: float = 10.0) -> list[Text]:
    """Names next to their nodes, those of the best connected first; one that would cover something is left out."""
    degree = np.bincount(np.array(topology.edges, dtype=int).ravel(), minlength=topology.n)
    taken = [_box(x - radius, x + radius, y, 2 * radius) for x, y in points.tolist()]
    placed = []
    for i in np.argsort(-degree, kind="stable").tolist():
        x, y = points[i].tolist()
        width = 0.6 * size * len(topology.labels[i])
        gap = radius + 3
        right, left = (x + gap, x + gap + width, y), (x - gap - width, x - gap, y)
        above, below = ((x - width / 2, x + width / 2, y + dy) for dy in (-gap - size / 2, gap + size / 2))
        outward = (right, left) if x >= points[:, 0].mean() else (left, right)
        boxes = [_box(*place, size) for place in (*outward, above, below)]
        free = next((box for box in boxes if _is_free(box, taken)), None)
        if free is not None:
            taken.append(free)
            at = ((free[0] + free[2]) / 2, (free[1] + free[3]) / 2 + 0.35 * size)
            placed.append(Text(at, topology.labels[i], size, INK))
    return placed


def _box(left: float, right: float, middle: float, height: float) -> tuple[float, float, float, float]:
    return left, middle - height / 2, right, middle + height / 2


def _is_free(box: tuple[float, float, float, float], taken: list[tuple[float, float, float, float]]) -> bool:
    side = SIDE + 2 * MARGIN
    if box[0] < 0 or box[1] < 0 or box[2] > side or box[3] > side:
        return False
    return not any(box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken)


def _caption(topology: Topology, middle: float, top: float, values: Sequence[float] | None) -> list[Text]:
    count = f"{topology.n:,} nodes, {len(topology.edges):,} {'directed ' if topology.directed else ''}edges"
    if topology.period > 1:
        count += f" over {topology.period} rounds"
    said = f"{count}, spectral gap {topology.spectral_gap:.3g}"
    if values is not None:
        said += f"; color: {min(values):.4g} (dark) to {max(values):.4g} (yellow)"
    return [Text((middle, top + 4), topology.name, 17.0, INK), Text((middle, top + 26), said, 13.0, INK)]


def _colors(values: Sequence[float]) -> list[str]:
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return [_ramp((v - low) / span) for v in values]


def _ramp(share: float) -> str:
    """A color of the ramp, for a share in [0, 1]; gray for nan."""
    if not math.isfinite(share):
        return EDGE
    position = min(max(share, 0.0), 1.0) * (len(_RAMP) - 1)
    k = min(int(position), len(_RAMP) - 2)
    mixed = [a + (b - a) * (position - k) for a, b in zip(_rgb(_RAMP[k]), _rgb(_RAMP[k + 1]), strict=True)]
    return "#" + "".join(f"{round(c):02x}" for c in mixed)


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))


def _on(color: str) -> str:
    """Black or white, whichever reads better on `color`."""
    r, g, b = _rgb(color)
    return "#000000" if 0.299 * r + 0.587 * g + 0.114 * b > 140 else "#ffffff"


def _svg_line(line: Line) -> str:
    (x1, y1), (x2, y2) = line.start, line.end
    body = f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke-width="{line.width:g}"/>'
    if line.arrow:
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in _arrow(line))
        body += f'<polygon points="{corners}" fill="{EDGE}" stroke="none"/>'
    title = f"<title>{_escape(line.title)}</title>"
    return f'<g stroke="{EDGE}" opacity="{line.opacity:.2f}">{title}{body}</g>'


def _arrow(line: Line, size: float = 7.0) -> list[tuple[float, float]]:
    """The corners of an arrow head whose tip is the end of `line`."""
    (x1, y1), (x2, y2) = line.start, line.end
    length = math.hypot(x2 - x1, y2 - y1) or 1.0
    dx, dy = size * (x2 - x1) / length, size * (y2 - y1) / length
    return [(x2, y2), (x2 - dx - 0.4 * dy, y2 - dy + 0.4 * dx), (x2 - dx + 0.4 * dy, y2 - dy - 0.4 * dx)]


def _svg_circle(circle: Circle) -> str:
    x, y = circle.center
    title = f"<title>{_escape(circle.title)}</title>"
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="{circle.radius:.1f}"'
    return f'<circle {place} fill="{circle.fill}" stroke="{INK}">{title}</circle>'


def _svg_text(text: Text) -> str:
    x, y = text.at
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{text.size:.1f}" fill="{text.fill}" text-anchor="{text.anchor}"'
    return f"<text {place}>{_escape(text.text)}</text>"


def _escape(text: str) -> str:
    """Safe inside XML, which cannot hold control characters at all."""
    return html.escape("".join(c if c.isprintable() else "?" for c in text))


def _png(p: Picture, path: Path) -> None:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise BadInput("drawing a .png needs matplotlib: pip install 'gossipnet[plots]', or draw a .svg") from None
    figure = Figure(figsize=(p.width / 100, p.height / 100), dpi=200)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, p.width), ylim=(p.height, 0))
    axes.axis("off")
    points = 0.72  # per px at 100 px an inch
    for line in p.lines:
        axes.plot(
            *zip(line.start, line.end, strict=True), color=EDGE, lw=line.width * points, alpha=line.opacity, zorder=1
        )
        if line.arrow:
            axes.fill(*zip(*_arrow(line), strict=True), color=EDGE, lw=0, alpha=line.opacity, zorder=1)
    for circle in p.circles:
        axes.plot(*circle.center, "o", ms=2 * circle.radius * points, mew=0.7, mec=INK, color=circle.fill, zorder=2)
    sides = {"middle": "center", "start": "left", "end": "right"}
    for text in p.texts:
        side = sides[text.anchor]
        axes.text(*text.at, text.text, size=text.size * points, color=text.fill, ha=side, va="baseline", zorder=3)
    figure.savefig(path, transparent=True)
