"""TensorBoard's event files hold what metrics.jsonl holds; TensorBoard itself reads them back."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gossipnet import BadInput, Experiment, run
from gossipnet.report.metrics import COMMON, flat
from gossipnet.report.tensorboard import MOST_NODES, Board, require_tensorboard

pytest.importorskip("tensorboard", reason="it is an extra: pip install 'gossipnet[tensorboard]'")

SMALL = Experiment(nodes=3, rounds=2, local_steps=1, batch_size=8, evaluate_samples=50, tensorboard=True)


def scalars(folder: Path) -> dict[tuple[str, str, int], float]:
    """(folder, tag, step) -> the number, as TensorBoard reads it."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for place in folder.iterdir():
        events = EventAccumulator(str(place))
        events.Reload()
        for tag in events.Tags()["scalars"]:
            found |= {(place.name, tag, event.step): event.value for event in events.Scalars(tag)}
    return found


def reported(file: Path) -> dict[tuple[str, str, int], float]:
    """The same of a metrics.jsonl. Of several reports of one event and round, the last."""
    found = {}
    for line in file.read_text().splitlines():
        record: dict[str, Any] = json.loads(line)
        where = "swarm" if record["node"] is None else f"node-{record['node']}"
        for name, value in flat(record):
            if name not in COMMON and isinstance(value, int | float):
                found[where, f"{record['event']}/{name}", record["round"]] = float(value)
    return found


@pytest.mark.parametrize("world", ["sim", "live"])
def test_both_worlds_leave_every_number(tmp_path: Path, world: str) -> None:
    result = run(SMALL, world, tmp_path / "run")
    found = scalars(result.folder / "tensorboard")
    assert found == pytest.approx(reported(result.folder / "metrics.jsonl"), rel=1e-6)
    assert ("node-2", "finished/accuracy", 2) in found
    assert ("swarm", "consensus/consensus_distance", 2) in found


def test_a_run_leaves_none_unless_asked(tmp_path: Path) -> None:
    run(SMALL.replace(tensorboard=False), "sim", tmp_path / "run")
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_reports_are_there_while_the_run_goes_on(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.write({"time_s": 1.5, "node": 0, "event": "merged", "round": 1, "loss": 0.25, "none": None, "bad": math.nan})
    board.write({"time_s": 1.6, "node": 0, "event": "failed", "round": 1, "error": "no"})
    assert scalars(tmp_path) == {("node-0", "merged/loss", 1): 0.25}
    board.close()


def test_of_many_nodes_the_first_are_kept(tmp_path: Path) -> None:
    board = Board(tmp_path)
    for node in [*range(MOST_NODES + 5), None, 3]:
        board.write({"time_s": 0.0, "node": node, "event": "merged", "round": 1, "loss": 1.0})
    board.close()
    assert {p.name for p in tmp_path.iterdir()} == {"swarm", *(f"node-{i}" for i in range(MOST_NODES))}


def test_without_tensorboard_nothing_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for refused in (require_tensorboard, lambda: Board(tmp_path), lambda: run(SMALL, "sim", tmp_path / "run")):
        with pytest.raises(BadInput, match=r"pip install 'gossipnet\[tensorboard\]'"):
            refused()
    assert list(tmp_path.iterdir()) == []


def test_it_is_imported_only_on_demand(tmp_path: Path) -> None:
    code = "import sys, gossipnet.report, gossipnet.experiment; assert not {'tensorboard', 'google'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
