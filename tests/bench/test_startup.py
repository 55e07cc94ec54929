"""The start of a small swarm is timed."""

import argparse
import runpy
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_start_is_timed(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    program = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "startup.py"))
    found = program["one"](argparse.Namespace(nodes=2, task="digits", model="", start="fork"), tmp_path / "run")
    assert 0 < found["first_started_s"] <= found["last_started_s"] <= found["merged_s"] < found["ended_s"]


@pytest.mark.slow
def test_a_hundred_nodes_start(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    program = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "startup.py"))
    found = program["one"](
        argparse.Namespace(nodes=100, task="digits", model="logistic", start="fork"), tmp_path / "run"
    )
    assert found["merged_s"] < found["ended_s"]
