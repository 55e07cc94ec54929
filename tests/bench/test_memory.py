"""Proportional memory is read and summed as the kernel tells it."""

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells it")


@pytest.fixture
def program() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[2] / "bench" / "memory.py"))


def test_memory_that_is_taken_is_seen(program: dict[str, Any]) -> None:
    code = "import time; held = bytes(range(256)) * (100 << 12); print('there', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            assert program["children"](os.getpid()).count(process.pid) == 1
            found = program["pss_bytes"](process.pid)
            assert 100 << 20 < found["all"] < 130 << 20
            assert 100 << 20 < found["private"] <= found["all"]
        finally:
            process.kill()


def test_a_half_written_line_is_left_for_later(program: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    assert program["merged"](file) == set()
    file.write_text('{"node": 1, "round": 2, "event": "merged"}\n{"node": 1, "event": "started"}\n{"node": 2, "rou')
    assert program["merged"](file) == {(1, 2)}
