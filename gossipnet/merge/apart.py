"""Models that lie apart, read as one matrix: what a merge has before anybody has put them together."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Apart:
    """Vectors (d,) in memory of their own, as a matrix (k+1, d) that is read by blocks of columns.

    What that saves is the matrix: k + 1 more models in memory, and the time to write them. Blocks are made on the
    device of the first row, which is one's own model; the others may lie elsewhere.
    """

    def __init__(self, rows: Sequence[Tensor]) -> None:
        self.rows = rows
        self.device, self.dtype = rows[0].device, rows[0].dtype
        self.shape = torch.Size((len(rows), *rows[0].shape))
        self._memory = rows[0].new_empty(0)

    def __len__(self) -> int:
        return len(self.rows)

    def block(self, start: int, stop: int) -> Tensor:
        """The columns from `start` to before `stop`, (k+1, n) contiguous; until another block is asked for."""
        size = len(self) * (stop - start)
        if self._memory.numel() < size:
            self._memory = self.rows[0].new_empty(size)
        block = self._memory[:size].view(len(self), stop - start)
        if all(row.device == self.device for row in self.rows):
            torch.stack([row[start:stop] for row in self.rows], out=block)
        else:
            for row, part in zip(self.rows, block.unbind(), strict=True):
                part.copy_(row[start:stop], non_blocking=row.is_pinned())
        return block


Vectors = Tensor | Apart


def block_of(vectors: Vectors, start: int, stop: int) -> Tensor:
    """Columns of a matrix (k+1, d), whatever it is made of: (k+1, n)."""
    return vectors.block(start, stop) if isinstance(vectors, Apart) else vectors[:, start:stop]


def own_of(vectors: Vectors) -> Tensor:
    """The first row, (d,)."""
    return vectors.rows[0] if isinstance(vectors, Apart) else vectors[0]
