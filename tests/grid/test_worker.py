"""A worker answers in lines of JSON, whatever the user's code prints, and writes down what fails."""

import io
import json

import pytest

from gossipnet.config import Experiment
from gossipnet.grid.cell import Outcome
from gossipnet.grid.worker import Told, work


def ask(folder, **changes):
    out = io.StringIO()
    experiment = Experiment(nodes=2, rounds=2, local_steps=1, **changes)
    asked = {"folder": str(folder), "world": "sim", "baseline": "", "config": experiment.to_toml()}
    work(json.dumps(asked), out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_cell_that_finishes_is_over(desk, tmp_path):
    assert ask(tmp_path / "cell", task=f"{desk}/points.py:points")[-1] == {"over": None}
    assert Outcome.read(tmp_path / "cell").error is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "points.py:diverging"}, "training diverged"),
        ({"task": "points.py:nothing"}, "nothing"),
        ({"task": "points.py:points", "nodes": 7, "topology": "torus"}, "a torus has rows x columns"),
    ],
)
def test_a_cell_that_fails_says_why_and_leaves_it_in_its_folder(desk, tmp_path, changes, said, monkeypatch):
    monkeypatch.chdir(desk)
    asked = (
        Experiment().to_toml().replace('"digits"', f'"{desk}/{changes["task"]}"').replace("rounds = 20", "rounds = 2")
    )
    for name in ("nodes", "graph"):
        value = {"nodes": changes.get("nodes", 2), "graph": f'"{changes.get("topology", "complete")}"'}[name]
        asked = asked.replace("nodes = 8" if name == "nodes" else 'graph = "ring"', f"{name} = {value}")
    out = io.StringIO()
    work(json.dumps({"folder": str(tmp_path / "cell"), "world": "sim", "baseline": "", "config": asked}), out)
    [*_, over] = map(json.loads, out.getvalue().splitlines())
    assert said in over["over"]
    assert Outcome.read(tmp_path / "cell").error == " ".join(over["over"].split())[:500]


def test_rounds_are_told_now_and_then(monkeypatch):
    clock = iter([0.0, 0.1, 0.7, 0.7, 0.8])
    monkeypatch.setattr("gossipnet.grid.worker.time.monotonic", lambda: next(clock))
    out = io.StringIO()
    told = Told(out, rounds=3)
    for round in (1, 2, 3):
        told.report(0.0, 0, "merged", round, {})
    told.report(0.0, 0, "evaluated", 3, {})
    assert out.getvalue() == '{"round": 2}\n'
