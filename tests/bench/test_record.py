"""bench/record.py keeps the tables of a finished grid, and refuses what nobody could stand behind."""

import json
import runpy
from pathlib import Path

import pytest

from gossipnet.grid import cells_of, read_grid
from gossipnet.grid.cell import Outcome
from gossipnet.grid.records import records, write_tables
from gossipnet.grid.run import cell_folder, outcomes

ROOT = Path(__file__).parents[2]
GRID = "[grid]\nseeds = [0, 1]\nbaselines = ['isolated']\n"


@pytest.fixture
def record():
    return runpy.run_path(str(ROOT / "bench" / "record.py"))


def finished(folder: Path, most: int = 99) -> Path:
    folder.mkdir()
    (folder / "grid.toml").write_text(GRID)
    grid = read_grid(GRID, "mine")
    cells = cells_of(grid)
    for cell in cells[:most]:
        curve = {"round": [1.0], "accuracy": [0.9], "time_s": [1.0], "bytes_sent": [1.0]}
        Outcome(None, {"mean_accuracy": 0.9}, curve).write(cell_folder(folder, cell))
    write_tables(folder, grid, records(cells, outcomes(folder, cells)))
    return folder


def test_a_record_has_file_tables_machine_and_commit(record, tmp_path):
    record["main"]([str(finished(tmp_path / "run")), str(tmp_path / "kept"), "--dirty"])
    assert {p.name for p in (tmp_path / "kept").iterdir()} == {*record["FILES"], "README.md"}
    text = (tmp_path / "kept" / "README.md").read_text()
    assert text.startswith("# mine\n")
    assert "commit " in text
    assert "cores (" in text
    assert "90.0%" in text
    assert str(tmp_path / "run") not in text


def test_an_unfinished_grid_is_refused(record, tmp_path):
    with pytest.raises(SystemExit, match="only 3 of 4 cells are finished"):
        record["main"]([str(finished(tmp_path / "run", most=3)), str(tmp_path / "kept")])
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("folder", sorted((ROOT / "bench" / "records").glob("*/")), ids=lambda f: f.name)
def test_every_record_is_whole(folder):
    content = json.loads((folder / "results.json").read_text())
    assert content["finished"] == content["cells"] == len(content["results"])
    assert (folder / "README.md").read_text().startswith(f"# {content['grid']}\n")
    read_grid(folder / "grid.toml")
