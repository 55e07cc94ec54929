"""Axes with ticks that people would choose: steps of 1, 2 and 5, units that fit, decades where numbers span many."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gossipnet.report import units
from gossipnet.report.metrics import Floats

MOST_DECADES = 12.0  # of a logarithmic axis: below, a number is as good as zero
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Kind:
    """A kind of number: how it is scaled on an axis, and how one value reads."""

    scale: Callable[[float], tuple[float, str]]  # largest value -> (value per unit, name of the unit)
    read: Callable[[float | None], str]
    suffix: str = ""
    whole: bool = False


ROUND = Kind(lambda largest: (1.0, ""), units.count, whole=True)
SHARE = Kind(lambda largest: (0.01, ""), units.percent, suffix="%")
SECONDS = Kind(units.second_scale, units.seconds)
BYTES = Kind(units.byte_scale, units.data)
PLAIN = Kind(lambda largest: (1.0, ""), units.number)


@dataclass(frozen=True)
class Axis:
    """`ticks` are (value, text). `unit` is "" or what to put behind the axis' label."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    unit: str = ""
    log: bool = False

    def at(self, values: Floats) -> Floats:
        """Positions along the axis, 0 at its low end and 1 at its high one; nan where a logarithm does not exist."""
        if not self.log:
            return (values - self.low) / (self.high - self.low)
        logs = np.log10(np.where(values > 0, values, np.nan))
        start, end = math.log10(self.low), math.log10(self.high)
        return (logs - start) / (end - start)


def make_axis(values: Floats, kind: Kind = PLAIN, tight: bool = False, log_above: float = math.inf) -> Axis:
    """An axis over all finite values. `tight` ends at the data, else at a tick; logarithmic where the largest is
    more than `log_above` times the smallest above zero."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    positive = finite[finite > 0]
    if positive.size and 2 * positive.size > finite.size and high / float(positive.min()) > log_above:
        return _log_axis(float(positive.min()), high)
    scale, unit = kind.scale(max(abs(low), abs(high)))
    low, high = low / scale, high / scale
    if not tight:
        low, high = _roomy(low, high, 100.0 if kind.suffix == "%" else math.inf)
    elif high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    step = nice_step((high - low) / 5, whole=kind.whole)
    if not tight:
        low, high = step * math.floor(low / step + 1e-9), step * math.ceil(high / step - 1e-9)
    marks = step * np.arange(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ticks = tuple((float(m) * scale, tick_text(float(m), step) + kind.suffix) for m in marks)
    return Axis(low * scale, high * scale, ticks, unit)


def nice_step(least: float, whole: bool = False) -> float:
    """The smallest of 1, 2, 5, 10, 20, ... (and their tenths) that is at least `least`."""
    if whole and least <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * m for m in (1.0, 2.0, 5.0, 10.0) if power * m >= least * (1 - 1e-9))


def tick_text(value: float, step: float) -> str:
    """As many decimals as the step needs, thousands with a comma, powers of ten where digits would not fit."""
    if value == 0:
        return "0"
    if step < 1e-4 or abs(value) >= 1e6:
        return power_text(value)
    return f"{value:,.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"


def power_text(value: float) -> str:
    """1e-06 -> "10⁻⁶", 2.5e6 -> "2.5×10⁶"."""
    digits, _, power = f"{value:.3g}".partition("e") if "e" in f"{value:.3g}" else f"{value:.2e}".partition("e")
    tail = "10" + str(int(power)).translate(_SUPERSCRIPTS)
    head = f"{float(digits):g}"
    return tail if head == "1" else f"{head}×{tail}"


def _roomy(low: float, high: float, ceiling: float) -> tuple[float, float]:
    """A little air around the data; down to zero if that is near, so that heights can be compared."""
    if low >= 0 and low < 0.4 * high:
        low = 0.0
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = (0.0, max(1.0, 1.25 * high)) if low >= 0 else (low - 1, high + 1)
    return low, min(high + 0.02 * (high - low), ceiling) if low < ceiling else high


def _log_axis(low: float, high: float) -> Axis:
    low = max(low, high * 10.0**-MOST_DECADES)
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    last = max(last, first + 1)
    multiples: Sequence[int] = (1, 2, 5) if last - first <= 2 else (1,)
    stride = math.ceil((last - first) / 6)
    values = [m * 10.0**p for p in range(first, last + 1, stride) for m in multiples]
    below = max((v for v in values if v <= low * (1 + 1e-9)), default=10.0**first)
    above = min((v for v in values if v >= high * (1 - 1e-9)), default=10.0**last)
    ticks = tuple((v, _decade(v)) for v in values if below * 0.999 <= v <= above * 1.001)
    return Axis(below, above, ticks, log=True)


def _decade(value: float) -> str:
    return f"{value:,.10g}" if 1e-3 <= value * 1.001 < 1e5 else power_text(value)
