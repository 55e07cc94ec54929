import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.errors import BadInput
from gossipnet.topology import from_graphs, make_topology
from gossipnet.topology.draw import MARGIN, SIDE, draw, picture, svg

nx = pytest.importorskip("networkx")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("text", "n"), [("ring", 4), ("exponential", 12), ("tree", 60), ("regular:d=4", 200), ("ring", 1)]
)
def test_an_svg_shows_every_node_and_edge(text, n):
    made = make_topology(text, n)
    root = ElementTree.fromstring(svg(made))
    assert len(root.findall(f"{SVG}circle")) == n
    assert len(list(root.iter(f"{SVG}line"))) == len(made.edges)
    assert len(list(root.iter(f"{SVG}polygon"))) == (len(made.edges) if made.directed else 0)
    assert f"{n:,} nodes" in "".join(root.itertext())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=20), min_size=2, max_size=12, unique=True))
def test_any_names_are_safe(labels):
    graph = nx.Graph()
    nx.add_path(graph, labels)
    root = ElementTree.fromstring(svg(from_graphs("<&'\">", graph)))
    assert len(root.findall(f"{SVG}circle")) == len(labels)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["ring", "tree", "star", "scale-free:m=2", "karate-club", "les-miserables"]), st.integers(4, 80))
def test_nodes_do_not_overlap_and_names_stay_inside_and_apart(text, n):
    p = picture(make_topology(text, None if "-" in text and ":" not in text else n))
    centers = np.array([c.center for c in p.circles])
    apart = np.linalg.norm(centers[:, None] - centers[None], axis=2) + np.diag(np.full(len(centers), np.inf))
    assert np.median(apart.min(1)) > 2 * p.circles[0].radius
    assert (centers >= MARGIN - 1e-6).all()
    assert (centers <= MARGIN + SIDE + 1e-6).all()
    boxes = [_box(t) for t in p.texts[:-2] if t.fill != "#ffffff"]
    assert all(b[0] >= 0 and b[2] <= p.width for b in boxes)
    assert not any(
        a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for a in boxes for b in boxes if a is not b
    )


def _box(text):
    half = 0.3 * text.size * len(text.text)
    x, y = text.at
    return x - half, y - 0.85 * text.size, x + half, y + 0.15 * text.size


def test_values_color_nodes_from_dark_to_yellow():
    made = make_topology("ring", 3)
    fills = [c.fill for c in picture(made, [0.1, 0.9, float("nan")]).circles]
    assert fills[:2] != ["#440154", "#fde725"] or fills[2] == "#8c8c8c"
    assert [c.fill for c in picture(made, [0.1, 0.5, 0.9]).circles] == ["#440154", "#21918c", "#fde725"]
    assert len({c.fill for c in picture(made, [1, 1, 1]).circles}) == 1
    with pytest.raises(BadInput, match="got 2 values to color 3 nodes"):
        svg(made, [1, 2])


def test_link_attributes_are_tooltips():
    assert "latency_s=0.008" in svg(make_topology("three-sites"))


def test_files(tmp_path):
    made = make_topology("torus", 12)
    draw(made, tmp_path / "g.svg")
    assert (tmp_path / "g.svg").read_text() == svg(made)
    for name, says in (("g.jpg", r"expected \.svg or \.png"), ("no/g.svg", "cannot write")):
        with pytest.raises(BadInput, match=says):
            draw(made, tmp_path / name)


def test_png(tmp_path):
    pytest.importorskip("matplotlib")
    draw(make_topology("exponential", 8), tmp_path / "g.png")
    assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")


def test_png_without_matplotlib_names_the_extra(tmp_path, monkeypatch):
    for name in ("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BadInput, match=r"gossipnet\[plots\]"):
        draw(make_topology("ring", 4), tmp_path / "g.png")
    assert not (tmp_path / "g.png").exists()
