"""What a terminal shows of a grid while it runs: a bar, how many cells are over, and the time left.

Time left is taken of the work (local steps) that is done: each part of a grid has its own speed once a cell of it is
over, the mean of the others' before.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from gossipnet.grid.plan import Cell
from gossipnet.report import units

REDRAW_S, QUIET_S, WIDTH = 0.25, 30.0, 24


class Bar:
    """The view of a grid on `stream`: one line that is drawn over, if it is a terminal, else a line now and then."""

    def __init__(
        self,
        stream: TextIO,
        jobs: int,
        clock: Callable[[], float] = time.monotonic,
        columns: Callable[[], int] | None = None,
    ) -> None:
        self._stream, self._jobs, self._clock = stream, jobs, clock
        self._columns = columns or (lambda: shutil.get_terminal_size().columns)
        self._live = stream.isatty()
        self._cells: Sequence[Cell] = ()
        self._before = 0
        self._failed = 0
        self._share: dict[str, float] = {}  # key -> how much of the cell is done
        self._begun: dict[str, float] = {}
        self._took: dict[str, float] = {}  # key of a cell that is over -> seconds
        self._told_at = clock()
        self._tenth = 0

    def begin(self, cells: Sequence[Cell], over: int) -> None:
        """These are left to run; so many were over before."""
        self._cells, self._before = cells, over
        known = f", {over} of them over already" if over else ""
        self._stream.write(f"{over + len(cells)} cells{known}, {self._jobs} at a time\n")

    def at(self, cell: Cell, round: int) -> None:
        self._begun.setdefault(cell.key, self._clock())
        self._share[cell.key] = min(1.0, round / cell.experiment.rounds)

    def over(self, cell: Cell, error: str | None) -> None:
        """A failure is told at once, above the bar."""
        self._share[cell.key] = 1.0
        self._took[cell.key] = self._spent(cell)
        if error is not None:
            self._failed += 1
            self._erase()
            said = "".join(c if c.isprintable() else " " for c in error)
            self._stream.write(f"failed: {cell.part}: {cell}: {said[:300]}\n")
        self.tick(force=self._live)

    @property
    def done(self) -> int:
        """Cells that are over, those of earlier runs among them."""
        return self._before + sum(share == 1.0 for share in self._share.values())

    @property
    def left_s(self) -> float | None:
        """Seconds that are left, None before anything is known."""
        done: dict[str, list[float]] = {}  # part -> work, seconds of a worker
        for cell in self._cells:
            if self._share.get(cell.key):
                pace = done.setdefault(cell.part, [0.0, 0.0])
                pace[0] += cell.work * self._share[cell.key]
                pace[1] += self._spent(cell)
        if not done:
            return None
        mean = sum(s for _, s in done.values()) / sum(w for w, _ in done.values())
        paces = {part: seconds / work for part, (work, seconds) in done.items()}
        left = (c.work * (1 - self._share.get(c.key, 0.0)) * paces.get(c.part, mean) for c in self._cells)
        return sum(left) / self._jobs

    def tick(self, force: bool = False) -> None:
        """Draw if it is time to."""
        now = self._clock()
        if self._live:
            if force or now - self._told_at >= REDRAW_S:
                self._told_at = now
                self._erase()
                self._stream.write(self.line()[: self._columns() - 1])
                self._stream.flush()
            return
        tenth = 10 * self.done // max(1, self._before + len(self._cells))
        if tenth > self._tenth or now - self._told_at >= QUIET_S:
            self._tenth, self._told_at = tenth, now
            self._stream.write(self.line() + "\n")
            self._stream.flush()

    def line(self) -> str:
        """The bar as text."""
        total = self._before + len(self._cells)
        filled = round(WIDTH * self._fraction())
        left = self.left_s
        parts = [f"[{'#' * filled}{'.' * (WIDTH - filled)}] {self.done}/{total} cells"]
        if self._failed:
            parts.append(f"{self._failed} failed")
        parts.append(f"{units.seconds(left)} left" if left is not None else "starting")
        return "  ".join(parts)

    def close(self) -> None:
        """Leave the terminal as it should be."""
        self._erase()
        self._stream.flush()

    def _spent(self, cell: Cell) -> float:
        """Seconds that a cell took, or has taken so far."""
        return self._took.get(cell.key, self._clock() - self._begun.get(cell.key, self._clock()))

    def _fraction(self) -> float:
        total = self._before + len(self._cells)
        return (self._before + sum(self._share.values())) / total if total else 1.0

    def _erase(self) -> None:
        if self._live:
            self._stream.write("\r\x1b[K")
