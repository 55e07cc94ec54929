"""How a snapshot of a live vector becomes a parcel: at once on a CPU, and on a GPU while training goes on.

On a GPU the training thread asks for two copies and waits for neither: one of the vector into a second buffer there,
between two of its own computations, and one of that buffer into pinned memory of the CPU, beside what it computes
next. Whoever needs the bytes, the I/O thread, waits for them, and sums them up.
"""

import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gossipnet.arena import Arena, plain
from gossipnet.codec import Codec
from gossipnet.lanes import Lanes, Mark, lanes_of
from gossipnet.transfer import Parcel, pack, pack_in_place

Staging = Callable[[Tensor], Callable[[], Parcel]]  # the vector -> what makes the parcel of it as it is now, once


def make_staging(device: torch.device, codec: Codec, arena: Arena) -> Staging:
    """For a vector on that device. From here on the arena, in which other nodes' models come in, suits it as well."""
    lanes = lanes_of(device)
    arena.renew(pinned if lanes else plain)
    return Aside(lanes, codec, arena) if lanes else Direct(codec, arena)


class Direct:
    """Pack in the thread that asks: one pass over the vector, which copies it and sums it up."""

    def __init__(self, codec: Codec, arena: Arena) -> None:
        self._codec, self._arena = codec, arena

    def __call__(self, vector: Tensor) -> Callable[[], Parcel]:
        parcel = pack(vector, self._codec, self._arena)
        return lambda: parcel


class Aside:
    """Copy in the other lane of the device. One thread takes snapshots; the parcel may be made in any."""

    def __init__(self, lanes: Lanes, codec: Codec, arena: Arena) -> None:
        self._lanes, self._codec, self._arena = lanes, codec, arena
        self._buffer: Tensor | None = None
        self._copied: Mark | None = None  # the last snapshot has left the buffer

    def __call__(self, vector: Tensor) -> Callable[[], Parcel]:
        """The vector may be written to as soon as this returns."""
        vector = vector.detach()
        if self._buffer is None:
            self._buffer = torch.empty_like(vector)
        if self._copied is not None:
            self._lanes.wait(self._copied)
        self._buffer.copy_(vector)
        host = torch.from_numpy(self._arena.take(vector.nbytes)).view(vector.dtype)
        self._lanes.copy(host, self._buffer)
        self._copied = mark = self._lanes.mark()

        def parcel() -> Parcel:
            mark.synchronize()
            return pack_in_place(host, self._codec, self._arena)

        return parcel


def pinned(size: int) -> NDArray[np.uint8]:
    """(size,) bytes that a GPU reads and writes by itself; ordinary ones, with a warning, if the system has none."""
    try:
        array: NDArray[np.uint8] = torch.empty(size, dtype=torch.uint8, pin_memory=True).numpy()
    except RuntimeError as error:
        said = str(error).strip().partition("\n")[0]
        # one text for all, so that Python shows it once
        warnings.warn(f"no pinned memory, copies to and from the GPU are slower: {said}", RuntimeWarning, stacklevel=2)
        return plain(size)
    return array
