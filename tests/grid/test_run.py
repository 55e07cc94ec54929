"""Running cells: in parallel, to the end whatever fails, and on from where it was."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from gossipnet.errors import BadInput
from gossipnet.grid import cells_of, read_grid
from gossipnet.grid.run import CELLS, GRID, Pool, cell_folder, check_folder, claim_folder, outcomes, run_cells


def grid(desk, axes):
    text = f"[grid]\n{axes}\n[swarm]\nnodes = 3\n[training]\nlocal_steps = 1\n"
    return cells_of(read_grid(text.replace("POINTS", f"{desk}/points.py:points")))


def test_a_cell_that_fails_or_dies_costs_no_other(desk, tmp_path, view):
    """A worker that ends in the middle of a cell is replaced by another."""
    file = tmp_path / "tasks.py"
    file.write_text(
        (desk / "points.py").read_text() + "\n\ndef fatal():\n    import os\n    print('last words')\n    os._exit(9)\n"
    )
    names = ", ".join(f"'{file}:{n}'" for n in ("points", "fatal", "diverging"))
    cells = grid(desk, f"tasks = [{names}]\nbaselines = false")
    assert run_cells(tmp_path / "run", cells, 1, view)
    found = outcomes(tmp_path / "run", cells)
    errors = {c.experiment.task.rpartition(":")[2]: found[c.key].error for c in cells}
    assert errors["points"] is None
    assert "ended with status 9" in errors["fatal"]
    assert "training diverged" in errors["diverging"]
    assert len(view.told) == 3
    assert "last words" in "".join(f.read_text() for f in (tmp_path / "run").glob("worker-*.log"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pool, "start", lambda pool, count: None)
        run_cells(tmp_path / "run", cells, 1, view)
    assert view.begun == [(3, 0), (2, 1)], "what failed is tried again, what finished is not"


def test_finished_cells_are_kept(done, view):
    before = {f: f.stat().st_mtime_ns for f in done.folder.rglob("cell.json")}
    assert run_cells(done.folder, cells_of(done.grid), 2, view)
    assert view.begun == [(0, len(before))]
    assert before == {f: f.stat().st_mtime_ns for f in done.folder.rglob("cell.json")}


def test_the_same_run_in_two_parts_runs_once(tmp_path, view, monkeypatch):
    axes = "[[grid]]\nseeds = [0]\n[[grid]]\nname = 'b'\nseeds = [0, 1]\n"
    cells = cells_of(read_grid(f"{axes}[swarm]\nnodes = 2\n"))
    monkeypatch.setattr("gossipnet.grid.run.Pool.start", lambda pool, count: None)
    run_cells(tmp_path, cells, 2, view)
    assert view.begun == [(len({c.key for c in cells}), 0)] == [(10, 0)]
    assert len(cells) == 15


@pytest.fixture
def ctrl_c():
    """Ctrl-C as in a terminal: a background job of a shell starts with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_the_workers_and_keeps_what_is_over(desk, tmp_path, view):
    cells = grid(desk, "tasks = ['POINTS']\nseeds = [0, 1]\nrounds = [1, 1000000]\nbaselines = false")
    cells.sort(key=lambda cell: cell.experiment.rounds)
    started = []
    view.over = lambda cell, error: threading.Timer(0.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    start = Pool._start

    def noted(pool):
        start(pool)
        started.extend(w.process for w in pool._workers if w.process not in started)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pool, "_start", noted)
        assert not run_cells(tmp_path, cells, 2, view)
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)
    found = set(outcomes(tmp_path, cells))
    assert found
    assert found <= {cells[0].key, cells[1].key}
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_worker_ends_with_its_input():
    process = subprocess.Popen(
        [sys.executable, "-m", "gossipnet.grid.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdin.close()
    assert process.wait(60) == 0
    process.stdout.close()


def test_folders_are_taken_with_care(tmp_path):
    folder = tmp_path / "new"
    check_folder(folder, False, False)
    assert claim_folder(folder, "a = 1", False) is False
    with pytest.raises(BadInput, match="--resume goes on with it, --overwrite replaces it"):
        check_folder(folder, False, False)
    check_folder(folder, True, False)
    (folder / CELLS / "x").mkdir(parents=True)
    assert claim_folder(folder, "a = 1", True) is False
    assert claim_folder(folder, "a = 2", True) is True
    assert (folder / CELLS / "x").exists()
    assert (folder / GRID).read_text() == "a = 2"
    check_folder(folder, False, True)
    claim_folder(folder, "a = 2", False)
    assert not (folder / CELLS).exists()


def test_other_folders_are_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    for resume, overwrite in ((False, False), (True, False), (False, True)):
        with pytest.raises(BadInput, match="is no grid"):
            check_folder(tmp_path, resume, overwrite)
        with pytest.raises(BadInput, match="is no grid"):
            check_folder(tmp_path / "mine.txt", resume, overwrite)
    with pytest.raises(BadInput, match="leave --resume out"):
        check_folder(tmp_path / "none", True, False)
    with pytest.raises(BadInput, match="cannot be written"):
        claim_folder(tmp_path / "mine.txt" / "below", "", False)


def test_a_cell_has_a_folder_of_its_own(done):
    cells = cells_of(done.grid)
    assert len({cell_folder(done.folder, c) for c in cells}) == len(cells)
