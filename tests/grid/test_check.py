"""What cannot run is named before anything runs, the cell with it."""

import pytest

from gossipnet.errors import BadInput
from gossipnet.grid import cells_of, read_grid
from gossipnet.grid.check import check_cells


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ("nodes = [8, 7]\ntopologies = ['ring', 'torus']", "cell nodes=7 topology=torus: a torus has rows x columns"),
        ("nodes = [4, 300]", "cell nodes=300: 200 samples cannot be split over 300 nodes"),
        ("splits = ['iid', 'shards:per_node=100']", "cell partition=shards:per_node=100: 200 samples cannot be cut"),
        ("models = ['', 'lenet5']", "cell model=lenet5: "),
        ("networks = ['wan', {churn = 'trace:path=missing.csv'}]", "missing.csv': No such file or directory;"),
        ("networks = [{reorder_rate = 0.5}]", "cell network=reorder_rate=0.5: network.reorder_rate: "),
        ("networks = [{speed = 'uniform:low=3,high=1'}]", "speed 'uniform', option 'low'"),
        ("networks = [{cuts = ['1..2 0-9']}]", "'1..2 0-9' names nodes 0-9, expected nodes of 0 to 7"),
        ("drop_rate = [0.1, 1.0]\nquorums = [0, 'all']", "cell drop_rate=1 quorum=all: network.drop_rate: got 1"),
    ],
)
def test_the_cell_is_named(desk, grid, said):
    text = f"[grid]\n{grid}\n[task]\nname = '{desk}/points.py:points'\n"
    with pytest.raises(BadInput) as refused:
        check_cells(cells_of(read_grid(text)))
    assert said in str(refused.value)
    assert "leave_out takes a cell out" in str(refused.value)


def test_live_cells_have_no_simulated_network(desk):
    text = f"[grid]\nreorder_rate = [0.5]\nworld = 'live'\n[task]\nname = '{desk}/points.py:points'\n"
    check_cells(cells_of(read_grid(text)))


def test_what_can_run_passes(desk):
    check_cells(cells_of(read_grid(desk / "small.toml")))
