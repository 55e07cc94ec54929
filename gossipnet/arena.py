"""Memory for whole models, used again: to touch fresh memory costs more than all that is done with the bytes in it.

What `take` returns is an array on loan. It may be cut, viewed as a tensor and handed to other threads and to zmq; once
nothing refers to it any more, its memory is there for the next model of that size.
"""

import weakref
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

LEAST = 1 << 20  # bytes; the C library keeps smaller blocks by itself


Fresh = Callable[[int], NDArray[np.uint8]]  # a size -> memory that nobody has had


def plain(size: int) -> NDArray[np.uint8]:
    """(size,) bytes, in huge pages where the system has them; torch does not ask for those."""
    return np.empty(size, np.uint8)


class Arena:
    """Up to `spare` blocks that nobody uses. `take` may be called, and what it gave forgotten, in any thread."""

    def __init__(self, spare: int) -> None:
        self._free: deque[NDArray[np.uint8]] = deque(maxlen=spare)  # one too many: the oldest is given back
        self._fresh: Fresh = plain

    def renew(self, fresh: Fresh) -> None:
        """Make memory by `fresh` from here on, and forget what lies idle of another kind."""
        if fresh is not self._fresh:
            self._fresh = fresh
            self._free.clear()

    def take(self, size: int) -> NDArray[np.uint8]:
        """(size,) bytes that hold anything."""
        if size < LEAST:
            return np.empty(size, np.uint8)
        block = self._spare(size)
        # frombuffer, not a slice: numpy would let slices of a slice refer to the block itself, past the loan
        loan = np.frombuffer(block.data, np.uint8)
        weakref.finalize(loan, self._free.append, block).atexit = False
        return loan

    def _spare(self, size: int) -> NDArray[np.uint8]:
        for _ in range(len(self._free)):
            try:
                block = self._free.pop()
            except IndexError:  # another thread was faster
                break
            if len(block) == size:
                return block
            self._free.appendleft(block)
        return self._fresh(size)


FRESH = Arena(0)  # keeps nothing
