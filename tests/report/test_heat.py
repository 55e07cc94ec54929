import xml.etree.ElementTree as ET

import numpy as np

from gossipnet.report.heat import MOST_CLASSES, MOST_NODES, draw_split
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


def test_a_split_without_samples_is_drawn() -> None:
    assert cells(split([[0, 0]])) == []
