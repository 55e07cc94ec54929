"""One simulated run, timed from within: `python bench/rounds.py CONFIG.toml FOLDER` prints what took how long, as JSON.

bench/growth.py and bench/simulator.py have it run in a process of its own, which is what a user has.

A round is from one time that all nodes have merged to the next: the first counts as warming up. Nothing is evaluated
in between if `report.evaluate_every` is above the number of rounds. Saving is what lies between the last merge and the
end, less the last evaluation (merges that were put off are done there, too); closing is all that comes after it, the
figures of all models together and the page.
"""

import json
import statistics
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from gossipnet import Experiment
from gossipnet.sim.run import run_sim


class Watch:
    """A view that notes when all nodes have merged each round, and when the last has finished."""

    def __init__(self, nodes: int) -> None:
        self.engine = ""
        self.merged_s: list[float] = []  # of each round, from the first
        self.finished_s = 0.0
        self._nodes = nodes
        self._merged: Counter[int] = Counter()

    def report(self, time_s: float, node: int | None, event: str, round: int, numbers: dict[str, Any]) -> None:
        if event == "finished":
            self.finished_s = time.perf_counter()
        elif event == "merged":
            self._merged[round] += 1
            if self._merged[round] == self._nodes:
                self.merged_s.append(time.perf_counter())

    def failure(self, node: int, error: str) -> None:
        sys.exit(f"node {node} failed: {error}")

    def note(self, text: str) -> None:
        if text.startswith("training: "):
            self.engine = text.split()[1].rstrip(",")


def one_step_a_round(rounds: int, **given: Any) -> Experiment:
    """What both programs time: in step, one local step per merge, nothing evaluated between the rounds."""
    fixed: dict[str, Any] = {"topology": "regular:d=4", "local_steps": 1, "evaluate_nodes": 16}
    return Experiment(rounds=rounds, evaluate_every=rounds + 1, **fixed, **given)


def command(experiment: Experiment, folder: Path) -> list[str]:
    """The command that runs it in that folder, which is made, and prints what took how long."""
    config = folder.with_suffix(".toml")
    config.write_text(experiment.to_toml())
    return [sys.executable, __file__, str(config), str(folder)]


def timed(experiment: Experiment, folder: Path) -> dict[str, Any]:
    """Run it in that folder; what took how long."""
    watch = Watch(experiment.nodes)
    summary = run_sim(experiment, folder, watch)
    ended_s = time.perf_counter()
    assert summary.evaluation_s is not None
    marks = watch.merged_s
    rounds_s = [after - before for before, after in pairwise(marks)]
    steps = experiment.nodes * experiment.local_steps
    return {
        "engine": watch.engine,
        "startup_s": summary.startup_s,
        "round_s": statistics.median(rounds_s),
        "updates_per_s": steps * len(rounds_s) / sum(rounds_s),
        "saving_s": watch.finished_s - marks[-1] - summary.evaluation_s,
        "evaluation_s": summary.evaluation_s,
        "closing_s": ended_s - watch.finished_s,
        "whole_updates_per_s": summary.node_updates_per_s,  # saving and the first round included
    }


def main(config: str, folder: str) -> None:
    Path(folder).mkdir(parents=True)
    (Path(folder) / "config.toml").write_text(Path(config).read_text())
    print(json.dumps(timed(Experiment.from_toml(Path(config)), Path(folder))))


if __name__ == "__main__":
    main(*sys.argv[1:])
