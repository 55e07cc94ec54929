"""One line on a terminal that says how far a run is, made of its reports."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

REDRAW_S = 0.1  # a terminal gains nothing from more
EVENTS_OF = {"loss": ("merged",), "accuracy": ("evaluated", "finished")}  # an evaluation has a loss too, of the test


class Progress:
    """The view of a run on a terminal, or on a file that talk goes to.

    A terminal shows one line that is written over; any other stream gets a line for each tenth of the run.
    """

    def __init__(self, nodes: int, rounds: int, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._nodes, self._rounds, self._stream, self._clock = nodes, rounds, stream, clock
        self._live = stream.isatty()
        self._round: dict[int, int] = {}
        self._loss: dict[int, float] = {}
        self._accuracy: dict[int, float] = {}
        self._shown = 0  # tenths on a plain stream, rounds on a terminal
        self._drawn_at = float("-inf")
        self._width = 0

    def report(self, time_s: float, node: int | None, event: str, round: int, numbers: Mapping[str, Any]) -> None:
        """Take in one report; `event` and `numbers` are those of metrics.jsonl."""
        if node is None:
            return
        for name, kept in (("loss", self._loss), ("accuracy", self._accuracy)):
            if event in EVENTS_OF[name] and numbers.get(name) is not None:
                kept[node] = numbers[name]
        if event == "merged":
            self._round[node] = round
            self._show(time_s)

    def failure(self, node: int, error: str) -> None:
        """Say it at once, whatever else is on the terminal. `node` is -1 for the process that measures."""
        who = f"node {node}" if node >= 0 else "measuring"
        self._say(f"{who} failed: {(error.strip().splitlines() or ['for no known reason'])[-1]}")

    @property
    def round(self) -> int:
        """The mean round of all nodes, rounded down."""
        return sum(self._round.values()) // self._nodes

    def close(self) -> None:
        """Leave the line on the terminal as it is."""
        if self._width:
            self._stream.write("\n")
            self._width = 0
        self._stream.flush()

    def _show(self, time_s: float) -> None:
        if self._live:
            if self._clock() - self._drawn_at >= REDRAW_S or self.round == self._rounds > self._shown:
                self._drawn_at, self._shown = self._clock(), self.round
                self._draw(self._line(time_s))
        elif (tenth := 10 * self.round // self._rounds) > self._shown:
            self._shown = tenth
            self._say(self._line(time_s))

    def _line(self, time_s: float) -> str:
        parts = [f"round {self.round}/{self._rounds}"]
        for name, values in (("loss", self._loss), ("accuracy", self._accuracy)):
            if values:
                parts.append(f"{name} {sum(values.values()) / len(values):.3f}")
        return "  ".join([*parts, f"{time_s:.1f} s"])

    def _draw(self, line: str) -> None:
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line)

    def _say(self, line: str) -> None:
        self.close()
        self._stream.write("".join(c if c.isprintable() else " " for c in line) + "\n")
        self._stream.flush()
