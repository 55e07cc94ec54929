"""One cell: what is left in its folder, and what is distilled from it."""

import pytest

from gossipnet.config import Experiment
from gossipnet.errors import BadInput
from gossipnet.grid.cell import CELL, FIGURES, Outcome, fail_cell, run_cell
from gossipnet.grid.records import reached_at
from gossipnet.report import Summary
from gossipnet.report.curves import MOST_POINTS
from gossipnet.report.summary import THRESHOLDS


@pytest.fixture
def experiment(desk):
    return Experiment(task=f"{desk}/points.py:points", nodes=3, rounds=4, local_steps=2, batch_size=8)


@pytest.mark.parametrize("baseline", ["", "isolated"])
def test_a_finished_cell_has_figures_and_curves_and_no_models(experiment, tmp_path, baseline):
    outcome = run_cell("sim", baseline, experiment, tmp_path / "cell")
    assert outcome == Outcome.read(tmp_path / "cell")
    summary = Summary.from_file(tmp_path / "cell" / "summary.json")
    assert {name: outcome.figures[name] for name in FIGURES} == {n: getattr(summary, n) for n in FIGURES}
    assert outcome.figures["test_loss"] > 0
    assert outcome.curve["round"] == [1, 2, 3, 4]
    assert {len(values) for values in outcome.curve.values()} == {4}
    assert outcome.curve["bytes_sent"][-1] == pytest.approx(summary.bytes_sent / 3, rel=0.2)  # goodbyes come later
    assert outcome.curve["consensus_distance"][-1] == pytest.approx(summary.consensus_distance, rel=1e-4)
    assert (outcome.curve["variance_ratio"][0] is None) == bool(baseline)
    assert not [*(tmp_path / "cell").rglob("*.safetensors")]


def test_a_long_run_has_every_evaluated_round(experiment, tmp_path):
    """A chart draws fewer; the first round that has an accuracy may be one that it leaves out."""
    long = experiment.replace(rounds=MOST_POINTS + 40, local_steps=1, lr=0.006, evaluate_every=1, nodes=2)
    outcome = run_cell("sim", "centralized", long, tmp_path / "cell")
    assert outcome.curve["round"] == list(range(1, MOST_POINTS + 41))
    assert {len(values) for values in outcome.curve.values()} == {MOST_POINTS + 40}
    assert None not in outcome.curve["consensus_distance"] + outcome.curve["variance_kept"] + outcome.curve["time_s"]
    summary = Summary.from_file(tmp_path / "cell" / "summary.json")
    found = {f"{t:.2f}": reached_at(outcome, t, "round") for t in THRESHOLDS}
    assert found == summary.rounds_to_accuracy
    assert len(set(found.values())) > 3


def test_a_run_that_was_cut_short_is_begun_again(experiment, tmp_path):
    folder = tmp_path / "cell"
    first = run_cell("sim", "", experiment, folder)
    (folder / CELL).unlink()
    assert Outcome.read(folder) is None
    again = run_cell("sim", "", experiment, folder)
    assert again.curve == first.curve


@pytest.mark.parametrize("content", ["", "{", "[]", '{"what": 1}', "\xff"])
def test_a_torn_file_is_no_outcome(tmp_path, content):
    (tmp_path / CELL).write_bytes(content.encode("latin-1"))
    assert Outcome.read(tmp_path) is None


def test_a_failure_is_one_line(tmp_path):
    fail_cell(tmp_path / "cell", "too\nbad " + "x" * 900)
    outcome = Outcome.read(tmp_path / "cell")
    assert outcome.error.startswith("too bad xxx")
    assert len(outcome.error) == 500


def test_a_folder_that_is_no_run_is_left_alone(experiment, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(BadInput, match="does not look like a run"):
        run_cell("sim", "isolated", experiment, tmp_path)
    assert (tmp_path / "mine.txt").exists()
