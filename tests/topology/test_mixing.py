import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.errors import BadInput
from gossipnet.topology import from_graphs, make_mixing, make_topology, mixings

GRAPHS = ["ring", "path", "star", "complete", "tree", "erdos-renyi:p=0.6", "scale-free:m=2", "exponential"]


@pytest.mark.parametrize("mixing", [*mixings.names(), "keep:own=0", "keep:own=0.9"])
@settings(max_examples=50, deadline=None)
@given(st.sampled_from(GRAPHS), st.integers(3, 14), st.integers(0, 999))
def test_rows_sum_to_one_and_nothing_is_negative(mixing, text, n, seed):
    w = make_topology(text, n, seed, mixing).matrix()
    assert (w >= 0).all()
    assert np.allclose(w.sum(1), 1, atol=1e-12)


@pytest.mark.parametrize("mixing", ["metropolis", "lazy"])
@settings(max_examples=50, deadline=None)
@given(st.sampled_from([g for g in GRAPHS if g != "exponential"]), st.integers(3, 14), st.integers(0, 999))
def test_metropolis_and_lazy_are_symmetric(mixing, text, n, seed):
    w = make_topology(text, n, seed, mixing).matrix()
    assert np.array_equal(w, w.T)


@given(st.integers(2, 40), st.sampled_from(["exponential", "one-peer-exponential"]))
def test_directed_metropolis_is_doubly_stochastic_where_all_hear_and_send_alike(n, text):
    topology = make_topology(text, n)
    for r in range(1, topology.period + 1):
        assert np.allclose(topology.matrix(r).sum(0), 1)


def test_path_of_three_by_hand():
    assert np.allclose(make_topology("path", 3).matrix() * 3, [[2, 1, 0], [1, 1, 1], [0, 1, 2]])


def test_star_by_hand():
    """Degrees 4 and 1: the upstream defect used the smaller one and 1/d for oneself, and its rows summed to 2.25."""
    w = make_topology("star", 5).matrix()
    assert np.allclose(w[0], 0.2)
    assert np.allclose(w[1], [0.2, 0.8, 0, 0, 0])
    uniform = make_topology("star", 5, mixing="uniform").matrix()
    assert np.allclose(uniform[1], [0.5, 0.5, 0, 0, 0])


def test_directed_metropolis_by_hand():
    """0 hears 1 node, which sends to 2; 1 hears 1 node, which sends to 2; 2 hears 2, which send to 2 and 2."""
    nx = pytest.importorskip("networkx")
    graph = nx.DiGraph([(0, 1), (0, 2), (1, 0), (1, 2), (2, 0)])
    w = from_graphs("g", graph).matrix()
    assert np.allclose(w[1], [1 / 3, 2 / 3, 0])
    assert np.allclose(w[0], [1 / 3, 1 / 3, 1 / 3])
    assert np.allclose(w[2], [1 / 3, 1 / 3, 1 / 3])


def test_ring_weights_are_all_a_third():
    w = make_topology("ring", 7).matrix()
    assert np.allclose(w[w > 0], 1 / 3)


def test_lazy_is_half_of_metropolis():
    metropolis = make_topology("tree", 9).matrix()
    assert np.allclose(make_topology("tree", 9, mixing="lazy").matrix(), (np.eye(9) + metropolis) / 2)


def test_keep_keeps():
    w = make_topology("star", 5, mixing="keep:own=0.25").matrix()
    assert np.allclose(np.diag(w), 0.25)
    assert np.allclose(w[0, 1:], 0.75 / 4)


@pytest.mark.parametrize("mixing", mixings.names())
def test_a_node_that_hears_nobody_keeps_its_model(mixing):
    matching = make_topology("random-matching", 5, mixing=mixing)
    idle = [(r, i) for r in range(1, 33) for i in range(5) if not matching.row(i, r).weights]
    assert len(idle) == 32
    assert all(matching.row(i, r).own == 1.0 and matching.row(i, r).targets == () for r, i in idle)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("keep:own=1", "below 1"),
        ("keep:own=-0.1", "at least 0"),
        ("keep:own=half", "expected float"),
        ("metropoliss", "did you mean 'metropolis'"),
        ("metropolis:own=1", "no option"),
    ],
)
def test_bad_input(text, says):
    with pytest.raises(BadInput, match=says):
        make_mixing(text)
    with pytest.raises(BadInput, match=says):
        make_topology("ring", 4, mixing=text)


@pytest.mark.parametrize("row", [[0.6, 0.6], [0.5], [-0.1, 0.2], [float("nan"), 0.1]])
def test_a_users_mixing_is_checked(row):
    @mixings.register("broken-for-a-test")
    def broken():
        return lambda receives, sends: row

    try:
        with pytest.raises(BadInput, match="broken-for-a-test"):
            make_topology("ring", 4, mixing="broken-for-a-test").matrix()
    finally:
        del mixings._factories["broken-for-a-test"]
