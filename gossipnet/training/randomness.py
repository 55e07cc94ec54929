"""Global random numbers, made a trainer's or a run's own while it works.

Dropout, initialisation and the transforms of a user's dataset draw from the global generators of torch, numpy and
Python. Many trainers share a process, so torch's are swapped in and out for each; the other two are slower to swap and
rarely used in training: all three are seeded once per process or simulated run.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from gossipnet.streams import seed_of


class OwnRandomness:
    """torch's random numbers on the CPU and on `device`, as a stream of one's own."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._devices = [torch.device("cpu"), *([device] if device.type == "cuda" else [])]
        self._states = [torch.Generator(d).manual_seed(seed).get_state() for d in self._devices]

    @contextmanager
    def __call__(self, keep: bool = True) -> Iterator[None]:
        """Inside, torch draws from this stream. It goes on afterwards only if nothing was raised, and with `keep`."""
        outside = self._get()
        self._set(self._states)
        try:
            yield
            if keep:
                self._states = self._get()
        finally:
            self._set(outside)

    def _get(self) -> list[Tensor]:
        return [torch.cuda.get_rng_state(d) if d.type == "cuda" else torch.get_rng_state() for d in self._devices]

    def _set(self, states: list[Tensor]) -> None:
        for device, state in zip(self._devices, states, strict=True):
            if device.type == "cuda":
                torch.cuda.set_rng_state(state, device)
            else:
                torch.set_rng_state(state)


def seed_process(seed: int, node: int) -> None:
    """Seed all global generators, for a process that is one node's."""
    torch.manual_seed(seed_of(seed, node, "process"))
    random.seed(seed_of(seed, node, "python"))
    np.random.seed(seed_of(seed, node, "numpy") % 2**32)


@contextmanager
def seeded_process(seed: int, node: int) -> Iterator[None]:
    """The same for a while; then they are as they were."""
    python, legacy, outside = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seed_process(seed, node)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
        torch.set_rng_state(outside)
