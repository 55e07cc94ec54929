"""Work on big vectors in blocks: what a block of columns needs stays in the cache from one operator to the next.

Several operators over a block then cost about one pass over the memory, and temporaries stay at a few MB whatever the
size of the model. Two things make that fast: buffers that all blocks of a merge share (Scratch), and results whose
memory is used again (Results).
"""

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from gossipnet.model import Entry, ModelSpec

_COLUMNS = 1 << 16  # 256 KiB a row on a CPU: five rows and their temporaries fit in a third-level cache
_COLUMNS_CUDA = 1 << 22  # a GPU wants few big kernels
_LARGE_BYTES = 32 << 20  # glibc gives freed blocks above this back to the system, whatever was freed before


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the vector: one tensor whose variance is corrected, or a run of everything between two such."""

    start: int
    stop: int
    scoped: bool

    def blocks(self, device: torch.device) -> Iterator[slice]:
        """The columns of the span, in pieces that fit in the cache of `device`."""
        size = _COLUMNS if device.type == "cpu" else _COLUMNS_CUDA
        for start in range(self.start, self.stop, size):
            yield slice(start, min(start + size, self.stop))


def scoped_entries(spec: ModelSpec, tensors: str = "weights") -> tuple[Entry, ...]:
    """The tensors that have a variance to keep: parameters with two dimensions or more, or `"all"` parameters."""
    least = 0 if tensors == "all" else 2
    return tuple(e for e in spec.entries if not e.buffer and len(e.shape) >= least)


def spans(spec: ModelSpec, scoped: tuple[Entry, ...]) -> list[Span]:
    """Cut the vector into the `scoped` tensors and what lies between them."""
    found: list[Span] = []
    done = 0
    for entry in scoped:
        if entry.offset > done:
            found.append(Span(done, entry.offset, False))
        done = entry.offset + entry.numel
        found.append(Span(entry.offset, done, True))
    if done < spec.numel:
        found.append(Span(done, spec.numel, False))
    return [s for s in found if s.stop > s.start]


def batched(tensor: Tensor) -> bool:
    """Whether torch.vmap is running us: its tensors have no memory of their own, and operators take no `out=`."""
    try:
        tensor.data_ptr()
    except RuntimeError:
        return True
    return False


class Scratch:
    """Named buffers that the blocks of one merge take turns in; under vmap there are none, and operators allocate."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._off = batched(like)
        self._buffers: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor | None:
        """A contiguous buffer for `out=`, dtype that of the vectors unless given; None under vmap."""
        if self._off:
            return None
        need = prod(shape)
        if name not in self._buffers or self._buffers[name].numel() < need:
            self._buffers[name] = self._like.new_empty(need, dtype=dtype)
        return self._buffers[name][:need].view(shape)

    def window(self, result: Tensor, columns: slice) -> Tensor | None:
        """The columns of the result, for `out=`; None under vmap."""
        return None if self._off else result[columns]


class Results:
    """Makes the vectors that a rule returns; a large one lies in the memory of an earlier one that nobody holds.

    Asking the system for 44 MB and touching it for the first time costs twice the plain average itself. One idle
    vector is kept at most. A result belongs to the caller as long as any tensor that shares its memory lives.
    """

    def __init__(self) -> None:
        self._idle: list[Tensor] = []

    def like(self, vectors: Tensor) -> Tensor:
        """An empty vector (d,) with the dtype and on the device of `vectors` (k+1, d)."""
        d = vectors.shape[-1]
        if batched(vectors) or vectors.device.type != "cpu" or d * vectors.element_size() < _LARGE_BYTES:
            return vectors.new_empty(d)
        memory = self._take(d, vectors.dtype)
        array = memory.numpy()  # every tensor on it, views too, keeps this object alive; torch tells of no such thing
        weakref.finalize(array, self._keep, memory).atexit = False
        return torch.from_numpy(array)

    def _keep(self, memory: Tensor) -> None:
        self._idle[:] = [memory]  # one step for the interpreter: results may die in any thread

    def _take(self, d: int, dtype: torch.dtype) -> Tensor:
        try:
            memory = self._idle.pop()
        except IndexError:
            return torch.empty(d, dtype=dtype)
        return memory if memory.shape == (d,) and memory.dtype == dtype else torch.empty(d, dtype=dtype)
