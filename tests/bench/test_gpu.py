"""The GPU benchmark: refused in one line where there is none, and whole when the CPU stands in for it."""

import argparse
import json
import runpy
from pathlib import Path

import pytest
import torch

PROGRAM = str(Path(__file__).parents[2] / "bench" / "gpu.py")


def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(PROGRAM)["main"]([])
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    assert said.err == "bench/gpu.py: torch sees no CUDA device here: run it on a machine with one\n"


@pytest.mark.parametrize("rule", ["average", "variance-corrected", "sign-aligned"])
def test_merges_are_measured(rule: str) -> None:
    given = argparse.Namespace(numel=300_000, neighbors=2, repeats=1)
    found = runpy.run_path(PROGRAM)["merges"](given, rule, torch.device("cpu"))
    assert found["resident_ratio"] > 0
    assert found["streamed_ratio"] > 0


@pytest.mark.slow
def test_all_of_it_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    words = "--device cpu --nodes 2 --rounds 2 --numel 300000 --models 1 --pairs 1 --repeats 1"
    runpy.run_path(PROGRAM)["main"](words.split())
    found = json.loads(capsys.readouterr().out)
    swarm = found["swarms"]["2"]
    assert min(swarm["startup_s"], swarm["round_s"], swarm["command_s"]) > 0
    assert found["exchange"]["ratio"] > 0
    assert set(found["merges"]) == {"average", "variance-corrected", "sign-aligned"}
