"""The passes that are measured one by one do, together, what the rules do."""

import runpy
import sys
from pathlib import Path

import pytest
import torch

from gossipnet.merge import Group, make_merge
from gossipnet.model import ModelSpec

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def program(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])  # it imports its neighbor
    return runpy.run_path(str(BENCH / "merge_passes.py"))


@pytest.mark.parametrize(
    ("passes", "text"), [("variance_corrected", "average"), ("sign_aligned", "sign-aligned:scope=off")]
)
def test_the_passes_make_what_the_rule_makes_before_it_is_rescaled(program, passes, text):
    rows, made = torch.randn(4, 500, generator=torch.Generator().manual_seed(0)), torch.empty(500)
    for _, _, run in program[passes](3, 500):
        run(rows, made)
    torch.testing.assert_close(made, make_merge(text)(Group(rows, torch.full((4,), 0.25), ModelSpec(()))))


def test_every_pass_is_timed(program):
    rows = torch.randn(3, 2000, generator=torch.Generator().manual_seed(1))
    passes = program["sign_aligned"](2, 500)
    found = program["profile"](rows, passes, 500, repeats=1)
    assert [p["pass"] for p in found] == [name for name, _, _ in passes]
