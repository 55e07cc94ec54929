import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from gossipnet.report.heat import MOST_CLASSES, MOST_NODES, draw_split
from gossipnet.report.look import STYLE
from gossipnet.report.run import Split


def split(counts: list[list[int]]) -> Split:
    return Split(tuple(f"class {c}" for c in range(len(counts[0]))), np.array(counts, dtype=np.int64))


def cells(of: Split) -> list[ET.Element]:
    picture = ET.fromstring(draw_split(of))
    group = [g for g in picture.iter("g") if g.get("class") == "cells"]
    return [r for g in group for r in g.iter("rect")]


def test_a_cell_for_each_class_that_a_node_holds() -> None:
    found = {r.findtext("title"): r.get("fill-opacity") for r in cells(split([[10, 0], [5, 20]]))}
    assert found == {
        "node 0, class class 0: 10": "0.50",
        "node 1, class class 0: 5": "0.25",
        "node 1, class class 1: 20": "1.00",
    }


def test_few_nodes_have_their_counts_written() -> None:
    texts = [t.text for t in ET.fromstring(draw_split(split([[10, 0], [5, 2000]]))).iter("text")]
    assert {"10", "5", "2,000"} <= set(texts)


def test_of_many_nodes_some_are_drawn_the_last_among_them() -> None:
    many = split([[1, 1]] * 1000)
    titles = [r.findtext("title") or "" for r in cells(many)]
    assert len(titles) == 2 * MOST_NODES
    assert "node 999, class class 1: 1" in titles
    assert f"{MOST_NODES} of 1,000 nodes drawn" in draw_split(many)


def test_of_many_classes_neighbours_are_summed() -> None:
    many = split([[1] * 100])
    titles = [r.findtext("title") or "" for r in cells(many)]
    assert len(titles) <= MOST_CLASSES
    assert sum(int(t.rpartition(" ")[2]) for t in titles) == 100
    assert titles[0] == "node 0, class class 0–class 2: 3"


def test_the_caption_tells_sizes_and_classes() -> None:
    assert "5 to 25 samples a node (bars), 1 to 2 of 2 classes" in draw_split(split([[5, 0], [5, 20]]))

    assert "(bars), 2 of 2 classes" in draw_split(split([[5, 1], [5, 20]]))


def luminance(rgb: np.ndarray) -> float:
    """WCAG 2.2, relative luminance."""
    c = rgb / 255
    return float(np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_can_be_read_on_their_cells(scheme: str) -> None:
    light, dark = (dict(re.findall(r"--([\w-]+): ([^;}]+?)\s*[;}]", part)) for part in STYLE.split("@media screen", 1))
    colors = light if scheme == "light" else light | dark

    def rgb(name: str) -> np.ndarray:
        text = colors[re.sub(r"var\(--(.*)\)", r"\1", colors[name]) if "var" in colors[name] else name].lstrip("#")
        return np.array([int(h, 16) for h in (re.findall("..", text) if len(text) == 6 else [c * 2 for c in text])])

    shares = (1, 20, 40, 55, 60, 62, 64, 70, 80, 85, 87, 89, 95, 100)  # so few that their numbers are written
    picture = ET.fromstring(draw_split(split([[s, 100] for s in shares])))
    texts = [t for g in picture.iter("g") if g.get("class") == "cells" for t in g.iter("text")]
    assert len(texts) == 2 * len(shares)
    for text in texts:
        share = int(text.text or "") / 100
        ground = luminance(share * rgb("heat") + (1 - share) * rgb("ground"))
        ink = luminance(rgb({"upper": "upper-ink", "full": "heat-ink"}.get(text.get("class") or "", "ink")))
        low, high = sorted([ground, ink])
        assert (high + 0.05) / (low + 0.05) > 4


def test_a_split_without_samples_is_drawn() -> None:
    assert cells(split([[0, 0]])) == []
