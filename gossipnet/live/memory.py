"""What the C library does with memory that was freed."""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

KEPT_BYTES = 16 << 20  # the chunks that are under way from one neighbor; twice that is kept


def _malloc_trim() -> Callable[[int], Any]:
    try:
        trim: Callable[[int], Any] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):  # not glibc, whose allocator is the one that keeps so much
        return lambda _: None
    return trim


_trim = _malloc_trim()


def return_free_memory() -> None:
    """Give the pages that nothing uses any more back to the system; takes less than a millisecond.

    glibc keeps what lies free between blocks in use. A merge leaves several models of such holes, and training, whose
    own blocks have other sizes, does not fill them.
    """
    _trim(0)


def keep_free_memory() -> None:
    """Let memory of chunks that have come in be there for the next ones; takes none by itself.

    glibc learns from the largest block that was freed what is worth keeping. Left to learn from chunks, it gives back
    and takes again a part of each model.
    """
    np.empty(KEPT_BYTES, np.uint8)
