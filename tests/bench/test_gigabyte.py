"""The benchmark of large models, small: the same bound on memory holds, and what does not fit is not begun."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

PROGRAM = str(Path(__file__).parents[2] / "bench" / "gigabyte.py")


def measured(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(PROGRAM)["main"](list(words))
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert ended.value.code == (not found["within"])
    return found


def test_memory_stays_under_the_stated_bound(capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(capsys, "--parameters", "1000000", "--rounds", "2", "--merge", "average")
    assert found["bound_models"] == 8
    assert found["within"], found
    assert found["average"]["bytes_sent"] > 3 * 2 * 2 * 4_000_000


@pytest.mark.slow
@pytest.mark.parametrize("depth", ["1", "2"])
def test_memory_of_larger_models_stays_under_the_stated_bound(capsys: pytest.CaptureFixture[str], depth: str) -> None:
    assert measured(capsys, "--parameters", "25000000", "--depth", depth)["within"]


def test_what_does_not_fit_is_refused_in_one_line() -> None:
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(PROGRAM)["main"](["--parameters", str(10**12)])
    assert "GB are available" in str(ended.value.code)
    assert "\n" not in str(ended.value.code)


def test_a_measurement_above_the_bound_fails(capsys: pytest.CaptureFixture[str]) -> None:
    program = runpy.run_path(PROGRAM)["main"]
    peaks = {"peak_node_bytes": 10**9, "peak_other_bytes": 0, "peak_bytes": 10**9}
    program.__globals__["run"] = lambda *_: peaks
    with pytest.raises(SystemExit) as ended:
        program(["--parameters", "1000", "--merge", "average"])
    assert ended.value.code == 1
    assert not json.loads(capsys.readouterr().out)["within"]
