"""What docs/training.md says is so: its file is an experiment, its code trains, its table is complete."""

import re
from pathlib import Path

import pytest
from small_training import BLOBS

import gossipnet
from gossipnet import Experiment
from gossipnet.reference import entries
from gossipnet.training.optimizer import optimizers
from gossipnet.training.schedule import schedules

PAGE = (Path(__file__).parents[1] / "docs" / "training.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\w+ (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the page, as the working directory; what they register is forgotten."""
    monkeypatch.setattr(optimizers, "_factories", dict(optimizers._factories))
    monkeypatch.setattr(schedules, "_factories", dict(schedules._factories))
    monkeypatch.chdir(tmp_path)
    for name, code in BLOCKS:
        with open(tmp_path / name, "a", encoding="utf-8") as file:
            file.write(code)
    return tmp_path


def test_the_file_of_the_page_is_an_experiment(written: Path) -> None:
    experiment = Experiment.from_toml(written / "experiment.toml")
    assert (experiment.validation, experiment.seconds, experiment.after_merge) == (0.1, 600.0, "keep")
    small = experiment.replace(task=BLOBS, nodes=2, rounds=2, local_steps=2)
    assert gossipnet.run(small, "sim", written / "run").summary.left == ()


def test_the_codes_of_the_page_train(written: Path) -> None:
    experiment = Experiment(
        task=BLOBS,
        nodes=2,
        rounds=3,
        optimizer="my_training.py:rmsprop:alpha=0.9",
        schedule="my_training.py:inverse:gamma=0.5",
        lr=0.01,
    )
    assert gossipnet.run(experiment, "sim", written / "run").summary.mean_accuracy > 0.5


def test_the_table_of_schedules_is_complete() -> None:
    assert set(re.findall(r"^\| `([^`]+)`", PAGE, re.MULTILINE)) == {form for form, _ in entries("schedules", own=True)}


def test_the_commands_of_the_page_name_options_that_exist() -> None:
    for dotted, value in re.findall(r"--set (\S+?)=(\S+)", PAGE):
        Experiment().with_settings({dotted: value})
