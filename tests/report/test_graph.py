import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from gossipnet.report.graph import MOST_DRAWN, MOST_EDGES, MOST_NAMED, color_bar, draw_graph, shade, span_of
from gossipnet.report.run import Graph


def graph(n: int, *pairs: tuple[int, int], directed: bool = False) -> Graph:
    return Graph("ring", n, tuple(map(str, range(n))), np.array(pairs, dtype=np.int64).reshape(-1, 2), directed)


def ring(n: int) -> Graph:
    return graph(n, *((i, (i + 1) % n) for i in range(n)))


def drawn(of: Graph, accuracy: dict[int, float] | None = None) -> ET.Element:
    return ET.fromstring(draw_graph(of, accuracy or {}, (0.0, 1.0), "Topology"))


def test_every_node_and_every_link_is_drawn_once() -> None:
    picture = drawn(graph(3, (0, 1), (1, 0), (1, 2), (2, 2)))
    assert len(list(picture.iter("circle"))) == 3
    links = next(p.get("d", "") for p in picture.iter("path") if "links" in (p.get("class") or ""))
    assert links.count("M") == 2
    assert "3 nodes, 2 links" in "".join(picture.itertext())


def test_directed_links_have_heads() -> None:
    picture = drawn(graph(3, (0, 1), (1, 0), (1, 2), directed=True))
    heads = next(p.get("d", "") for p in picture.iter("path") if p.get("class") == "heads")
    assert heads.count("z") == 3
    assert "directed" in "".join(picture.itertext())


def test_nodes_have_the_colour_of_their_accuracy() -> None:
    circles = list(drawn(ring(3), {0: 0.0, 1: 1.0}).iter("circle"))
    assert [c.get("fill") for c in circles] == [shade(0.0), shade(1.0), None]
    assert circles[1].findtext("title") == "node 1: 100.0%"
    assert circles[2].findtext("title") == "node 2: –"


def test_small_graphs_show_numbers_and_large_ones_do_not() -> None:
    assert len(list(drawn(ring(MOST_NAMED)).iter("text"))) == MOST_NAMED
    assert not list(drawn(ring(MOST_NAMED + 1)).iter("text"))


def test_a_dense_graph_is_thinned_and_says_so() -> None:
    dense = graph(200, *((a, b) for a in range(200) for b in range(a)))
    text = draw_graph(dense, {}, (0.0, 1.0), "Topology")
    assert len(re.findall(r"M[\d.]+ [\d.]+L", text)) <= MOST_EDGES
    assert "19,900 links (200 and " in text


def test_of_very_many_nodes_some_are_drawn() -> None:
    text = draw_graph(ring(9000), {}, (0.0, 1.0), "Topology")
    assert text.count("<circle") <= MOST_DRAWN
    assert "9,000 nodes, 9,000 links (1,800 and 3,000 of them drawn)" in text


def test_shades_go_from_dark_to_bright() -> None:
    light = [
        sum(w * int(shade(s)[i : i + 2], 16) for w, i in ((0.3, 1), (0.6, 3), (0.1, 5))) for s in np.linspace(0, 1, 30)
    ]
    assert (np.diff(light) > 0).all()
    assert shade(-1) == shade(0)
    assert shade(2) == shade(1)


@pytest.mark.parametrize("scores", [[0.5], [0.5, 0.501]])
def test_colours_do_not_make_much_of_little(scores: list[float]) -> None:
    low, high = span_of(scores)
    assert high - low == pytest.approx(0.02)
    assert low < min(scores) <= max(scores) < high


def test_the_bar_names_its_ends() -> None:
    assert span_of([0.2, 0.9]) == pytest.approx((0.2, 0.9))
    assert "20.0%" in color_bar((0.2, 0.9))
    assert "90.0%" in color_bar((0.2, 0.9))


def test_grey_is_explained_where_a_node_has_no_accuracy() -> None:
    assert "unknown" in color_bar((0.2, 0.9))
    assert "unknown" not in color_bar((0.2, 0.9), all_known=True)
