import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.topology import make_topology
from gossipnet.topology.layout import _distances, layout, stress

nx = pytest.importorskip("networkx")
TEXTS = ["ring", "star", "tree", "path", "complete", "exponential", "scale-free:m=1", "random-matching", "regular:d=2"]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(TEXTS), st.integers(3, 40))
def test_positions_are_apart_and_inside_the_unit_square(text, n):
    made = make_topology(text, n)
    x = layout(made)
    assert x.shape == (n, 2)
    assert (x >= -1e-9).all()
    assert (x <= 1 + 1e-9).all()
    apart = np.linalg.norm(x[:, None] - x[None], axis=2) + np.eye(n)
    assert apart.min() > 0.2 / n
    assert np.array_equal(x, layout(made))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 20), st.integers(0, 99))
def test_distances_are_hops(n, seed):
    made = make_topology("erdos-renyi:p=0.5", n, seed)
    hops = dict(nx.all_pairs_shortest_path_length(nx.Graph(made.edges)))
    assert all(_distances(made)[i, j] == hops[i][j] for i in range(n) for j in range(n))


def test_a_path_is_drawn_straight_and_evenly():
    x = stress(_distances(make_topology("path", 9)))
    steps = np.diff(x, axis=0)
    assert np.allclose(np.linalg.norm(steps, axis=1), 1, atol=0.02)
    assert np.linalg.norm(x[-1] - x[0]) == pytest.approx(8, rel=0.01)


def test_the_hub_of_a_star_is_in_the_middle():
    assert np.allclose(layout(make_topology("star", 9))[0], 0.5)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_ones(n):
    assert np.isfinite(layout(make_topology("path", n))).all()
