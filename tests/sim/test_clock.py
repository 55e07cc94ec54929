"""The clock against a sorted list: in order of time, and at one time in the order in which it was asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.sim.clock import Clock


@given(st.lists(st.sampled_from([0.0, 0.25, 1.0, 7.5])))
def test_everything_comes_in_order_of_time_then_of_asking(times):
    clock = Clock()
    for number, when in enumerate(times):
        clock.push(when, number)
    found = []
    while clock:
        what = clock.pop()
        found.append((clock.now, what))
    assert found == sorted((when, number) for number, when in enumerate(times))


def test_what_is_asked_for_while_time_goes_on_takes_its_turn():
    clock = Clock()
    clock.push(1.0, "a")
    clock.push(1.0, "b")
    assert clock.pop() == "a"
    clock.push(1.0, "c")
    clock.push(0.5, "late")
    assert [(clock.pop(), clock.now) for _ in range(3)] == [("b", 1.0), ("c", 1.0), ("late", 1.0)]
    assert not clock
    with pytest.raises(IndexError):
        clock.pop()
