"""The installed suites: each is a grid whose cells can run; names and files are found or refused in a line."""

import pytest

from gossipnet.errors import BadInput
from gossipnet.grid import cells_of, read_grid, suites
from gossipnet.grid.compare import BASELINE_NAMES
from gossipnet.grid.plan import BASELINES
from gossipnet.topology import make_topology


@pytest.mark.parametrize("name", suites.describe())
def test_every_suite_is_a_grid_of_graphs_that_exist_with_three_seeds_and_all_baselines(name):
    grid = read_grid(suites.text(name), name)
    cells = cells_of(grid)
    graphs = {(c.experiment.topology, c.experiment.nodes, c.experiment.mixing) for c in cells if not c.baseline}
    for text, nodes, mixing in graphs:
        make_topology(text, n=nodes, mixing=mixing)
    for part in grid.parts:
        here = [c for c in cells if c.part == part.name]
        assert len({c.experiment.seed for c in here}) >= 3
        assert {c.baseline for c in here} == {"", *BASELINES}


def test_six_suites_are_there():
    assert {"quick", "convergence", "topologies", "noniid", "faults", "scale"} == set(suites.describe())
    assert all(about and about[0].isupper() for about in suites.describe().values())
    assert set(BASELINE_NAMES) == set(BASELINES)


def test_a_file_wins_over_a_suite_and_a_folder_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "topologies").mkdir()
    assert suites.find("topologies") == ("topologies", suites.text("topologies"))
    (tmp_path / "quick").write_text("[grid]\n")
    assert suites.find("quick") == ("quick", "[grid]\n")


def test_what_is_not_there_is_said(tmp_path):
    for given, said in (
        ("quik", "no suite 'quik'; did you mean 'quick'"),
        (str(tmp_path / "none.toml"), "expected the file of a grid, or a suite: convergence"),
        (str(tmp_path / "x.toml"), "is not UTF-8 text .* expected the file of a grid"),
    ):
        (tmp_path / "x.toml").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(BadInput, match=said):
            suites.find(given)
