"""Models that lie apart, read as one matrix: what a merge has before anybody has put them together."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from gossipnet.lanes import Lanes

Cut = tuple[int, int]  # columns: the first, and the one after the last


class Apart:
    """Vectors (d,) in memory of their own, as a matrix (k+1, d) that is read by blocks of columns.

    What that saves is the matrix: k + 1 more models in memory, and the time to write them. Blocks are made on the
    device of the first row, which is one's own model; the others may lie elsewhere. With `lanes` of that device the
    next block comes in beside what is computed from one.
    """

    def __init__(self, rows: Sequence[Tensor], lanes: Lanes | None = None) -> None:
        self.rows = rows
        self.device, self.dtype = rows[0].device, rows[0].dtype
        self.shape = torch.Size((len(rows), *rows[0].shape))
        self._lanes = lanes
        self._memory = [rows[0].new_empty(0)] * 2

    def __len__(self) -> int:
        return len(self.rows)

    def block(self, start: int, stop: int) -> Tensor:
        """The columns from `start` to before `stop`, (k+1, n) contiguous; until another block is asked for."""
        block = self._place(0, stop - start)
        if all(row.device == self.device for row in self.rows):
            torch.stack([row[start:stop] for row in self.rows], out=block)
        else:
            for row, part in zip(self.rows, block.unbind(), strict=True):
                part.copy_(row[start:stop])  # which waits: rows are given back when the merge is done
        return block

    def blocks(self, cuts: Iterable[Cut]) -> Iterator[Tensor]:
        """Block by block, each to be used before the next is asked for."""
        if self._lanes is None:
            for cut in cuts:
                yield self.block(*cut)
        else:
            yield from self._streamed(self._lanes, cuts)

    def _streamed(self, lanes: Lanes, cuts: Iterable[Cut]) -> Iterator[Tensor]:
        """Two blocks take turns in memory: one is read while the other comes in, and never more are on the device."""
        coming = None
        for number, (start, stop) in enumerate(cuts):
            block = self._place(number % 2, stop - start)
            for row, part in zip(self.rows, block.unbind(), strict=True):
                lanes.copy(part, row[start:stop])  # after what was computed so far, from what lay there before
            after, coming = coming, (block, lanes.mark())
            if after is not None:
                lanes.wait(after[1])
                yield after[0]
        if coming is not None:
            lanes.wait(coming[1])
            yield coming[0]

    def _place(self, turn: int, columns: int) -> Tensor:
        size = len(self) * columns
        if self._memory[turn].numel() < size:
            self._memory[turn] = self.rows[0].new_empty(size)
        return self._memory[turn][:size].view(len(self), columns)


Vectors = Tensor | Apart


def block_of(vectors: Vectors, start: int, stop: int) -> Tensor:
    """Columns of a matrix (k+1, d), whatever it is made of: (k+1, n)."""
    return vectors.block(start, stop) if isinstance(vectors, Apart) else vectors[:, start:stop]


def blocks_of(vectors: Vectors, cuts: Iterable[Cut]) -> Iterator[Tensor]:
    """The same of one cut after the other."""
    return vectors.blocks(cuts) if isinstance(vectors, Apart) else (vectors[:, slice(*cut)] for cut in cuts)


def own_of(vectors: Vectors) -> Tensor:
    """The first row, (d,)."""
    return vectors.rows[0] if isinstance(vectors, Apart) else vectors[0]
