"""Running the cells of a grid: worker processes, each with one cell at a time, and a folder that can be gone on with.

    FOLDER/grid.toml          the file
    FOLDER/cells/<key>/       a run folder per cell, and its cell.json; the key is a digest of all that decides the run
    FOLDER/worker-<i>.log     what a worker's code printed

Cells are found by their key. A grid that has changed keeps the cells that it still has, and runs the others.
"""

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gossipnet.errors import BadInput
from gossipnet.grid.cell import Outcome, fail_cell
from gossipnet.grid.plan import Cell

GRID, CELLS = "grid.toml", "cells"
ANSWER_S = 0.2  # the view is told at least so often that time goes by
LAST_WORDS_S = 3.0  # a live swarm ends its nodes in good order


class View(Protocol):
    """What shows a grid while it runs."""

    def begin(self, cells: Sequence[Cell], over: int) -> None:
        """These are left to run; so many were over before."""

    def at(self, cell: Cell, round: int) -> None: ...

    def over(self, cell: Cell, error: str | None) -> None: ...

    def tick(self) -> None: ...


@dataclass(eq=False)
class Worker:
    """One process, the cell that it is at, and what has come of a line that it is saying."""

    process: "subprocess.Popen[bytes]"
    cell: Cell | None = None
    heard: bytes = b""

    def tell(self, what: Mapping[str, Any]) -> None:
        """One line to its standard input; a process that has died is told nothing, which its silence will show."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(what).encode() + b"\n")
            self.process.stdin.flush()

    def hear(self) -> list[Mapping[str, Any]] | None:
        """The answers that have come, None at the end of them."""
        assert self.process.stdout is not None
        read = os.read(self.process.stdout.fileno(), 1 << 16)
        *lines, self.heard = (self.heard + read).split(b"\n")
        return [json.loads(line) for line in lines] if read else None


def cell_folder(folder: Path, cell: Cell) -> Path:
    """Where a cell of the grid in `folder` runs."""
    return folder / CELLS / cell.key


def outcomes(folder: Path, cells: Sequence[Cell]) -> dict[str, Outcome]:
    """Key -> what the cell came to, of those that are over."""
    found = {cell.key: Outcome.read(cell_folder(folder, cell)) for cell in cells}
    return {key: outcome for key, outcome in found.items() if outcome is not None}


def run_cells(folder: Path, cells: Sequence[Cell], jobs: int, view: View) -> bool:
    """Run the cells that are not over, and those that failed, `jobs` at a time. Returns False after Ctrl-C.

    A cell that fails, or whose process dies, is written down as failed and costs no other.
    """
    over = {key for key, outcome in outcomes(folder, cells).items() if outcome.error is None}
    left = list({cell.key: cell for cell in cells if cell.key not in over}.values())
    view.begin(left, len(over))
    if not left:
        return True
    pool = Pool(folder, deque(left), view)
    with interruptible() as interrupted:
        try:
            pool.start(min(jobs, len(left)))
            while pool.busy and not interrupted():
                pool.step()
            return not interrupted()
        finally:
            pool.close()


class Pool:
    """Workers, and the cells that wait for one."""

    def __init__(self, folder: Path, waiting: "deque[Cell]", view: View) -> None:
        self._folder, self._waiting, self._view = folder, waiting, view
        self._selector = selectors.DefaultSelector()
        self._workers: list[Worker] = []
        self._started = 0

    @property
    def busy(self) -> bool:
        return bool(self._workers)

    def start(self, count: int) -> None:
        (self._folder / CELLS).mkdir(parents=True, exist_ok=True)
        for _ in range(count):
            self._start()

    def step(self) -> None:
        """Take in what workers say, for at most ANSWER_S."""
        for key, _ in self._selector.select(ANSWER_S):
            worker: Worker = key.data
            answers = worker.hear()
            if answers is None:
                self._died(worker)
            for answer in answers or ():
                self._answered(worker, answer)
        self._view.tick()

    def close(self) -> None:
        """End all workers, the nodes of live swarms among them."""
        for worker in self._workers:
            worker.process.send_signal(signal.SIGTERM if _is_live(worker) else signal.SIGKILL)
        for worker in self._workers:
            try:
                worker.process.wait(LAST_WORDS_S)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            _close(worker)
        self._workers.clear()
        self._selector.close()

    def _start(self) -> None:
        log = self._folder / f"worker-{self._started}.log"
        self._started += 1
        with log.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "gossipnet.grid.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl-C is ours alone
            )
        worker = Worker(process)
        self._workers.append(worker)
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)
        self._next(worker)

    def _next(self, worker: Worker) -> None:
        """Give it the next cell, or let it go."""
        if not self._waiting:
            worker.cell = None
            self._let_go(worker)
            return
        cell = worker.cell = self._waiting.popleft()
        asked = {"world": cell.world, "baseline": cell.baseline, "config": cell.experiment.to_toml()}
        worker.tell({**asked, "folder": str(cell_folder(self._folder, cell))})
        self._view.at(cell, 0)

    def _answered(self, worker: Worker, answer: Mapping[str, Any]) -> None:
        assert worker.cell is not None
        if "round" in answer:
            self._view.at(worker.cell, answer["round"])
            return
        self._view.over(worker.cell, answer["over"])
        self._next(worker)

    def _died(self, worker: Worker) -> None:
        cell = worker.cell
        status = worker.process.wait()
        self._let_go(worker)
        if cell is not None:
            error = f"its process ended with status {status}{_hint(status)}; worker-*.log may say why"
            fail_cell(cell_folder(self._folder, cell), error)
            self._view.over(cell, error)
        if self._waiting:
            self._start()

    def _let_go(self, worker: Worker) -> None:
        assert worker.process.stdout is not None
        self._selector.unregister(worker.process.stdout)
        self._workers.remove(worker)
        _close(worker)


def _hint(status: int) -> str:
    return " (killed: too little memory?)" if status == -signal.SIGKILL else ""


def _is_live(worker: Worker) -> bool:
    return worker.cell is not None and worker.cell.world == "live"


def _close(worker: Worker) -> None:
    """Close its input, which ends it, and wait for that."""
    assert worker.process.stdin is not None
    assert worker.process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        worker.process.stdin.close()
    worker.process.wait()
    worker.process.stdout.close()


@contextlib.contextmanager
def interruptible() -> Iterator[Any]:
    """Inside, Ctrl-C and SIGTERM are noted, and do nothing else; yields what tells."""
    noted: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, lambda received, _: noted.append(received))
        yield lambda: bool(noted)
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def check_folder(folder: Path, resume: bool, overwrite: bool) -> None:
    """Raise BadInput unless a grid may run there. Changes nothing."""
    try:
        there = os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise BadInput(f"{str(folder)!r} cannot be read: {error.strerror or error}; choose another --out") from error
    if there and not (folder / GRID).is_file():
        raise BadInput(f"{str(folder)!r} exists and is no grid (no {GRID}): choose another --out")
    if there and not (resume or overwrite):
        raise BadInput(f"{str(folder)!r} exists: --resume goes on with it, --overwrite replaces it")
    if resume and not there:
        raise BadInput(f"no grid in {str(folder)!r} to go on with: leave --resume out")


def claim_folder(folder: Path, text: str, resume: bool) -> bool:
    """Make the folder of a grid, or take an earlier one, whose cells stay if it is resumed. Raises BadInput.

    Returns whether its file has changed since.
    """
    file = folder / GRID
    try:
        changed = resume and file.read_text(encoding="utf-8") != text
        if not resume:
            shutil.rmtree(folder / CELLS, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{str(folder)!r} cannot be written: {error.strerror or error}; choose another --out") from error
    return changed
