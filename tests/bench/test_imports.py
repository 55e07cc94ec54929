"""`import gossipnet` imports nothing heavy, and reports of -X importtime are read as they are meant."""

import runpy
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def program() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[2] / "bench" / "imports.py"))


def test_importing_gossipnet_imports_none_of_what_comes_later(program: dict[str, Any]) -> None:
    assert program["imported"]() == []


def test_the_outermost_import_counts(program: dict[str, Any]) -> None:
    report = """
import time: self [us] | cumulative | imported package
import time:       100 |        100 |   torch.inner
import time:       200 |        300 | torch
a warning | of | somebody else
import time:        50 |         50 | gossipnet
"""
    cumulative_us = program["cumulative_us"]
    assert (cumulative_us(report, "torch"), cumulative_us(report, "gossipnet")) == (300, 50)
    assert cumulative_us(report, "zmq") == 0
