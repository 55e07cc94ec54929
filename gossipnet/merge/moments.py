"""Means and variances of tensors that come in blocks, as good as sums in float64 and nearly as fast as float32."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gossipnet.merge.apart import Vectors, block_of, blocks_of, own_of
from gossipnet.merge.blocks import Scratch, Stretch, blocks, scoped_entries, spans
from gossipnet.model import Entry, ModelSpec

Again = Callable[[Stretch], Sequence[Tensor]]  # the matrices that were fed of a stretch
quiet = np.errstate(over="ignore")  # squares may overflow: they are looked at
_DOT = 8192  # numbers in one dot product: few enough that its float32 result errs by 1e-8 and takes one thread


class Moments:
    """Mean and population variance of several tensors in m models at once, fed by blocks of columns.

    The sums over a block are taken pairwise in float32, and the blocks put together in float64 (Chan et al., 1979).
    Squares would cancel with the square of the mean where that is larger than the spread, as it seldom is in weights;
    such columns are looked at once more at the end, and centred first. The error is about 1e-8 of the variance, plus
    (1e-7 mean)^2. Beyond 1e-38..1e38 variances are wrong.

    While blocks come in they are only summed up: Python is slow whenever a block has just driven it out of the cache.
    """

    def __init__(self, scoped: Sequence[Entry], scratch: Scratch) -> None:
        self._scratch = scratch
        self._numels = [e.numel for e in scoped]
        self._parts: list[Stretch] = []
        self._totals: list[Tensor] = []  # of each matrix (m_i, n) fed, (m_i,)
        self._squares: list[Any] = []  # the same, of squares or of squared deviations; on a CPU parts of it, (m_i, p)

    def add(self, part: Stretch, *matrices: Tensor) -> None:
        """Take in a stretch of one tensor, from models that lie in one or more matrices (m_i, n)."""
        self._parts.append(part)
        for rows in matrices:
            totals = rows.sum(1)
            self._totals.append(totals)
            self._squares.append(_squares(rows.numpy()) if self._scratch.may_branch else self._centred(rows, totals))

    def _centred(self, rows: Tensor, totals: Tensor) -> Tensor:
        out = self._scratch("rows", *rows.shape)
        centred = torch.sub(rows, totals.unsqueeze(1), alpha=1 / rows.shape[1], out=out)
        return centred.mul_(centred).sum(1)  # not square_, which vmap does not know

    def result(self, again: Again) -> tuple[Tensor, Tensor]:
        """Means and variances of all tensors, (m, t) float64 each, matrices one after another. Each was fed whole."""
        parts = len(self._parts)
        totals = torch.cat(self._totals).view(parts, -1).T.double()
        sizes = totals.new_tensor([part.stop - part.start for part in self._parts])
        squares = self._deviations(totals, sizes, again)
        numels = totals.new_tensor(self._numels)
        if parts == len(numels):  # every tensor came in one block
            return totals / numels, squares / numels
        index = torch.tensor([part.tensor for part in self._parts], device=totals.device)

        def gather(sums: Tensor) -> Tensor:
            return sums.new_zeros(len(sums), len(numels)).index_add(1, index, sums) / numels

        means = gather(totals)
        between = (totals / sizes - means.index_select(1, index)).square() * sizes
        return means, gather(squares + between)

    def _deviations(self, totals: Tensor, sizes: Tensor, again: Again) -> Tensor:
        """Sums of squared deviations from the means of the stretches, (m, stretches) float64."""
        if not self._scratch.may_branch:
            return torch.cat(self._squares).view(len(sizes), -1).T.double()
        sums = np.concatenate([np.add.reduce(found, 1, np.float64) for found in self._squares])
        of_means = totals.square() / sizes
        squares = torch.from_numpy(sums).view(len(sizes), -1).T - of_means
        cancelled = ~(squares >= of_means)  # nan, of an overflow, is one of these
        for number in cancelled.any(0).nonzero().flatten().tolist():
            found = [self._centred(rows, rows.sum(1)) for rows in again(self._parts[number])]
            squares[:, number] = torch.where(cancelled[:, number], torch.cat(found).double(), squares[:, number])
        return squares


def _squares(rows: NDArray[Any]) -> NDArray[Any]:
    """Squares of each row (m, n), summed up in part: (m, p).

    By dot products in numpy's BLAS: one pass at the speed of the cache, and the same bits wherever the rows lie in
    memory, which torch's BLAS does not promise.
    """
    m, n = rows.shape
    rest = n % _DOT
    if rest == n:
        parts = rows.reshape(m, 1, 1, n)
    elif rest == 0:
        parts = rows.reshape(m, -1, 1, _DOT)
    else:
        return np.concatenate([_squares(rows[:, : n - rest]), _squares(rows[:, n - rest :])], 1)
    found: NDArray[Any] = np.matmul(parts, parts.swapaxes(2, 3)).reshape(parts.shape[:2])
    return found


@quiet
def variances(spec: ModelSpec, vectors: Vectors) -> Tensor:
    """The variance of every tensor of two dimensions or more in every model: (m, d) -> (m, t) float64."""
    scoped, scratch = scoped_entries(spec), Scratch(own_of(vectors))
    if not scoped:
        return own_of(vectors).new_empty(len(vectors), 0, dtype=torch.float64)
    moments = Moments(scoped, scratch)
    cut = list(blocks(spec.numel, scoped, len(vectors), vectors.device))
    for block, rows in zip(cut, blocks_of(vectors, spans(cut)), strict=True):
        start = block[0].start
        for part in block:
            if part.tensor is not None:
                moments.add(part, rows[:, part.start - start : part.stop - start])
    return moments.result(lambda part: [block_of(vectors, part.start, part.stop)])[1]
