"""When an accuracy was reached is read from the reports; the ring's file has one slow node."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from gossipnet.topology import make_topology


@pytest.fixture
def program() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[2] / "bench" / "straggler.py"))


def test_the_mean_and_the_last_node_are_timed_from_when_all_nodes_train(program: dict[str, Any]) -> None:
    lines = [{"event": "started", "time_s": float(i), "node": i} for i in range(8)]
    lines += [
        {"event": "evaluated", "time_s": 10.0 + i, "node": i, "accuracy": 0.5 if i == 3 else 0.99} for i in range(8)
    ]
    assert program["reached"](lines, 0.9) == {"mean_s": 10.0, "every_s": None}
    lines.append({"event": "evaluated", "time_s": 30.0, "node": 3, "accuracy": 0.9})
    assert program["reached"](lines, 0.9) == {"mean_s": 10.0, "every_s": 23.0}
    assert program["reached"](lines[:12], 0.9) == {"mean_s": None, "every_s": None}


def test_one_node_is_slow(program: dict[str, Any], tmp_path: Path) -> None:
    made = make_topology(str(program["ring"](tmp_path, 0.1)), n=8)
    assert made.speeds == (0.1, *[1.0] * 7)
    assert [len(made.neighborhood(i).peers) for i in range(8)] == [2] * 8


def test_a_paced_step_takes_its_time_and_measuring_does_not(program: dict[str, Any]) -> None:
    import torch

    naps: list[float] = []
    task = program["paced"].__globals__
    task["time"] = type("Clock", (), {"sleep": staticmethod(naps.append), "monotonic": staticmethod(lambda: 100.0)})
    pytest.importorskip("sklearn")
    made = program["paced"]("digits", 0.5)
    outputs, targets = torch.zeros(2, 10), torch.zeros(2, dtype=torch.int64)
    for _ in range(2):
        made.loss(outputs, targets)
    with torch.no_grad():
        made.loss(outputs, targets)
    assert naps == [0.0, 0.5]
