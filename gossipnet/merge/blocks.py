"""Work on big vectors in blocks: what a block of columns needs stays in the cache from one operator to the next.

Several operators over a block then cost about one pass over the memory, and temporaries stay at a few MB whatever the
size of the model. Two things make that fast: buffers that all blocks of a merge share (Scratch), and results whose
memory is used again (Results).
"""

import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from gossipnet.model import Entry, ModelSpec

_COLUMNS = 1 << 17  # 512 KiB a row on a CPU: five rows and their temporaries fit in a third-level cache
_NUMBERS_GPU = 1 << 23  # of all rows: 32 MiB, of which two lie there at a time; a GPU wants few big kernels
_LARGE_BYTES = 32 << 20  # glibc gives freed blocks above this back to the system, whatever was freed before


@dataclass(frozen=True, slots=True)
class Stretch:
    """Columns of one tensor; `tensor` is its number among those whose variance is looked at, None for all others."""

    start: int
    stop: int
    tensor: int | None


def scoped_entries(spec: ModelSpec, tensors: str = "weights") -> tuple[Entry, ...]:
    """The tensors that have a variance to keep: parameters with two dimensions or more, or `"all"` parameters."""
    least = 0 if tensors == "all" else 2
    return tuple(e for e in spec.entries if not e.buffer and len(e.shape) >= least and e.numel)


def columns(rows: int, device: torch.device) -> int:
    """How many columns of that many models a block may have: on a CPU for its cache, on a GPU for its memory."""
    return _COLUMNS if device.type == "cpu" else max(1, _NUMBERS_GPU // rows)


def blocks(numel: int, scoped: tuple[Entry, ...], rows: int, device: torch.device) -> Iterator[list[Stretch]]:
    """Cut `numel` columns of so many models into blocks that suit `device`: lists of stretches one after another.

    Big tensors span several blocks, and a block holds many small tensors.
    """
    most = columns(rows, device)
    block: list[Stretch] = []
    for stretch in _stretches(numel, scoped, most):
        if block and stretch.stop - block[0].start > most:
            yield block
            block = []
        block.append(stretch)
    if block:
        yield block


def spans(blocks: Iterable[list[Stretch]]) -> list[tuple[int, int]]:
    """(start, stop) of each block."""
    return [(block[0].start, block[-1].stop) for block in blocks]


def _stretches(numel: int, scoped: tuple[Entry, ...], most: int) -> Iterator[Stretch]:
    """The scoped tensors and what lies between them, in order, none longer than `most`."""
    done = 0
    for number, entry in enumerate(scoped):
        yield from _cut(done, entry.offset, None, most)
        done = entry.offset + entry.numel
        yield from _cut(entry.offset, done, number, most)
    yield from _cut(done, numel, None, most)


def _cut(start: int, stop: int, tensor: int | None, most: int) -> Iterator[Stretch]:
    for first in range(start, stop, most):
        yield Stretch(first, min(first + most, stop), tensor)


def batched(tensor: Tensor) -> bool:
    """Whether torch.vmap is running us: its tensors have no memory of their own, and operators take no `out=`."""
    try:
        tensor.data_ptr()
    except RuntimeError:
        return True
    return False


def weighted_sum(weights: Tensor, rows: Tensor, out: Tensor | None) -> Tensor:
    """sum_j w_j x_j: (k,), (k, n) -> (n,), at memory speed; `out` is None under vmap only.

    vmap makes one batched product of `@`, and something eight times slower of `mv` with a transposed matrix.
    """
    return weights @ rows if out is None else torch.mv(rows.T, weights, out=out)


class Scratch:
    """Named buffers that the blocks of one merge take turns in; under vmap there are none, and operators allocate."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self.off = batched(like)
        self.may_branch = not self.off and like.device.type == "cpu"  # on values: vmap cannot, a GPU would have to wait
        self._memory: dict[str, Tensor] = {}
        self._views: dict[tuple[str, tuple[int, ...]], Tensor] = {}  # of it, by the shape asked for

    def __call__(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor | None:
        """A contiguous buffer for `out=`, dtype that of the vectors unless given; None under vmap."""
        if self.off:
            return None
        if (name, shape) not in self._views:
            if name not in self._memory or self._memory[name].numel() < prod(shape):
                self._memory[name] = self._like.new_empty(prod(shape), dtype=dtype)
                self._views.clear()  # those of the memory outgrown would keep it
            self._views[name, shape] = self._memory[name][: prod(shape)].view(shape)
        return self._views[name, shape]


class Results:
    """Makes the vectors that a rule returns; a large one lies in the memory of an earlier one that nobody holds.

    Asking the system for 44 MB and touching it for the first time costs twice the plain average itself. One idle
    vector is kept at most. A result belongs to the caller as long as any tensor that shares its memory lives.
    """

    def __init__(self) -> None:
        self._idle: list[Tensor] = []

    def like(self, row: Tensor) -> Tensor:
        """An empty vector (d,) with the dtype and on the device of `row` (d,)."""
        if batched(row) or row.device.type != "cpu" or row.nbytes < _LARGE_BYTES:
            return torch.empty_like(row)
        memory = self._take(row)
        array = memory.numpy()  # every tensor on it, views too, keeps this object alive; torch tells of no such thing
        weakref.finalize(array, self._keep, memory).atexit = False
        return torch.from_numpy(array)

    def _keep(self, memory: Tensor) -> None:
        self._idle[:] = [memory]  # one step for the interpreter: results may die in any thread

    def _take(self, row: Tensor) -> Tensor:
        try:
            memory = self._idle.pop()
        except IndexError:
            return _fresh(row)
        return memory if len(memory) == row.numel() and memory.dtype == row.dtype else _fresh(row)


def _fresh(row: Tensor) -> Tensor:
    """Memory from numpy, which asks for huge pages as torch does not."""
    return torch.from_numpy(np.empty(row.numel(), row[:0].numpy().dtype))
