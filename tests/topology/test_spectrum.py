import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.topology import Topology, from_graphs, make_topology, spectrum

nx = pytest.importorskip("networkx")


def second(text, n, mixing="metropolis"):
    return 1 - make_topology(text, n, mixing=mixing).spectral_gap


@pytest.mark.parametrize(
    ("text", "n", "expected"),
    [
        ("ring", 5, 0.539345),
        ("ring", 8, 0.804738),
        ("ring", 16, 0.949253),
        ("star", 5, 0.8),
        ("path", 3, 2 / 3),
        ("complete", 6, 0.0),
        ("hypercube", 16, 1 - 2 / 5),
        ("networkx.petersen_graph", 10, 0.5),
    ],
)
def test_known_values(text, n, expected):
    assert second(text, n) == pytest.approx(expected, abs=1e-6)


@given(st.integers(3, 60))
def test_rings_are_circulant(n):
    assert second("ring", n) == pytest.approx(max(abs(1 / 3 + 2 / 3 * np.cos(2 * np.pi * k / n)) for k in range(1, n)))


def test_smallest_eigenvalues():
    assert make_topology("ring", 8).spectrum.smallest == pytest.approx(-1 / 3)
    graph = nx.random_regular_graph(8, 50, seed=0)
    smallest = np.linalg.eigvalsh(nx.to_numpy_array(graph)).min()
    assert make_topology("regular:d=8", 50, seed=0).spectrum.smallest == pytest.approx((1 + smallest) / 9)
    assert make_topology("ring", 8, mixing="lazy").spectrum.smallest >= 0


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(
        ["ring", "star", "tree", "erdos-renyi:p=0.5", "exponential", "random-regular:d=2,period=3", "base"]
    ),
    st.integers(4, 16),
    st.sampled_from(["metropolis", "lazy", "uniform", "keep:own=0.5"]),
    st.integers(0, 99),
)
def test_agrees_with_the_eigenvalues_of_the_dense_product(text, n, mixing, seed):
    topology = make_topology(text, n, seed, "metropolis" if text == "base" else mixing)
    product = np.eye(n)
    for r in range(1, topology.period + 1):
        product = topology.matrix(r) @ product
    moduli = np.sort(np.abs(np.linalg.eigvals(product)))
    assert moduli[-1] == pytest.approx(1)
    assert topology.spectrum.second == pytest.approx(moduli[-2], abs=1e-6)
    assert topology.spectral_gap == pytest.approx(1 - topology.spectrum.second ** (1 / topology.period))


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(["ring", "star", "tree", "torus:rows=2", "scale-free:m=2"]),
    st.integers(2, 8).map(lambda k: 2 * k),
    st.integers(0, 99),
    st.sampled_from(["metropolis", "lazy"]),
)
def test_disagreement_contracts_at_least_that_fast(text, n, seed, mixing):
    topology = make_topology(text, n, seed, mixing)
    x = np.random.default_rng(seed).standard_normal(n)
    new = topology.matrix() @ x
    assert new.mean() == pytest.approx(x.mean())
    assert np.var(new) <= (topology.spectrum.second**2 + 1e-9) * np.var(x)
    rounds = topology.spectrum.rounds_to_shrink(10)
    assert np.std(np.linalg.matrix_power(topology.matrix(), int(rounds)) @ x) <= 0.1 * np.std(x) + 1e-12


def test_a_long_period_keeps_its_precision():
    """Per-round factors of about 0.4 leave 1e-13 after 32 rounds, which is not the exact mean."""
    topology = make_topology("random-regular:d=4", 32)
    assert topology.spectrum.exact == 0
    assert 0.4 < topology.spectral_gap < 0.8
    longer = make_topology("random-regular:d=4,period=200", 32)
    assert longer.spectral_gap == pytest.approx(topology.spectral_gap, abs=0.02)


@pytest.mark.parametrize(
    ("text", "n", "exact"),
    [("complete", 6, 1), ("one-peer-exponential", 16, 4), ("base", 6, 4), ("random-matching", 2, 1), ("ring", 6, 0)],
)
def test_exact_is_the_round_after_which_all_have_the_mean(text, n, exact):
    topology = make_topology(text, n)
    assert topology.spectrum.exact == exact
    product = np.eye(n)
    for r in range(1, exact + 1):
        assert not np.allclose(product, 1 / n)
        product = topology.matrix(r) @ product
    assert np.allclose(product, 1 / n) == bool(exact)


def test_rounds_to_shrink():
    assert make_topology("complete", 5).spectrum.rounds_to_shrink() == 1
    assert make_topology("one-peer-exponential", 8).spectrum.rounds_to_shrink() == 3
    ring = make_topology("ring", 16).spectrum
    assert ring.rounds_to_shrink(10) == np.ceil(np.log(10) / -np.log(0.949253))
    swap = make_topology("complete", 2, mixing="keep:own=0").spectrum
    assert swap.rounds_to_shrink() == float("inf")
    assert swap.smallest == pytest.approx(-1)


SMALL = [
    ("ring", 60, "metropolis"),
    ("regular:d=4", 60, "metropolis"),
    ("star", 60, "uniform"),
    ("exponential", 60, "metropolis"),
    ("one-peer-exponential", 60, "metropolis"),
    ("one-peer-exponential", 64, "metropolis"),
    ("scale-free:m=2", 60, "keep:own=0.5"),
]


@pytest.mark.parametrize("scipy", [True, False])
@pytest.mark.parametrize(("text", "n", "mixing"), SMALL)
def test_the_way_for_large_graphs_gives_the_same(monkeypatch, scipy, text, n, mixing):
    if scipy:
        pytest.importorskip("scipy")
    else:
        monkeypatch.setitem(sys.modules, "scipy", None)
        monkeypatch.setitem(sys.modules, "scipy.sparse", None)
        monkeypatch.setitem(sys.modules, "scipy.sparse.linalg", None)
    topology = make_topology(text, n, mixing=mixing)
    exact = topology.spectrum
    monkeypatch.setattr(spectrum, "DENSE_NODES", 10)
    found = spectrum.spectrum(topology)
    assert found.gap == pytest.approx(exact.gap, abs=1e-6)
    assert topology.period > 1 or found.smallest == pytest.approx(exact.smallest, abs=1e-4)


@pytest.mark.parametrize(("text", "n", "mixing"), SMALL)
def test_a_large_graph_has_each_of_its_rows_made_once(monkeypatch, text, n, mixing):
    topology = make_topology(text, n, mixing=mixing)
    monkeypatch.setattr(spectrum, "DENSE_NODES", 10)
    made, row = [], Topology.row
    monkeypatch.setattr(Topology, "row", lambda *where: made.append(where[1:]) or row(*where))
    spectrum.spectrum(topology)
    assert sorted(made) == [(i, r) for i in range(n) for r in range(1, topology.period + 1)]


def test_a_large_slow_graph_has_its_true_tiny_gap():
    pytest.importorskip("scipy")
    assert make_topology("ring", 3000).spectral_gap == pytest.approx(2 / 3 * (1 - np.cos(2 * np.pi / 3000)), rel=1e-3)


def test_weights_that_are_not_reversible_are_not_symmetrised():
    """A directed ring: its eigenvalues are complex, and sqrt(W * W.T) has others."""
    w = from_graphs("cycle", nx.cycle_graph(5, create_using=nx.DiGraph)).spectrum
    assert w.second == pytest.approx(abs(0.5 + 0.5 * np.exp(2j * np.pi / 5)))
