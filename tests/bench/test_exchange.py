"""The exchange benchmark, small: all sides move models between two processes, and the table is complete."""

import json
import runpy
from pathlib import Path

import pytest


def test_all_sides_move_models(capsys: pytest.CaptureFixture[str]) -> None:
    program = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "exchange.py"))
    program["main"](["--numel", "300000", "--models", "2", "--pairs", "1", "--links", "ipc"])
    found = json.loads(capsys.readouterr().out)
    assert all(found["ipc"][name] > 0 for name in ("ratio", "cpu_ratio", "careful_ratio", "careful_cpu_ratio"))
    (round,) = found["ipc"]["rounds_ms"]
    assert round.keys() == found["ipc"]["busy"].keys() == {"ours", "loop", "careful"}


def test_the_profile_names_threads_and_passes(capsys: pytest.CaptureFixture[str]) -> None:
    program = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "exchange.py"))
    program["main"](["--numel", "600000", "--models", "2", "--profile", "--links", "ipc"])
    found = json.loads(capsys.readouterr().out)["ipc"]
    assert found["sender"]["threads_ms"]["gossipnet-io"] > 0
    copied = {name: calls for name, (_, calls) in found["sender"]["passes_ms"].items()}["copy into the parcel"]
    checked = {name: calls for name, (_, calls) in found["receiver"]["passes_ms"].items()}["checksum"]
    assert 0 < copied <= 2 * 3, "blocks of 1 MiB are copied once"
    assert 0 < checked <= 2 * 3, "each chunk is summed up once"
