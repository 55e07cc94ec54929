import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.errors import BadInput
from gossipnet.topology import make_topology


def product(topology):
    p = np.eye(topology.n)
    for r in range(1, topology.period + 1):
        p = topology.matrix(r) @ p
    return p


@given(st.integers(2, 40))
def test_one_peer_exponential_averages_exactly_iff_n_is_a_power_of_two(n):
    topology = make_topology("one-peer-exponential", n)
    assert topology.period == math.floor(math.log2(n - 1)) + 1 if n > 2 else topology.period == 1
    exact = np.allclose(product(topology), 1 / n, atol=1e-12)
    assert exact == (n & (n - 1) == 0)
    assert exact == (topology.spectral_gap == 1.0)


@pytest.mark.parametrize(("n", "deviation"), [(6, 0.0833), (10, 0.0375), (12, 0.0417)])
def test_one_peer_exponential_of_other_sizes_comes_that_close(n, deviation):
    assert np.abs(product(make_topology("one-peer-exponential", n)) - 1 / n).max() == pytest.approx(deviation, abs=1e-4)


@given(st.integers(2, 30), st.integers(1, 50))
def test_one_peer_exponential_sends_one_model_a_round(n, round):
    topology = make_topology("one-peer-exponential", n)
    offset = 2 ** ((round - 1) % topology.period)
    for i in range(n):
        row = topology.row(i, round)
        assert row.targets == ((i + offset) % n,)
        assert row.weights == (((i - offset) % n, 0.5),)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.integers(1, 4))
def test_base_averages_exactly_with_few_neighbors_and_soon(n, k):
    if k >= n:
        return
    topology = make_topology(f"base:k={k}", n)
    assert np.allclose(product(topology), 1 / n, atol=1e-12)
    assert topology.period <= 2 * math.log(n) / math.log(k + 1) + 2
    for r in range(1, topology.period + 1):
        w = topology.matrix(r)
        assert np.array_equal(w, w.T)
        assert (np.count_nonzero(w - np.diag(np.diag(w)), axis=1) <= k).all()


@pytest.mark.parametrize(
    ("k", "n", "rounds"),
    [
        *[(1, 3, 3), (1, 5, 5), (1, 6, 4), (1, 7, 5), (1, 10, 6), (1, 25, 9), (1, 16, 4)],
        *[(2, 5, 3), (2, 6, 2), (2, 7, 4), (2, 9, 2), (2, 25, 6)],
    ],
)
def test_base_takes_as_many_rounds_as_published(k, n, rounds):
    assert make_topology(f"base:k={k}", n).period == rounds


def test_base_brings_its_own_weights():
    with pytest.raises(BadInput, match="leave out mixing 'uniform'"):
        make_topology("base", 6, mixing="uniform")


@settings(max_examples=50, deadline=None)
@given(st.integers(3, 20), st.integers(0, 99), st.integers(1, 32))
def test_random_matching_pairs_nodes(n, seed, round):
    topology = make_topology("random-matching", n, seed)
    w = topology.matrix(round)
    assert np.array_equal(w, w.T)
    assert sum(len(topology.row(i, round).targets) for i in range(n)) == n - n % 2
    assert set(np.unique(w)) <= {0.0, 0.5, 1.0}


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 10), st.integers(0, 99))
def test_random_regular_has_d_neighbors_each_round_and_changes(half, seed):
    topology = make_topology("random-regular:d=3,period=4", 2 * half, seed)
    for r in range(1, 5):
        assert all(len(topology.row(i, r).targets) == 3 for i in range(2 * half))
    assert half < 4 or len(set(topology.rounds)) > 1


def test_a_period_too_short_to_reach_everybody_is_refused():
    """One matching of 8 nodes is four pairs, whatever the draw."""
    with pytest.raises(BadInput, match="none of 100 draws is connected"):
        make_topology("random-matching:period=1", 8)


@pytest.mark.parametrize("text", ["random-matching", "random-regular:d=3", "regular:d=3", "scale-free", "small-world"])
def test_the_seed_decides(text):
    assert make_topology(text, 12, seed=3) == make_topology(text, 12, seed=3)
    assert make_topology(text, 12, seed=3) != make_topology(text, 12, seed=4)
    assert (
        make_topology(f"{text}{',' if ':' in text else ':'}seed=4", 12).rounds == make_topology(text, 12, seed=4).rounds
    )
