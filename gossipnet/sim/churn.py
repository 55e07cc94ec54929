"""When simulated nodes come and go. A churn is a factory of a function `churn(node, stream) -> moves` of one node.

Moves are (time_s, what) in order of time, perhaps without end: `crash` (the process is gone, without a goodbye),
`restart` (a new process, with the model that the last one had), `restart-empty` (one that starts over), `leave` (in
good order, for good) and `join` (it was not there from the start). `stream` is a numpy generator of the node's own.
"""

import csv
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from gossipnet.errors import BadInput, unknown
from gossipnet.registry import Registry

Move = tuple[float, str]
Churn = Callable[[int, np.random.Generator], Iterator[Move]]
MOVES = ("crash", "join", "leave", "restart", "restart-empty")
AFTER = {  # what may come after what; None: at the start
    None: ("crash", "leave", "join"),
    "crash": ("restart", "restart-empty"),
    "restart": ("crash", "leave"),
    "restart-empty": ("crash", "leave"),
    "join": ("crash", "leave"),
    "leave": (),
}

churns: Registry[Churn] = Registry("churn", "churn")


@churns.register("none")
def none() -> Churn:
    """Every node is there from the start to its end; the default."""
    return lambda node, stream: iter(())


@churns.register("log-normal")
def log_normal(online: float = 0.9, median_s: float = 1.0, sigma: float = 1.0, memory: bool = True) -> Churn:
    """Absences of median_s * exp(N(0, sigma)), and between them presences so long that nodes are `online` of the time.

    With memory=false nodes come back with first weights.
    """
    _check(0 < online < 1, "log-normal", "online", online, "above 0 and below 1")
    _check(sigma >= 0, "log-normal", "sigma", sigma, "at least 0")
    _check(median_s > 0, "log-normal", "median_s", median_s, "above 0")
    present_s = median_s * online / (1 - online)

    def churn(node: int, stream: np.random.Generator) -> Iterator[Move]:
        def length(median: float) -> float:
            return median * math.exp(sigma * stream.standard_normal())

        return _in_turns(lambda: length(present_s), lambda: length(median_s), memory)

    return churn


@churns.register("crashes")
def crashes(every_s: float = 60.0, down_s: float = 5.0, memory: bool = True) -> Churn:
    """Each node crashes after exponentially distributed times of mean every_s, and is back after down_s."""
    _check(every_s > 0, "crashes", "every_s", every_s, "above 0")
    _check(down_s > 0, "crashes", "down_s", down_s, "above 0")

    return lambda node, stream: _in_turns(lambda: float(stream.exponential(every_s)), lambda: down_s, memory)


@churns.register("trace")
def trace(path: str) -> Churn:
    """From a CSV file: a header `time_s,node,move`, then a line per move, in any order."""
    moves = read_trace(Path(path))
    return lambda node, stream: iter(moves.get(node, []))


def _in_turns(present: Callable[[], float], absent: Callable[[], float], memory: bool) -> Iterator[Move]:
    now = 0.0
    while True:
        now += present()
        yield now, "crash"
        now += absent()
        yield now, "restart" if memory else "restart-empty"


def read_trace(file: Path) -> dict[int, list[Move]]:
    """The moves of each node in a trace, in order of time. Raises BadInput that names the line."""
    try:
        lines = list(csv.reader(file.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"churn trace {str(file)!r}: {reason}; expected a CSV file time_s,node,move") from None
    if not lines or [field.strip() for field in lines[0]] != ["time_s", "node", "move"]:
        raise BadInput(f"{file}:1: expected the header time_s,node,move")
    moves: dict[int, list[tuple[float, int, str]]] = {}
    for number, fields in enumerate(lines[1:], 2):
        if fields:
            node, at, move = _read_line(f"{file}:{number}", [field.strip() for field in fields])
            moves.setdefault(node, []).append((at, number, move))
    return {node: _in_order(file, node, sorted(found)) for node, found in moves.items()}


def _read_line(where: str, fields: list[str]) -> tuple[int, float, str]:
    try:
        at, node, move = float(fields[0]), int(fields[1]), fields[2]
        if len(fields) != 3 or not 0 <= at < math.inf or node < 0:
            raise ValueError
    except (ValueError, IndexError):
        got = ",".join(fields)[:80]
        raise BadInput(f"{where}: got {got!r}, expected time_s,node,move as in 2.5,0,crash") from None
    if move not in MOVES:
        raise BadInput(f"{where}: {unknown('move', move, MOVES)}")
    return node, at, move


def _in_order(file: Path, node: int, found: list[tuple[float, int, str]]) -> list[Move]:
    before: str | None = None
    for _, number, move in found:
        if move not in AFTER[before]:
            after = f"after {before!r}" if before else "at first"
            expected = " or ".join(AFTER[before]) or "nothing"
            raise BadInput(f"{file}:{number}: got {move!r} of node {node} {after}, expected {expected}")
        before = move
    return [(at, move) for at, _, move in found]


def check_nodes(text: str, n: int) -> None:
    """Raise BadInput if `text` is a trace that names a node outside 0..n-1."""
    name, options = churns.parse(text)
    if name != "trace" or "path" not in options:
        return
    last = max(read_trace(Path(options["path"])), default=0)
    if last >= n:
        raise BadInput(f"network.churn: {options['path']} names node {last}, expected 0 to {n - 1}")


def _check(good: bool, name: str, option: str, got: float, expected: str) -> None:
    if not good:
        raise BadInput(f"churn {name!r}, option {option!r}: got {got:g}, expected {expected}")
