"""The tidy tables: one line a cell, one line a round, and the same in JSON."""

import csv
import json

from gossipnet.grid import cells_of, read_grid
from gossipnet.grid.cell import Outcome
from gossipnet.grid.records import Record, curve_rows, machine, reached_at, row, write_tables


def outcome(accuracies):
    n = len(accuracies)
    return Outcome(None, {}, {"round": [*range(5, 5 * n + 1, 5)], "accuracy": accuracies, "time_s": [None] * n})


def test_the_first_evaluation_that_reaches_it_counts():
    found = outcome([0.1, None, 0.7 - 1e-12, 0.6, 0.9])
    assert [reached_at(found, t, "round") for t in (0.05, 0.7, 0.8, 0.95)] == [5, 15, 25, None]
    assert reached_at(found, 0.7, "time_s") is None
    assert reached_at(Outcome(), 0.5, "round") is None


def test_results_csv_has_a_line_per_cell(done):
    with (done.folder / "results.csv").open(newline="") as file:
        lines = [*csv.DictReader(file)]
    cells = cells_of(done.grid)
    assert [line["cell"] for line in lines] == [c.key for c in cells]
    swarms = [line for line in lines if not line["baseline"]]
    assert {(line["topology"], line["merge"], line["seed"]) for line in swarms} == {
        (t, m, s) for t in ("ring", "complete") for m in ("average", "variance-corrected") for s in "01"
    }
    assert all(line["topology"] == line["merge"] == "" for line in lines if line["baseline"])
    assert {line["status"] for line in lines} == {"finished"}
    assert all(0.4 < float(line["mean_accuracy"]) <= 1 for line in lines)


def test_curves_csv_has_a_line_per_evaluated_round(done):
    with (done.folder / "curves.csv").open(newline="") as file:
        lines = [*csv.DictReader(file)]
    assert len(lines) == 4 * len(done.records)
    assert [line["round"] for line in lines[:4]] == ["1", "2", "3", "4"]
    assert len(curve_rows(done.records[0])) == 4
    assert curve_rows(Record(done.records[0].cell, None)) == []


def test_two_cells_that_are_one_run_have_one_curve(tmp_path):
    """So that curves.csv can be joined with results.csv."""
    grid = read_grid('[grid]\nnetworks = ["ideal", {drop_rate = 0.1}, "wan"]\nbaselines = ["fedavg"]\n')
    held = [Record(cell, outcome([0.1, 0.2])) for cell in cells_of(grid) if cell.baseline]
    write_tables(tmp_path, grid, held)
    keys = [record.cell.key for record in held]
    assert (len(keys), len(set(keys))) == (3, 2)
    with (tmp_path / "curves.csv").open(newline="") as file:
        lines = [(line["cell"], line["round"]) for line in csv.DictReader(file)]
    assert sorted(lines) == sorted({(key, round) for key in keys for round in ("5", "10")})


def test_results_json_is_what_json_prints(done):
    content = json.loads((done.folder / "results.json").read_text())
    assert content == json.loads(json.dumps(done.content))
    assert (content["cells"], content["finished"], content["failed"]) == (16, 16, 0)
    assert len(content["settings"]) == 4 + 4
    assert content["settings"][0]["mean_accuracy"].keys() == {"mean", "half", "n"}
    assert content["machine"]["cores"] >= 1


def test_cells_that_failed_or_have_not_run_have_a_line_too(done):
    cell = done.records[0].cell
    assert row(Record(cell, None))["status"] == "unfinished"
    assert row(Record(cell, None))["left"] is None
    assert row(Record(cell, Outcome(left=2)))["left"] == 2
    failed = row(Record(cell, Outcome(error="why")))
    assert (failed["status"], failed["error"], failed["mean_accuracy"]) == ("failed", "why", None)


def test_the_machine_is_told_in_words():
    import platform
    import socket

    said = json.dumps(machine())
    assert socket.gethostname() not in said
    assert platform.python_version() in said
