"""When a missing model is asked for: against what the last waits say by themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.asks import AFTER_AT_LEAST_S, AFTER_S, FORGET, Asks

seconds = st.floats(0, 5)


def played(rounds: list[tuple[float, float]]) -> Asks:
    """At the beginning of the wait after rounds of which each is how long our steps took, and then the last model."""
    asks = Asks()
    for took_s, came_s in rounds:
        asks.begin(took_s)
        asks.over(came_s)
    asks.begin(rounds[-1][0])
    return asks


@given(st.lists(st.tuples(seconds, seconds), min_size=1, max_size=12))
def test_it_is_after_twice_our_steps_or_the_usual_wait_within_bounds(rounds) -> None:
    usual = max(came_s * FORGET**ago for ago, (_, came_s) in enumerate(reversed(rounds)))
    expected = min(max(2 * max(rounds[-1][0], usual), AFTER_AT_LEAST_S), AFTER_S)
    asks = played(rounds)
    assert asks.every_s == asks.after_s == pytest.approx(expected)


@given(seconds)
def test_while_nothing_is_learnt_it_is_after_a_second(took_s) -> None:
    asks = Asks()
    asks.begin(took_s)
    assert asks.every_s == AFTER_S
    asks.asked(None)  # no model is here
    asks.over(0.0)  # what came was the answer
    asks.begin(took_s)
    assert asks.every_s == AFTER_S


def test_what_came_before_the_first_ask_counts_and_what_came_after_does_not() -> None:
    asks = Asks()
    asks.begin(0.0)
    asks.asked(0.25)
    asks.asked(3.0)
    asks.over(4.0)
    asks.begin(0.0)
    assert asks.after_s == 0.5


@pytest.mark.parametrize(
    ("took_s", "expected"),
    [(0.0, [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]), (3.0, [1.0, 2.0, 3.0, 3.0]), (60.0, [1.0, 2.0, 4.0, 8.0, 8.0])],
)
def test_asks_become_rarer_until_they_are_as_rare_as_our_own_steps(took_s, expected) -> None:
    asks = played([(took_s, 0.01)])
    found = []
    for _ in expected:
        found.append(asks.every_s)
        asks.asked(None)
    assert found == pytest.approx(expected)


def test_other_waits_begin_with_a_second_and_teach_nothing() -> None:
    asks = played([(0.0, 0.0)])
    assert asks.every_s == AFTER_AT_LEAST_S
    asks.begin_otherwise()
    assert asks.every_s == AFTER_S
    asks.asked(None)
    asks.begin(0.0)
    assert asks.every_s == AFTER_AT_LEAST_S
