import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from gossipnet.report.axis import SHARE
from gossipnet.report.chart import HEIGHT, MOST_MARKS, WIDTH, Chart, Line, draw
from gossipnet.report.curves import Curve

X = np.array([1.0, 2.0, 3.0, 4.0])
Y = np.array([0.1, 0.5, 0.7, 0.8])


def chart(*lines: Line, **other: object) -> Chart:
    return Chart("Accuracy", "Mean over nodes.", lines, y_kind=SHARE, **other)  # type: ignore[arg-type]


def svg(drawn: str) -> ET.Element:
    return next(e for e in ET.fromstring(drawn).iter("svg") if e.get("class") == "chart")


def numbers(d: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", d)]


def mean_path(drawn: str) -> str:
    return next(p.get("d", "") for p in svg(drawn).iter("path") if p.get("class") == "mean")


def test_a_figure_is_well_formed_and_says_what_it_shows() -> None:
    drawn = draw(chart(Line("a<b", Curve(X, Y), "s0"), Line("c", Curve(X, 1 - Y), "s1")))
    picture = svg(drawn)
    assert [e.tag for e in list(picture)[:2]] == ["title", "desc"]
    assert picture.findtext("desc") == "Mean over nodes. a<b: from 10.0% to 80.0%; c: from 90.0% to 20.0%."
    assert picture.get("role") == "img"


def test_higher_numbers_are_drawn_higher_and_within_the_picture() -> None:
    points = numbers(mean_path(draw(chart(Line("a", Curve(X, Y), "s0")))))
    assert len(points) == 4
    assert [p[0] for p in points] == sorted(p[0] for p in points)
    assert [p[1] for p in points] == sorted((p[1] for p in points), reverse=True)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)


def test_a_curve_is_broken_where_a_number_is_missing() -> None:
    d = mean_path(draw(chart(Line("a", Curve(X, np.array([0.1, math.nan, 0.7, 0.8])), "s0"))))
    assert re.sub(r"[^ML]", "", d) == "MML"


def test_the_reading_carries_each_point_as_text() -> None:
    curve = Curve(X, Y, worst=Y - 0.05)
    line = next(e for e in svg(draw(chart(Line("a", curve, "s0")))).iter("g") if e.get("data-label"))
    assert line.get("data-x") == "1|2|3|4"
    assert (line.get("data-y") or "").split("|")[0] == "10.0%, worst 5.0%"
    assert len((line.get("data-at") or "").split(" ")) == 4
    assert line.get("data-name") == "round"


def test_curves_differ_in_colour_and_shape() -> None:
    drawn = draw(chart(*(Line(f"run {i}", Curve(X, Y), f"s{i}") for i in range(20))))
    looks = {
        (g.get("class"), next(p.get("d") for p in g.iter("path") if p.get("transform")))
        for g in svg(drawn).iter("g")
        if (g.get("class") or "").startswith("line")
    }
    assert len(looks) == 20


def test_a_single_curve_needs_no_legend() -> None:
    assert "legend" not in draw(chart(Line("a", Curve(X, Y), "s0")))
    assert "legend" in draw(chart(Line("a", Curve(X, Y), "s0"), Line("b", Curve(X, Y), "s1")))


def test_the_end_and_the_reference_lie_within_the_axis() -> None:
    line = Line("a", Curve(X, Y), "s0", end=0.99)
    drawn = draw(chart(line, reference=1.0))
    end = next(p for p in svg(drawn).iter("path") if p.get("class") == "end")
    _, y = (float(v) for v in re.findall(r"[\d.]+", end.get("transform") or ""))
    assert 0 < y < HEIGHT
    assert 'class="reference"' in drawn


def test_long_curves_are_whole() -> None:
    """Each of 160 points is in the mean, twice in the band, and in all three lists that the page reads out."""
    x = np.arange(1.0, 161.0)
    y = 0.1 + 0.8 * (x / 160) ** 0.7
    drawn = svg(draw(chart(Line("a", Curve(x, y, y - 0.05, y + 0.05, y - 0.1), "s0"))))
    [band] = (p.get("d", "") for p in drawn.iter("path") if p.get("class") == "band")
    assert len(numbers(band)) == 320
    assert numbers(band)[0][0] == numbers(band)[-1][0]
    [line] = (g for g in drawn.iter("g") if g.get("data-at"))
    assert [len(line.get(f"data-{k}", "").split(by)) for k, by in (("at", " "), ("x", "|"), ("y", "|"))] == [160] * 3


def test_long_curves_have_few_marks() -> None:
    x = np.arange(160.0)
    drawn = draw(chart(Line("a", Curve(x, x / 160), "s0")))
    assert drawn.count("translate(") <= MOST_MARKS


@pytest.mark.parametrize("y", [[0.0], [0.5], [math.nan], [0.0, 0.0]])
def test_degenerate_curves_are_drawn(y: list[float]) -> None:
    x = np.arange(1.0, len(y) + 1)
    points = numbers(mean_path(draw(chart(Line("a", Curve(x, np.array(y)), "s0")))))
    assert len(points) == np.isfinite(y).sum()
