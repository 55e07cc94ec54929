"""A grid from its file to its page: checked first, gone on with, changed, and cut short."""

import json

import pytest

from gossipnet.errors import BadInput
from gossipnet.grid.bench import bench, load, print_cells


def test_it_leaves_tables_page_and_cells(done):
    names = {p.name for p in done.folder.iterdir() if not p.name.startswith("worker")}
    assert names == {"grid.toml", "cells", "results.csv", "curves.csv", "results.json", "report.html"}
    assert (done.interrupted, done.failed) == (False, 0)


def test_a_changed_grid_keeps_the_cells_that_it_still_has(done, desk, view):
    text = (desk / "small.toml").read_text()
    again = [bench(load("", "small", text), text, done.folder, view, 2, resume=True)]
    told = []
    less = text.replace("seeds = [0, 1]", "seeds = [1]").replace('"ring", ', "")
    again.append(bench(load("", "small", less), less, done.folder, view, 2, resume=True, tell=told.append))
    back = bench(load("", "small", text), text, done.folder, view, 2, resume=True)
    assert view.begun == [(0, 16), (0, 6), (0, 16)]
    assert told == [
        "the grid has changed: 6 of its cells are here already, 0 are new; 10 of the folder's are no longer in it, "
        "stay there and are in no table"
    ]
    assert [len(b.records) for b in again] == [16, 6]
    assert json.dumps(back.content) == json.dumps(done.content)


def test_nothing_is_made_for_a_grid_that_cannot_run(desk, tmp_path, view):
    text = f"[grid]\nnodes = [4, 7]\ntopology = 'torus'\n[task]\nname = '{desk}/points.py:points'\n"
    with pytest.raises(BadInput, match="cell nodes=7 topology=torus"):
        bench(load("", "g", text), text, tmp_path / "run", view, 1)
    assert not (tmp_path / "run").exists()
    assert view.begun == []


def test_interrupted_it_still_writes_tables_and_page(desk, tmp_path, view, monkeypatch):
    monkeypatch.setattr("gossipnet.grid.bench.run_cells", lambda *_: False)
    text = (desk / "small.toml").read_text()
    found = bench(load("", "small", text), text, tmp_path / "run", view, 1)
    assert found.interrupted
    assert found.content["finished"] == 0
    assert (tmp_path / "run" / "report.html").is_file()


def test_the_world_of_the_command_wins(desk):
    text = (desk / "small.toml").read_text()
    assert {part.world for part in load("", "g", text, "live").parts} == {"live"}
    assert {part.world for part in load(str(desk / "small.toml"), "g", text).parts} == {"sim"}


def test_cells_are_printed_with_their_number(desk):
    *lines, count = print_cells(load(str(desk / "small.toml"), "", "")).splitlines()
    assert len(lines) == 16
    assert lines[0] == "small: topology=ring merge=average seed=0"
    assert count == "16 cells, 16 of them different, 512 local steps"
