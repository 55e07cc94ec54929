"""The programs of docs/examples do what they say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"


def run(name: str, *words: str) -> str:
    done = subprocess.run([sys.executable, EXAMPLES / name, *words], capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_every_example_is_run_here_and_named_in_the_docs() -> None:
    page, here = (EXAMPLES.parent / "embedding.md").read_text(), Path(__file__).read_text()
    for file in EXAMPLES.iterdir():
        assert f"docs/examples/{file.name}" in page
        assert f'"{file.name}"' in here


@pytest.mark.slow
def test_a_plain_loop(tmp_path: Path) -> None:
    a, b = f"ipc://{tmp_path}/a", f"ipc://{tmp_path}/b"
    other = subprocess.Popen([sys.executable, EXAMPLES / "plain.py", b, a], stdout=subprocess.DEVNULL)
    try:
        found = re.search(r"loss ([\d.]+)", run("plain.py", a, b))
        assert found
        assert float(found[1]) < 0.1
    finally:
        assert other.wait(60) == 0


@pytest.mark.slow
def test_both_halves_learn_all_digits() -> None:
    said = run("halves.py")
    over_all = [float(x) for x in re.findall(r"accuracy ([\d.]+) over all ten", said)]
    unseen = [float(x) for x in re.findall(r"([\d.]+) over the five never seen", said)]
    assert len(over_all) == len(unseen) == 2
    assert min(over_all) > 0.85
    assert min(unseen) > 0.8


@pytest.mark.slow
def test_a_device_comes_and_goes() -> None:
    said = run("comes_and_goes.py")
    assert said.count("the device is up") >= 2
    assert said.count("the device is down") >= 2
    assert said.count("the device has done") == 2


@pytest.mark.slow
def test_only_the_head_is_tuned() -> None:
    assert "backbones that were not" in run("head.py")
