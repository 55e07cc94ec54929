"""The exchange benchmark, small: both sides move models between two processes, and the table is complete."""

import json
import runpy
from pathlib import Path

import pytest


def test_both_sides_move_models(capsys: pytest.CaptureFixture[str]) -> None:
    program = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "exchange.py"))
    program["main"](["--numel", "300000", "--models", "2", "--pairs", "1", "--links", "ipc"])
    found = json.loads(capsys.readouterr().out)
    assert found["ipc"]["ratio"] > 0
    assert found["ipc"]["cpu_ratio"] > 0
    assert len(found["ipc"]["pairs_ms"]) == 1
