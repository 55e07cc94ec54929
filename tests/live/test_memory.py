"""That memory which nobody uses is given back."""

import ctypes
import os

import pytest
from live_swarm import resident_bytes

from gossipnet.live.memory import return_free_memory

glibc = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the allocator is not glibc's")
BLOCK = 64 * 1024  # too small for a mapping of its own


@glibc
def test_holes_between_blocks_in_use_are_given_back():
    blocks = [bytearray(BLOCK) for _ in range(800)]
    full = resident_bytes(os.getpid())
    del blocks[1::2]  # each hole lies between two blocks that stay
    return_free_memory()
    assert full - resident_bytes(os.getpid()) > 0.8 * 400 * BLOCK
    assert not any(map(any, blocks[::50]))


def test_it_may_be_called_at_any_time():
    for _ in range(3):
        return_free_memory()
