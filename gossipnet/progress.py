"""What a terminal shows of a run while it goes on, made of the run's reports.

On a terminal: a table with a line per node, drawn over itself. Elsewhere: a line for each tenth of the run, and every
ten seconds of a slow one. A node that fails is told of at once, with its traceback, above the table.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

REDRAW_S = 0.1  # a terminal gains nothing from more
QUIET_S = 10.0  # without a terminal: at most so long without a line, while rounds are done
UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(slots=True)
class Line:
    """The latest figures of one node."""

    state: str = "starting"
    round: int = 0
    loss: float | None = None
    accuracy: float | None = None
    neighbors_up: int = 0
    bytes_sent: int = 0

    def take(self, event: str, round: int, numbers: Mapping[str, Any]) -> None:
        """`event` and `numbers` are those of metrics.jsonl."""
        if event in ("evaluated", "finished") and numbers.get("accuracy") is not None:
            self.accuracy = numbers["accuracy"]
        if event == "merged":
            self.round = round
            self.loss = numbers.get("loss")
            self.neighbors_up = numbers.get("neighbors_up", self.neighbors_up)
            self.bytes_sent = numbers.get("bytes_sent", self.bytes_sent)
        elif event in ("peer_up", "peer_down"):
            self.neighbors_up = max(0, self.neighbors_up + (1 if event == "peer_up" else -1))
        if event in ("started", "finished", "failed"):
            self.state = {"started": "running"}.get(event, event)


class Progress:
    """The view of a run on `stream`: a table if it is a terminal, else lines."""

    def __init__(
        self,
        nodes: int,
        rounds: int,
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
        size: Callable[[], tuple[int, int]] = shutil.get_terminal_size,
    ) -> None:
        self._rounds, self._stream, self._clock, self._size = rounds, stream, clock, size
        self._live = stream.isatty()
        self._nodes = {node: Line() for node in range(nodes)}
        self._time_s = 0.0
        self._tenths = 0
        self._told_at = clock()
        self._drawn_at = float("-inf")
        self._height = 0  # lines of the table that stand on the terminal

    def report(self, time_s: float, node: int | None, event: str, round: int, numbers: Mapping[str, Any]) -> None:
        """Take in one report."""
        self._time_s = max(self._time_s, time_s)
        line = self._nodes.get(-1 if node is None else node)
        if line is None:
            return
        line.take(event, round, numbers)
        if self._live:
            self._draw()
        elif event == "merged":
            self._tell()

    def failure(self, node: int, error: str) -> None:
        """Say it at once, whatever else is on the terminal. `node` is -1 for the process that measures."""
        who = f"node {node}" if node >= 0 else "measuring all models"
        if node in self._nodes:
            self._nodes[node].state = "failed"
        self._erase()
        for line in (f"{who} failed:", *(error.strip() or "for no known reason").splitlines()):
            self._stream.write("".join(c if c.isprintable() else " " for c in line) + "\n")
        self._draw(now=True)

    def note(self, text: str) -> None:
        """A line above the table."""
        self._erase()
        self._stream.write("".join(c if c.isprintable() else " " for c in text) + "\n")
        self._draw(now=True)

    @property
    def round(self) -> int:
        """The mean round of all nodes that have not failed, rounded down."""
        rounds = [line.round for line in self._nodes.values() if line.state != "failed"]
        return sum(rounds) // max(1, len(rounds))

    def close(self) -> None:
        """Draw the last state, and leave it on the terminal."""
        self._draw(now=True)
        self._height = 0
        self._stream.flush()

    # --- lines -------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        tenth = 10 * self.round // self._rounds
        if tenth > self._tenths or self._clock() - self._told_at >= QUIET_S:
            self._tenths, self._told_at = max(tenth, self._tenths), self._clock()
            self._stream.write(self._means() + "\n")
            self._stream.flush()

    def _means(self) -> str:
        parts = [f"round {self.round}/{self._rounds}"]
        for name in ("loss", "accuracy"):
            known = [v for line in self._nodes.values() if (v := getattr(line, name)) is not None]
            if known:
                parts.append(f"{name} {sum(known) / len(known):.3f}")
        return "  ".join([*parts, f"{self._time_s:.1f} s"])

    # --- the table ---------------------------------------------------------------------------------------------

    def _draw(self, now: bool = False) -> None:
        if not self._live or not (now or self._clock() - self._drawn_at >= REDRAW_S):
            return
        self._drawn_at = self._clock()
        columns, rows = self._size()
        lines = [line[: columns - 1] for line in self._table(max(1, rows - 4))]
        self._erase()
        self._stream.write("\n".join(lines) + "\n")
        self._stream.flush()
        self._height = len(lines)

    def _erase(self) -> None:
        if self._height:
            self._stream.write(f"\x1b[{self._height}A\x1b[J")  # up to the first line of the table, clear from there
            self._height = 0

    def _table(self, most: int) -> list[str]:
        """The mean line, a header, and as many nodes as fit: those that are furthest behind."""
        shown = sorted(sorted(self._nodes, key=lambda n: self._nodes[n].round)[:most])
        header = f"{'node':>5}  {'round':>9}  {'loss':>7}  {'accuracy':>8}  {'neighbors':>9}  {'sent':>8}  state"
        lines = [self._means(), header, *(self._row(node, self._nodes[node]) for node in shown)]
        hidden = len(self._nodes) - len(shown)
        return [*lines, f"  and {hidden} nodes that are further"] if hidden else lines

    def _row(self, node: int, line: Line) -> str:
        loss = "-" if line.loss is None else f"{line.loss:.3f}"
        accuracy = "-" if line.accuracy is None else f"{line.accuracy:.1%}"
        round = f"{line.round}/{self._rounds}"
        sent = size(line.bytes_sent)
        return f"{node:>5}  {round:>9}  {loss:>7}  {accuracy:>8}  {line.neighbors_up:>9}  {sent:>8}  {line.state}"


def size(count: float) -> str:
    """Bytes with three digits and a unit: 52.9 kB."""
    for unit in UNITS:
        if count < 1000 or unit == UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.3g} {unit}"
        count /= 1000
    raise AssertionError("the last unit takes all")
