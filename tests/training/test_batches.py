"""Batches of a node, and the samples that it keeps for validation."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.training.batches import batches, hold_out

INDICES = st.lists(st.integers(0, 10_000), min_size=1, max_size=40, unique=True).map(lambda i: np.array(sorted(i)))


def drawn(indices, size, n, seed=0):
    return [*itertools.islice(batches(indices, size, np.random.default_rng(seed)), n)]


@given(indices=INDICES, size=st.integers(1, 100), n=st.integers(1, 30))
def test_every_batch_has_the_size_and_every_epoch_each_sample_once(indices, size, n):
    found = drawn(indices, size, n)
    assert {len(batch) for batch in found} == {size}
    stream = np.concatenate(found)
    for first in range(0, len(stream) - len(indices) + 1, len(indices)):
        assert sorted(stream[first : first + len(indices)]) == sorted(indices)


@given(indices=INDICES, size=st.integers(1, 50))
def test_the_order_is_that_of_the_stream(indices, size):
    assert np.array_equal(drawn(indices, size, 5), drawn(indices, size, 5))
    if len(indices) > 10:
        assert not np.array_equal(drawn(indices, len(indices), 1), drawn(indices, len(indices), 1, seed=1))


def test_a_shard_smaller_than_a_batch_is_repeated():
    assert sorted(drawn(np.array([3, 5]), 6, 1)[0]) == [3, 3, 3, 5, 5, 5]


@given(indices=INDICES, share=st.floats(0, 0.9))
def test_what_is_held_out_is_not_trained_on(indices, share):
    training, held = hold_out(indices, share, np.random.default_rng(0))
    assert np.array_equal(np.sort(np.concatenate([training, held])), indices)
    assert len(training) >= 1
    assert abs(len(held) - share * len(indices)) <= 1
    if share and len(indices) > 1:
        assert len(held) >= 1


def test_without_a_share_nothing_is_held_out_and_no_number_drawn():
    rng = np.random.default_rng(0)
    training, held = hold_out(np.arange(5), 0.0, rng)
    assert (training.tolist(), held.tolist()) == ([0, 1, 2, 3, 4], [])
    assert rng.random() == np.random.default_rng(0).random()
