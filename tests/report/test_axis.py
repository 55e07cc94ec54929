import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.report.axis import BYTES, PLAIN, ROUND, SECONDS, SHARE, make_axis, nice_step, power_text, tick_text

NUMBERS = st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=20)


@settings(max_examples=100)
@given(NUMBERS, st.booleans(), st.sampled_from([PLAIN, ROUND, SECONDS, BYTES]))
def test_an_axis_holds_its_values_and_its_ticks(values: list[float], tight: bool, kind: object) -> None:
    axis = make_axis(np.array(values), kind, tight=tight)  # type: ignore[arg-type]
    at = axis.at(np.array(values))
    assert (at >= -1e-6).all()
    assert (at <= 1 + 1e-6).all()
    marks = axis.at(np.array([v for v, _ in axis.ticks]))
    assert (marks >= -1e-6).all()
    assert (marks <= 1 + 1e-6).all()
    assert len(marks) <= 8


@settings(max_examples=100)
@given(st.lists(st.floats(1e-30, 1e30), min_size=1, max_size=20))
def test_a_log_axis_holds_twelve_decades(values: list[float]) -> None:
    axis = make_axis(np.array(values), log_above=1.0)
    kept = np.array(values)[np.array(values) >= max(values) * 1e-12]
    at = axis.at(kept)
    assert (at >= -1e-6).all()
    assert (at <= 1 + 1e-6).all()
    assert 2 <= len(axis.ticks) <= 10


@settings(max_examples=100)
@given(st.floats(1e-12, 1e12))
def test_a_nice_step_is_1_2_or_5_and_just_enough(least: float) -> None:
    step = nice_step(least)
    digit = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(digit - d) for d in (1, 2, 5)) < 1e-6
    assert least * (1 - 1e-6) <= step <= least * 2.5 * (1 + 1e-6)


def test_rounds_have_whole_ticks() -> None:
    assert [t for _, t in make_axis(np.array([1.0, 3.0]), ROUND, tight=True).ticks] == ["1", "2", "3"]


def test_shares_are_percents_up_to_100() -> None:
    axis = make_axis(np.array([0.1, 0.999]), SHARE)
    assert [t for _, t in axis.ticks] == ["0%", "20%", "40%", "60%", "80%", "100%"]
    assert [t for _, t in make_axis(np.array([0.953, 0.957]), SHARE).ticks][:2] == ["95.3%", "95.4%"]


def test_units_fit_the_largest_value() -> None:
    assert make_axis(np.array([0.0, 600.0]), SECONDS).unit == "min"
    assert make_axis(np.array([0.0, 3e6]), BYTES).unit == "MB"


def test_zero_is_on_the_axis_if_it_is_near() -> None:
    assert make_axis(np.array([1.0, 9.0])).low == 0
    assert make_axis(np.array([8.0, 9.0])).low > 0


def test_a_log_axis_has_no_place_for_zero() -> None:
    axis = make_axis(np.array([0.0, 1e-3, 1.0, 10.0]), log_above=30)
    assert axis.log
    assert math.isnan(axis.at(np.array([0.0]))[0])
    assert axis.at(np.array([axis.low, axis.high])).tolist() == pytest.approx([0, 1])


def test_mostly_zeros_stay_linear() -> None:
    assert not make_axis(np.array([0.0, 0.0, 1e-9, 1.0]), log_above=30).log


@pytest.mark.parametrize("values", [[], [math.nan], [0.0], [0.0, 0.0], [5.0], [-3.0, -3.0], [1.0], [math.inf, 2.0]])
def test_a_degenerate_axis_is_still_one(values: list[float]) -> None:
    for kind in (PLAIN, ROUND, SHARE, SECONDS, BYTES):
        axis = make_axis(np.array(values), kind)
        assert axis.high > axis.low
        assert len(axis.ticks) >= 2


def test_tick_texts() -> None:
    assert [tick_text(v, s) for v, s in ((0.25, 0.05), (1000, 500), (2e6, 1e6), (0, 1), (2e-5, 1e-5))] == [
        "0.25",
        "1,000",
        "2×10⁶",
        "0",
        "2×10⁻⁵",
    ]
    assert [power_text(v) for v in (1e-6, 2.5e6, 1e12)] == ["10⁻⁶", "2.5×10⁶", "10¹²"]
