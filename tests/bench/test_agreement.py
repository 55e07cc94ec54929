"""Curves are means over nodes from when all have been evaluated; their distance and times to an accuracy are exact."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def program() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[2] / "bench" / "agreement.py"))


def reports(slope: float = 0.1, first_s: float = 2.0, rounds: int = 8) -> list[dict[str, Any]]:
    """Two nodes whose accuracy grows with time, that of the second from a second later on."""
    lines: list[dict[str, Any]] = [{"event": "started", "time_s": first_s + node, "node": node} for node in (0, 1)]
    for round in range(1, rounds + 1):
        for node in (0, 1):
            common = {"time_s": first_s + node + round, "node": node, "round": round}
            lines.append({"event": "merged", "merged": round > 1, "staleness": 0.5, **common})
            lines.append({"event": "evaluated", "accuracy": slope * (node + round), **common})
    return lines


def test_a_curve_begins_when_all_nodes_have_an_accuracy(program: dict[str, Any]) -> None:
    course = program["course"](reports())
    assert course.times_s.tolist() == [*range(2, 10)]  # from the first start, when node 0 had done two rounds
    assert course.accuracy[:-1] == pytest.approx(0.1 * np.arange(2, 9))
    assert course.accuracy[-1] == pytest.approx((0.8 + 0.9) / 2)  # node 0 keeps what it ended with
    assert course.rounds == 16
    assert course.staleness == [0.5] * 14
    assert course.reached_s(0.45) == pytest.approx(4.5)
    assert course.reached_s(0.1) is None  # had it from the start
    assert course.reached_s(0.9) is None


def test_a_run_is_no_way_from_itself(program: dict[str, Any]) -> None:
    one = program["course"](reports())
    found = program["compare"](one, one)
    assert (found["mean"], found["largest"], found["rounds"]) == (0.0, 0.0, 1.0)
    assert set(found["time_to_accuracy"].values()) == {1.0}


def test_distances_and_ratios_are_those_of_the_curves(program: dict[str, Any]) -> None:
    one, other = program["course"](reports()), program["course"](reports(slope=0.08))
    found = program["compare"](one, other)
    assert found["largest"] == pytest.approx(0.2 * 0.85, abs=1e-3)
    assert found["mean"] == pytest.approx(0.02 * 5.5, abs=2e-3)
    assert found["time_to_accuracy"]["0.50"] == pytest.approx(1.25)
    assert found["staleness_medians"] == [0.5, 0.5]
    together = program["over_pairs"]([found, program["compare"](one, one)])
    assert together["largest"] == found["largest"]
    assert together["mean"] == pytest.approx(found["mean"] / 2, abs=1e-4)


def test_the_straggler_is_slow_and_the_crowd_is_not_paced(program: dict[str, Any], tmp_path: Path) -> None:
    from types import SimpleNamespace

    args = SimpleNamespace(
        task="mnist", model="mlp", partition="iid", speed=0.25, step_s=0.05, local_steps=10, batch_size=32, lr=0.1,
        seconds=5.0, evaluate_every=1, evaluate_samples=100,
    )  # fmt: skip
    words = {kind: [*map(str, program["command"](args, kind, 3, tmp_path))] for kind in program["KINDS"]}
    assert "0 speed=0.25\n1\n" in (tmp_path / "ring.edges").read_text()
    assert words["straggler"][words["straggler"].index("--topology") + 1] == str(tmp_path / "ring.edges")
    assert words["alike"][words["alike"].index("--task") + 1].endswith("straggler.py:paced:of=mnist,step_s=0.05")
    assert words["crowded"][words["crowded"].index("--task") + 1] == "mnist"
    assert all("training.seconds=5.0" in held for held in words.values())


def test_the_picture_is_drawn(program: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    course = program["course"](reports())
    runs = [{"live": course, "again": course, "sim": course}] * 2
    program["draw"]({"alike": runs, "crowded": runs}, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
