"""Two lanes of a GPU: one computes, the other copies to and from the memory of the CPU meanwhile.

A thread asks for work in either and goes on at once; what has to come after what is said here, and only here.
"""

from typing import Protocol

import torch
from torch import Tensor


class Mark(Protocol):
    """A place in the copying lane, reached when all copies that were queued before it are done."""

    def synchronize(self) -> None:
        """Wait for it, in any thread."""


class Lanes(Protocol):
    """The lanes of one device, for the thread that computes there."""

    def copy(self, into: Tensor, source: Tensor) -> None:
        """Queue a copy; it begins when all that was computed so far is done.

        Until a mark after it is waited for, `into` may not be touched, and `source` not be written to.
        """

    def mark(self) -> Mark:
        """A mark after all copies so far."""

    def wait(self, mark: Mark) -> None:
        """Whatever is computed from here on begins after `mark`. The thread goes on."""


class CudaLanes:
    """Computing is the stream that is current when a method is called; copying is a stream of our own."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def copy(self, into: Tensor, source: Tensor) -> None:
        self._side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._side):
            into.copy_(source, non_blocking=True)
        for tensor in (into, source):
            if tensor.is_cuda:  # whoever lets go of it too early: its memory is lent again only after the copy
                tensor.record_stream(self._side)

    def mark(self) -> Mark:
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # whoever waits sleeps
        event.record(self._side)
        return event

    def wait(self, mark: Mark) -> None:
        assert isinstance(mark, torch.cuda.Event)
        torch.cuda.current_stream(self._device).wait_event(mark)


def lanes_of(device: torch.device) -> Lanes | None:
    """None for a device that has one lane only."""
    return CudaLanes(device) if device.type == "cuda" else None
