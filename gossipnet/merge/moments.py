"""Means and variances of tensors that come in blocks, as good as sums in float64 and nearly as fast as float32."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gossipnet.merge.blocks import Scratch, blocks, scoped_entries
from gossipnet.model import Entry, ModelSpec


class Moments:
    """Mean and population variance of several tensors in m models at once, fed by blocks of columns.

    Every block is centred on its own means before anything is squared (the mean of squares less the square of the mean
    would cancel); its sums are taken pairwise in float32, the blocks put together in float64 (Chan et al., 1979). The
    error is about 1e-8 of the variance, plus (1e-7 mean)^2. Variances beyond 1e-38..1e38 are out of range.
    """

    def __init__(self, scoped: tuple[Entry, ...], scratch: Scratch) -> None:
        self._scratch = scratch
        self._numels = [e.numel for e in scoped]
        self._tensors: list[int] = []
        self._sizes: list[int] = []
        self._totals: list[Sequence[Tensor]] = []  # per tensor and block, of each matrix (m_i, 1)
        self._squares: list[Sequence[Tensor]] = []  # the same: sums of squared deviations from the means of the block

    def add(self, tensor: int, *matrices: Tensor) -> None:
        """Take in columns of one tensor, from models that lie in one or more matrices (m_i, n)."""
        self._tensors.append(tensor)
        self._sizes.append(matrices[0].shape[1])
        totals, squares = zip(*(self._sums(rows) for rows in matrices), strict=True)
        self._totals.append(totals)
        self._squares.append(squares)

    def _sums(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        total = rows.sum(1, keepdim=True)
        centred = torch.sub(rows, total, alpha=1 / rows.shape[1], out=self._scratch("rows", *rows.shape))
        return total, centred.mul_(centred).sum(1, keepdim=True)  # not square_, which vmap does not know

    def result(self) -> tuple[Tensor, Tensor]:
        """Means and variances, (m, t) float64 each, matrices one after another; every tensor must be fed whole."""
        totals, squares = _joined(self._totals), _joined(self._squares)
        numels = torch.tensor(self._numels, dtype=torch.float64, device=totals.device)
        if self._tensors == list(range(len(self._numels))):  # every tensor came in one block
            return totals / numels, squares / numels
        sizes = torch.tensor(self._sizes, dtype=torch.float64, device=totals.device)
        tensors = torch.tensor(self._tensors, device=totals.device)

        def gather(parts: Tensor) -> Tensor:
            return parts.new_zeros(len(parts), len(numels)).index_add(1, tensors, parts) / numels

        means = gather(totals)
        between = (totals / sizes - means.index_select(1, tensors)).square() * sizes
        return means, gather(squares + between)


def _joined(parts: Sequence[Sequence[Tensor]]) -> Tensor:
    """Columns per tensor and block, rows per model, (m, blocks) float64."""
    return torch.cat([torch.cat(same, 1) for same in zip(*parts, strict=True)]).double()


def variances(spec: ModelSpec, vectors: Tensor) -> Tensor:
    """The variance of every tensor of two dimensions or more in every model: (m, d) -> (m, t) float64."""
    scoped, scratch = scoped_entries(spec), Scratch(vectors)
    if not scoped:
        return vectors.new_empty(len(vectors), 0, dtype=torch.float64)
    moments = Moments(scoped, scratch)
    for block in blocks(spec.numel, scoped, vectors.device):
        for part in block:
            if part.tensor is not None:
                moments.add(part.tensor, vectors[:, part.start : part.stop])
    return moments.result()[1]
