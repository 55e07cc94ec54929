"""How often Python looks for cycles of garbage while a world runs."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

COLLECT_AFTER = 50_000  # objects made and not freed; Python's 700 took a fifth of the time of a thousand nodes


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Less often: messages form no cycles, and there are so many that to look through them takes long."""
    before = gc.get_threshold()
    if 0 < before[0] < COLLECT_AFTER:
        gc.set_threshold(COLLECT_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
