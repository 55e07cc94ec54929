import math

import pytest

from gossipnet.report import units


@pytest.mark.parametrize("show", [units.percent, units.count, units.number, units.seconds, units.data])
def test_what_does_not_apply_is_a_dash(show: object) -> None:
    assert callable(show)
    assert show(None) == show(math.nan) == units.DASH


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.004, "0.00 s"),
        (9.99, "9.99 s"),
        (9.996, "10.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (252, "4 min 12 s"),
        (3599.6, "1 h 00 min"),
        (3780, "1 h 03 min"),
    ],
)
def test_seconds(value: float, text: str) -> None:
    assert units.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1234567, "1.23 MB"),
        (999_900, "1,000 kB"),
        (2.5e9, "2.5 GB"),
        (3e15, "3,000 TB"),
    ],
)
def test_data(value: float, text: str) -> None:
    assert units.data(value) == text


def test_numbers() -> None:
    assert [units.number(v) for v in (0, 0.114, 12.34, 1234.5, 1e-6, 1e9)] == [
        "0",
        "0.114",
        "12.3",
        "1,234",
        "1.00e-06",
        "1.00e+09",
    ]
    assert [units.count(v) for v in (0, 12345, 2.25, 1162.4)] == ["0", "12,345", "2.2", "1,162"]
    assert units.percent(0.9534) == "95.3%"


def test_scales_keep_numbers_between_1_and_a_few_hundred() -> None:
    assert units.second_scale(170) == (1.0, "s")
    assert units.second_scale(190) == (60.0, "min")
    assert units.second_scale(20_000) == (3600.0, "h")
    assert units.second_scale(0.01) == (1e-3, "ms")
    assert units.byte_scale(0) == (1.0, "B")
