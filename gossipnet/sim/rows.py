"""An arena of models: a matrix of which each model is a row, taken when it is made and free when nobody holds it."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Row:
    """One model of an arena, held as long as this object lives. A snapshot of a simulated node holds one."""

    __slots__ = ("_arena", "index")

    def __init__(self, arena: "Arena", index: int) -> None:
        self._arena = arena
        self.index = index

    def __del__(self) -> None:
        self._arena.free.append(self.index)

    @property
    def vector(self) -> Tensor:
        """The model itself, (d,); not to be kept."""
        return self._arena.rows[self.index]


class Arena:
    """Rows (d,) float32 on `device`, `size` of them at first, more when they are needed.

    With `memory` (size, d) its rows are those, and no more.
    """

    def __init__(self, size: int, numel: int, device: torch.device, memory: Tensor | None = None) -> None:
        self.rows = torch.empty(size, numel, device=device) if memory is None else memory
        self.free: list[int] = []
        self._fixed = memory is not None
        self._gathered = self.rows[:0]
        self._touched = 0  # rows from here on were never used: they cost no memory yet

    def take(self, count: int) -> list[Row]:
        """`count` free rows in order, neighbors where that can be: what is near is read and written in one piece."""
        missing = count - len(self.free)
        if missing > 0:
            self._reserve(self._touched + missing)
            self.free.extend(range(self._touched, self._touched + missing))
            self._touched += missing
        self.free.sort(reverse=True)
        return [Row(self, self.free.pop()) for _ in range(count)]  # one that is freed meanwhile may be taken at once

    def _reserve(self, size: int) -> None:
        if size <= len(self.rows):
            return
        if self._fixed:
            raise MemoryError(f"the simulated network holds more than {len(self.rows)} models: fewer nodes fit")
        grown = self.rows.new_empty(max(size, len(self.rows) * 5 // 4), self.rows.shape[1])
        grown[: len(self.rows)] = self.rows
        self.rows = grown

    def of(self, rows: Sequence[Row]) -> tuple[Tensor, bool]:
        """The models (b, d), and whether that is the rows themselves, which writing to it changes, or a copy."""
        at = _where(rows)
        return self.rows[at], isinstance(at, slice)

    def gather(self, at: Tensor) -> Tensor:
        """The models (b, k, d) in rows `at` (b, k); good until the next time, which uses the same memory."""
        size, d = at.numel(), self.rows.shape[1]
        if len(self._gathered) < size:
            self._gathered = self.rows.new_empty(size, d)
        return torch.index_select(self.rows, 0, at.view(-1), out=self._gathered[:size]).view(*at.shape, d)

    def put(self, rows: Sequence[Row], models: Tensor) -> None:
        """Write models (b, d) into those rows."""
        self.rows[_where(rows)] = models

    def copy(self, rows: Sequence[Row], into: Sequence[Row]) -> None:
        """Write the models in `rows` into as many other rows."""
        at = _where(into)
        models, near = self.of(rows)
        if near and isinstance(at, list):  # torch does not put rows of a matrix into scattered others of the same
            models = models.clone()
        self.rows[at] = models


def _where(rows: Sequence[Row]) -> slice | list[int]:
    first, last = rows[0].index, rows[-1].index
    if last - first + 1 == len(rows) and all(row.index == first + i for i, row in enumerate(rows)):
        return slice(first, last + 1)
    return [row.index for row in rows]
