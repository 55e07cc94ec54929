"""What a process alone holds is read as the kernel tells it."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells it")


def test_memory_that_is_taken_is_seen() -> None:
    program = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "idle_memory.py"))
    code = "import sys; held = bytes(range(256)) * (100 << 12); print('idle', flush=True); sys.stdin.readline()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert 100 << 20 < program["idle"](process) < 130 << 20
    assert process.returncode == 0
