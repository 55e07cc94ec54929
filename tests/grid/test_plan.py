"""From a grid to its cells: the product, without what is left out, and each baseline once for each of its settings."""

from collections import Counter

import pytest

from gossipnet.config import Experiment
from gossipnet.errors import BadInput
from gossipnet.grid.axes import Axis, Point, read_axis
from gossipnet.grid.plan import BASELINES, Grid, Part, cells_of, part_cells
from gossipnet.sim.presets import Conditions, conditions


def part(*axes, **extra):
    return Part("p", "", tuple(read_axis(key, value) for key, value in axes), **extra)


TOPOLOGIES = ("topologies", ["ring", "complete"])
SEEDS = ("seeds", [0, 1, 2])


def test_cells_are_the_product_and_then_the_baselines():
    cells = part_cells(part(TOPOLOGIES, ("merges", ["average", "sign-aligned"]), SEEDS))
    assert Counter(cell.baseline for cell in cells) == {"": 12, **dict.fromkeys(BASELINES, 3)}
    assert {(c.experiment.topology, c.experiment.merge, c.experiment.seed) for c in cells if not c.baseline} == {
        (t, m, s) for t in ("ring", "complete") for m in ("average", "sign-aligned") for s in range(3)
    }
    assert cells[0].place == {"topology": "ring", "merge": "average", "seed": "0"}


def test_baselines_follow_the_axes_that_mean_something_to_them():
    axes = [
        TOPOLOGIES,
        ("splits", ["iid", "shards"]),
        ("inits", ["same", "own"]),
        ("networks", [{}, {"drop_rate": 0.1}]),
    ]
    cells = [c for c in part_cells(part(*axes, baselines=("fedavg", "fedavg-own"))) if c.baseline]
    assert [(c.baseline, c.experiment.partition, c.experiment.init) for c in cells] == [
        ("fedavg", "iid", "same"),
        ("fedavg", "shards", "same"),
        ("fedavg-own", "iid", "own"),
        ("fedavg-own", "shards", "own"),
    ]
    assert all(c.place.keys() == {"partition"} for c in cells)
    assert {c.experiment.drop_rate for c in cells} == {Experiment().drop_rate}


def test_federated_averaging_takes_the_time_of_the_network_that_it_stands_beside():
    networks = ["ideal", "wan", {"name": "lossy", "drop_rate": 0.2}]
    cells = part_cells(part(("networks", networks), baselines=("isolated", "fedavg")))[3:]
    assert [(c.baseline, c.place.get("network")) for c in cells] == [
        ("isolated", None),
        *(("fedavg", name) for name in ("ideal", "wan", "lossy")),
    ]
    ideal, wan, lossy = (c.experiment for c in cells[1:])
    assert conditions(wan) == Conditions(latency_s=0.04, bandwidth_bytes_per_s=12.5e6)
    assert (conditions(ideal), lossy) == (Conditions(), ideal)
    assert cells[1].key == cells[3].key != cells[2].key


def test_a_network_for_all_cells_is_that_of_the_baselines():
    [_, one] = part_cells(part(("networks", ["wan"]), baselines=("fedavg",)))
    assert (one.place, conditions(one.experiment).latency_s) == ({}, 0.04)


def test_every_baseline_takes_the_time_of_its_local_steps():
    cells = part_cells(part(("compute_s", [0.01, 0.5]), baselines=("isolated",)))[2:]
    assert [(c.place, c.experiment.compute_s) for c in cells] == [
        ({"compute_s": "0.01"}, 0.01),
        ({"compute_s": "0.5"}, 0.5),
    ]


def test_fixed_values_hold_for_all_and_axes_win_over_them():
    cells = part_cells(part(("rounds", [3, 4]), fixed={"rounds": 9, "lr": 0.5, "topology": "star", "init": "own"}))
    assert {c.experiment.lr for c in cells} == {0.5}
    assert {c.experiment.rounds for c in cells} == {3, 4}
    assert {c.experiment.topology for c in cells if not c.baseline} == {"star"}
    assert {c.experiment.init for c in cells if c.baseline == "isolated"} == {"same"}


def test_what_is_left_out_is_no_cell_and_has_no_baseline():
    out = ({"topology": frozenset({"ring"}), "seed": frozenset({"1", "2"})}, {"seed": frozenset({"0"})})
    cells = part_cells(part(TOPOLOGIES, SEEDS, leave_out=out, baselines=("isolated",)))
    assert [str(c) for c in cells] == [
        "topology=complete seed=1",
        "topology=complete seed=2",
        "isolated seed=1",
        "isolated seed=2",
    ]


def test_the_first_seed_comes_first():
    cells = cells_of(Grid("g", "", (part(TOPOLOGIES, SEEDS), part(SEEDS))))
    assert [c.experiment.seed for c in cells] == sorted(c.experiment.seed for c in cells)


def test_the_key_is_of_all_that_decides_a_run_and_of_nothing_else():
    (a, *_), (b, *_) = (cells_of(Grid(n, "", (Part(n, "x", (read_axis(*SEEDS),)),))) for n in ("g", "h"))
    assert a.key == b.key
    grid = part(SEEDS, ("lr", [0.1, 0.2]), ("merges", ["average", "sign-aligned"]))
    cells = cells_of(Grid("g", "", (grid,)))
    assert len({c.key for c in cells}) == len(cells)
    live = Part("p", "", grid.axes, world="live", baselines=())
    assert not {c.key for c in part_cells(live)} & {c.key for c in cells}


def test_values_that_do_not_go_together_are_named_with_their_cell():
    axes = (read_axis("nodes", [8, 60000]), Axis("variant", (Point("tcp", {"transport": "tcp"}),)))
    with pytest.raises(BadInput, match=r"part 'p', cell nodes=60000 variant=tcp: exchange.port.*leave_out"):
        part_cells(Part("p", "", axes))


def test_too_many_and_no_cells_are_refused():
    huge = part(("seeds", list(range(400))), ("rounds", list(range(1, 400))))
    with pytest.raises(BadInput, match="159,600 cells, expected at most"):
        part_cells(huge)
    nothing = part(SEEDS, leave_out=({"seed": frozenset("012")},))
    with pytest.raises(BadInput, match="no cell"):
        cells_of(Grid("g", "", (nothing,)))


def test_work_is_the_local_steps_of_all_nodes():
    [cell] = part_cells(part(("nodes", 3), ("rounds", 5), ("local_steps", 7), baselines=()))
    assert cell.work == 3 * 5 * 7
    assert str(cell) == "nodes=3 rounds=5 local_steps=7"
