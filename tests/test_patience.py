import math
from collections.abc import Sequence
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.patience import ENOUGH, HISTORY, MARGIN_S, Patience

waits = st.floats(0, 1000)
histories = st.lists(waits, min_size=ENOUGH, max_size=HISTORY)


def learnt(history: Sequence[float], peer: int = 0) -> float:
    patience = Patience()
    for wait in history:
        patience.observe(peer, wait)
    bound = patience.of(peer)
    assert bound is not None
    return bound


@given(st.lists(waits, max_size=ENOUGH - 1))
def test_too_few_arrivals_teach_nothing(history: list[float]) -> None:
    patience = Patience()
    for wait in history:
        patience.observe(0, wait)
    assert patience.of(0) is None
    assert patience.of(1) is None


@given(waits)
def test_a_steady_peer_is_never_late(wait: float) -> None:
    """Not even where it differs by the rounding of a clock."""
    assert learnt([wait] * ENOUGH) >= wait + MARGIN_S / 2


@given(histories)
def test_most_of_what_was_seen_is_in_time(history: list[float]) -> None:
    in_time = sum(wait <= learnt(history) for wait in history)
    assert in_time > len(history) / 2


@given(histories, st.randoms())
def test_the_order_of_arrivals_does_not_matter(history: list[float], random: object) -> None:
    mixed = list(history)
    random.shuffle(mixed)
    assert learnt(mixed) == learnt(history)


@given(histories, st.floats(0, 1000))
def test_a_peer_that_takes_longer_each_time_gets_as_much_more(history: list[float], more: float) -> None:
    assert learnt([wait + more for wait in history]) == pytest.approx(learnt(history) + more, abs=1e-6)


@given(histories, st.integers(1, 10))
def test_twice_as_slow_gets_twice_the_patience(history: list[float], power: int) -> None:
    """Where the spread decides; where the margin does, the bound grows with the median alone."""
    bound, scaled = learnt(history), learnt([wait * 2**power for wait in history])
    assert bound <= scaled <= bound * 2**power
    if bound - median(history) > 2 * MARGIN_S:
        assert scaled == pytest.approx(bound * 2**power)


@given(st.lists(st.floats(1, 2), min_size=11, max_size=21), st.lists(st.floats(0, 1e9), max_size=5))
def test_outliers_below_a_third_do_not_matter_much(history: list[float], outliers: list[float]) -> None:
    assert learnt(history + outliers) <= 2 + 6 * 1


@given(waits, waits)
def test_what_is_long_past_is_forgotten(past: float, now: float) -> None:
    assert learnt([past] * 100 + [now] * HISTORY) == learnt([now] * HISTORY)


@given(histories, histories)
def test_peers_do_not_share_what_is_learnt(one: list[float], other: list[float]) -> None:
    patience = Patience()
    for wait in one:
        patience.observe(1, wait)
    for wait in other:
        patience.observe(2, wait)
    assert (patience.of(1), patience.of(2)) == (learnt(one), learnt(other))


@given(st.lists(st.floats(-1e9, 1e9), min_size=ENOUGH, max_size=HISTORY))
def test_a_model_that_was_there_before_took_no_time(history: list[float]) -> None:
    assert learnt(history) == learnt([max(0.0, wait) for wait in history])
    assert math.isfinite(learnt(history))


def test_median_and_deviation_by_hand() -> None:
    assert learnt([1.0, 2.0, 3.0, 10.0]) == 2.5 + 6 * 1.0  # deviations 1.5, 0.5, 0.5, 7.5
