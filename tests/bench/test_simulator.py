"""The programs that measure the simulator run, on a size that says nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.mark.slow
@pytest.mark.usefixtures("mnist")
@pytest.mark.timeout(600)
def test_both_cases_are_measured():
    words = ["--pairs", "1", "--rounds", "1", "--nodes", "12", "--merge", "average"]
    done = subprocess.run([sys.executable, BENCH / "simulator.py", *words], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    for case in ("stacked", "workers"):
        assert found[case]["by_hand_per_s"] > 0
        assert found[case]["ratio"] == found[case]["simulator_per_s"] / found[case]["by_hand_per_s"]
        assert ("gossipy_per_s" in found[case]) == ("without gossipy" not in done.stderr)
