"""`gossipnet bench`: what it prints where, and how it exits (gossipnet/cli/bench.py)."""

import json

import pytest
from click.testing import CliRunner

from gossipnet.cli import cli
from gossipnet.grid import suites


def gossipnet(*args):
    return CliRunner().invoke(cli, [str(a) for a in args], prog_name="gossipnet")


def test_suites_are_listed():
    assert gossipnet("bench", "--list").stdout.split("\n")[0].split()[0] in suites.describe()
    assert len(gossipnet("bench", "--list").stdout.splitlines()) == len(suites.describe())


def test_cells_are_printed_and_nothing_runs(desk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = gossipnet("bench", desk / "small.toml", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.endswith("16 cells, 16 of them different, 512 local steps\n")
    assert not [*tmp_path.iterdir()]


def test_a_finished_grid_prints_its_table_and_its_page(done, desk):
    result = gossipnet("bench", desk / "small.toml", "--out", done.folder, "--resume")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{done}\n{done.folder}/report.html\n"
    assert "16 of them over already" in result.stderr


def test_the_folder_has_its_file(done):
    result = gossipnet("bench", "--out", done.folder, "--resume", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["finished"] == 16
    assert json.loads(result.stdout)["grid"] == "small"
    (done.folder / "results.json").unlink()
    again = gossipnet("bench", "--out", done.folder, "--resume", "--dry-run")
    assert again.stdout.startswith("run: topology=ring")
    gossipnet("bench", done.folder.parent / "small.toml", "--out", done.folder, "--resume")


def test_an_existing_folder_is_not_touched(done, desk):
    result = gossipnet("bench", desk / "small.toml", "--out", done.folder)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--resume goes on with it" in result.stderr


@pytest.mark.parametrize(
    ("seeds", "finished", "status", "said"),
    [("0, 2", False, 130, "--resume --out"), ("0, 3", True, 1, "cells failed")],
    ids=["interrupted", "failed"],
)
def test_what_is_cut_short_or_fails_exits_so(desk, tmp_path, monkeypatch, seeds, finished, status, said):
    from gossipnet.grid.cell import fail_cell
    from gossipnet.grid.run import cell_folder

    def run_cells(folder, cells, jobs, view):
        if finished:
            fail_cell(cell_folder(folder, cells[0]), "why")
        return finished

    monkeypatch.setattr("gossipnet.grid.bench.run_cells", run_cells)
    file = tmp_path / "grid.toml"
    file.write_text((desk / "small.toml").read_text().replace("seeds = [0, 1]", f"seeds = [{seeds}]"))
    result = gossipnet("bench", file, "--out", tmp_path / "run")
    assert result.exit_code == status, result.output
    assert said in result.stderr
    assert (tmp_path / "run" / "report.html").is_file()
