"""Which samples of a node go into which step, and which of them it keeps for validation."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def batches(indices: Indices, size: int, rng: np.random.Generator) -> Iterator[Indices]:
    """Batches of exactly `size`, without end: shuffled epochs, one after the other, cut into batches across the seams.

    So every step of every node has the same shape, whatever the number of its samples.
    """
    left = indices[:0]
    while True:
        while len(left) < size:
            left = np.concatenate([left, rng.permutation(indices)])
        yield left[:size]
        left = left[size:]


def hold_out(indices: Indices, share: float, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """Samples to train on and samples for validation, both sorted: about `share` of them, at least one of two.

    One sample alone is trained on.
    """
    if not share:
        return indices, indices[:0]
    size = min(len(indices) - 1, max(1, round(share * len(indices))))
    held = np.zeros(len(indices), dtype=bool)
    held[rng.choice(len(indices), size, replace=False)] = True
    return indices[~held], indices[held]
