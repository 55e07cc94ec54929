"""Means over seeds: Student's quantiles against scipy's where it is installed, and by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.grid.interval import interval, quantile


def test_quantiles_are_students():
    stats = pytest.importorskip("scipy.stats")
    for degrees in range(1, 31):
        assert quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=6e-4)
    assert quantile(31) == quantile(10**6) == 1.96


def test_by_hand():
    found = interval([0.8, 0.9, 1.0])
    assert found is not None
    assert found.mean == pytest.approx(0.9)
    assert found.half == pytest.approx(4.303 * 0.1 / 3**0.5)
    assert (found.low, found.high) == (found.mean - found.half, found.mean + found.half)


def test_one_value_has_no_interval_and_none_no_mean():
    assert interval([]) is None
    one = interval([0.5])
    assert one is not None
    assert (one.mean, one.half, one.n, one.low) == (0.5, None, 1, 0.5)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40))
def test_the_mean_lies_within_and_equal_values_leave_no_doubt(values):
    found = interval(values)
    assert found.low <= found.mean <= found.high
    assert interval([values[0]] * 5).half == pytest.approx(0.0, abs=1e-6)
