"""Numbers as people read them. None and nan, which mean "does not apply", are a dash everywhere."""

import math

DASH = "–"


def missing(value: float | None) -> bool:
    return value is None or math.isnan(value)


def percent(share: float | None, digits: int = 1) -> str:
    """0.9534 -> "95.3%"."""
    return DASH if share is None or math.isnan(share) else f"{100 * share:.{digits}f}%"


def count(number: float | None) -> str:
    """12345 -> "12,345"; a count that is a mean keeps one decimal."""
    if number is None or math.isnan(number):
        return DASH
    return f"{number:,.0f}" if float(number).is_integer() or number >= 100 else f"{number:,.1f}"


def number(value: float | None) -> str:
    """Three significant digits."""
    if value is None or math.isnan(value):
        return DASH
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.2e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def seconds(value: float | None) -> str:
    """ "0.84 s", "32.1 s", "4 min 12 s", "1 h 03 min"."""
    if value is None or math.isnan(value):
        return DASH
    if value < 59.95:
        return f"{value:.2f} s" if value < 9.995 else f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def byte_scale(largest: float) -> tuple[float, str]:
    """The unit in which `largest` bytes reads best, as (bytes per unit, name): decimal, 1 kB is 1,000 bytes."""
    for size, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if largest >= size:
            return size, name
    return 1.0, "B"


def second_scale(largest: float) -> tuple[float, str]:
    """The unit in which `largest` seconds reads best, as (seconds per unit, name)."""
    for size, name in ((3600.0, "h"), (60.0, "min")):
        if largest >= 3 * size:
            return size, name
    return (1.0, "s") if largest >= 0.1 else (1e-3, "ms")


def data(size: float | None) -> str:
    """1234567 -> "1.23 MB"."""
    if size is None or math.isnan(size):
        return DASH
    scale, name = byte_scale(abs(size))
    return (
        f"{size:.0f} B"
        if name == "B"
        else f"{size / scale:.3g} {name}"
        if size / scale < 999.5
        else (f"{size / scale:,.0f} {name}")
    )
