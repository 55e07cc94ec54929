"""Means and variances of tensors that come in blocks, as good as sums in float64 and nearly as fast as float32."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gossipnet.merge.apart import Vectors, blocks_of, own_of
from gossipnet.merge.blocks import Scratch, blocks, scoped_entries, spans
from gossipnet.model import Entry, ModelSpec

Sums = Any  # of each matrix (m_i,): tensors, or lists of numbers
quiet = np.errstate(over="ignore")  # squares may overflow: they are looked at
_DOT = 8192  # numbers in one dot product: few enough that its float32 result errs by 1e-8 and takes one thread


class Moments:
    """Mean and population variance of several tensors in m models at once, fed by blocks of columns.

    The sums over a block are taken pairwise in float32, and the blocks put together in float64 (Chan et al., 1979).
    Before anything is squared it is centred on the mean of the block, for the mean of squares less the square of the
    mean would cancel; only where that mean is no larger than the spread, as in weights, is the difference taken all
    the same. The error is about 1e-8 of the variance, plus (1e-7 mean)^2. Beyond 1e-38..1e38 variances are wrong.
    """

    def __init__(self, scoped: Sequence[Entry], scratch: Scratch) -> None:
        self._scratch = scratch
        self._numels = [e.numel for e in scoped]
        self._tensors: list[int] = []
        self._sizes: list[int] = []
        self._totals: list[Sums] = []  # per tensor and block, all matrices one after another
        self._squares: list[Sums] = []  # the same: sums of squared deviations from the means of the block

    def add(self, tensor: int, *matrices: Tensor) -> None:
        """Take in columns of one tensor, from models that lie in one or more matrices (m_i, n)."""
        sums = self._sums_here if self._scratch.may_branch else self._sums
        totals, squares = zip(*(sums(rows) for rows in matrices), strict=True)
        self._tensors.append(tensor)
        self._sizes.append(matrices[0].shape[1])
        self._totals.append(totals)
        self._squares.append(squares)

    def _sums(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        totals = rows.sum(1)
        return totals, self._centred(rows, totals)

    def _sums_here(self, rows: Tensor) -> tuple[list[float], list[float]]:
        """As plain numbers, which cost less than tensors that small."""
        totals: list[float] = rows.sum(1).tolist()
        squares, n = _squares(rows.numpy()), rows.shape[1]
        for row, total in enumerate(totals):
            of_mean = total * total / n
            squares[row] -= of_mean
            if not squares[row] >= of_mean:  # nan, of an overflow, is one of these
                squares[row] = float(self._centred(rows[row : row + 1], rows.new_tensor([total])))
        return totals, squares

    def _centred(self, rows: Tensor, totals: Tensor) -> Tensor:
        out = self._scratch("rows", *rows.shape)
        centred = torch.sub(rows, totals.unsqueeze(1), alpha=1 / rows.shape[1], out=out)
        return centred.mul_(centred).sum(1)  # not square_, which vmap does not know

    def result(self) -> tuple[Tensor, Tensor]:
        """Means and variances of the tensors fed since the last call, (m, t) float64 each, matrices one after another.

        They must be consecutive, and each fed whole.
        """
        totals, squares = self._joined(self._totals), self._joined(self._squares)
        first, last = self._tensors[0], self._tensors[-1]
        numels = totals.new_tensor(self._numels[first : last + 1])
        sizes, tensors = totals.new_tensor(self._sizes), [t - first for t in self._tensors]
        self._tensors, self._sizes, self._totals, self._squares = [], [], [], []
        if len(tensors) == len(numels):  # every tensor came in one block
            return totals / numels, squares / numels
        index = torch.tensor(tensors, device=totals.device)

        def gather(parts: Tensor) -> Tensor:
            return parts.new_zeros(len(parts), len(numels)).index_add(1, index, parts) / numels

        means = gather(totals)
        between = (totals / sizes - means.index_select(1, index)).square() * sizes
        return means, gather(squares + between)

    def _joined(self, parts: list[Sums]) -> Tensor:
        """Columns per tensor and block, rows per model, (m, blocks) float64."""
        if self._scratch.may_branch:
            return torch.tensor([[x for same in part for x in same] for part in parts], dtype=torch.float64).T
        return torch.stack([torch.cat(part) for part in parts], 1).double()


def _squares(rows: NDArray[Any]) -> list[float]:
    """The sum of squares of each row (m, n).

    By dot products in numpy's BLAS: one pass at the speed of the cache, and the same bits wherever the rows lie in
    memory, which torch's BLAS does not promise.
    """
    m, n = rows.shape
    rest = n % _DOT
    if rest == n:
        return _dots(rows.reshape(m, 1, 1, n))
    if rest == 0:
        return _dots(rows.reshape(m, -1, 1, _DOT))
    return [a + b for a, b in zip(_squares(rows[:, : n - rest]), _squares(rows[:, n - rest :]), strict=True)]


def _dots(parts: NDArray[Any]) -> list[float]:
    """(m, p, 1, n) -> m sums in float64"""
    found = np.matmul(parts, parts.swapaxes(2, 3)).reshape(parts.shape[:2])
    sums: list[float] = np.add.reduce(found, 1, np.float64).tolist()
    return sums


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
                moments.add(part.tensor, rows[:, part.start - start : part.stop - start])
    return moments.result()[1]
