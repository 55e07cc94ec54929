"""A worker: a process that runs one cell after the other, each named by a line of JSON on its standard input.

It answers on its standard output: {"round": r} now and then, and {"over": null or why the cell failed}. Whatever else
is printed goes to standard error. It ends with its input, so that no worker outlives whoever started it.
"""

import json
import os
import queue
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

TELL_S = 0.5  # between two {"round": r}


class Told:
    """A view that says how far a run is."""

    def __init__(self, out: TextIO, rounds: int) -> None:
        self._out, self._rounds = out, rounds
        self._told_at = time.monotonic()

    def report(self, time_s: float, node: int | None, event: str, round: int, numbers: dict[str, Any]) -> None:
        if event == "merged" and time.monotonic() - self._told_at >= TELL_S:
            self._told_at = time.monotonic()
            say(self._out, {"round": round})

    def failure(self, node: int, error: str) -> None:
        print(f"node {node} failed: {error}", file=sys.stderr)


def say(out: TextIO, what: dict[str, Any]) -> None:
    out.write(json.dumps(what) + "\n")
    out.flush()


def work(line: str, out: TextIO) -> None:
    """Run the cell of one line; its failure is written into its folder and told."""
    from gossipnet.config import Experiment
    from gossipnet.errors import BadInput, RunFailed
    from gossipnet.grid.cell import fail_cell, run_cell

    asked = json.loads(line)
    folder, error = Path(asked["folder"]), None
    try:
        experiment = Experiment.from_toml(asked["config"])
        run_cell(asked["world"], asked["baseline"], experiment, folder, Told(out, experiment.rounds))
    except (BadInput, RunFailed) as problem:
        error = str(problem)
    except Exception as problem:
        traceback.print_exc()
        error = f"{type(problem).__name__}: {problem}"
    if error is not None:
        fail_cell(folder, error)
    say(out, {"over": error})


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a user's code prints is no answer
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    import torch

    torch.set_num_threads(1)
    while True:
        work(lines.get(), out)


if __name__ == "__main__":
    main()
