"""The loop that is measured is the same on both sides, and every call of step() is counted."""

import argparse
import runpy
from pathlib import Path

import torch

import gossipnet


def test_a_small_measurement(tmp_path: Path) -> None:
    program = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "step.py"))
    assert sum(p.numel() for p in program["make_model"](program["WIDTH"]).parameters()) // 10**5 == 109
    ends = [f"ipc://{tmp_path}/{i}" for i in range(2)]
    given = argparse.Namespace(
        width=8, batch=4, merge="average", local_steps=2, steps=6, pairs=2, neighbors=1, every_s=0.0
    )
    with gossipnet.join(torch.nn.Sequential(*program["make_model"](8)), listen=ends[1], peers=ends, merge="average"):
        found = program["measure"](given, ends)
    assert (found["parameters"], found["steps"]) == (3 * 8 * 9, 12)
    assert found["step_ms"]["median"] <= found["step_ms"]["p99"] <= found["step_ms"]["max"]
    assert 0 < found["share_of_loop"] < 1
