"""Advice: which candidates are simulated, which is recommended and why; the simulations are made up."""

import json
import math
from dataclasses import replace

import pytest
from click.testing import CliRunner

from gossipnet.cli import cli
from gossipnet.config import Experiment
from gossipnet.errors import BadInput, RunFailed, RunInterrupted
from gossipnet.grid import advise as module
from gossipnet.grid.advise import advise, candidates, fanout, undominated
from gossipnet.grid.cell import Outcome, fail_cell
from gossipnet.grid.run import cell_folder
from gossipnet.topology import make_topology


@pytest.fixture
def simulated(monkeypatch):
    """Cells are not run: the accuracy of round r is 1 - exp(-r * gap ** 0.5), a node sends 100 bytes a model."""
    ran = []

    def run_cells(folder, cells, jobs, view):
        for cell in cells:
            ran.append(cell)
            e = cell.experiment
            made = make_topology(e.topology, n=e.nodes, seed=e.seed)
            rounds = [float(r) for r in range(1, e.rounds + 1)]
            accuracy = [1 - math.exp(-r * 0.3 * made.spectral_gap**0.5) for r in rounds]
            curve = {"round": rounds, "accuracy": accuracy, "time_s": [0.1 * r for r in rounds]}
            curve["bytes_sent"] = [100 * fanout(made) * r for r in rounds]
            Outcome(None, {"mean_accuracy": accuracy[-1]}, curve).write(cell_folder(folder, cell))
        return True

    monkeypatch.setattr(module, "run_cells", run_cells)
    monkeypatch.setattr(module, "check_cells", lambda *_: None)
    return ran


def test_candidates_are_the_families_that_have_such_a_graph():
    assert "torus" in {c.text for c in candidates(Experiment(nodes=12))}
    seven = {c.text for c in candidates(Experiment(nodes=7))}
    assert not seven & {"torus", "hypercube", "regular:d=3", "regular:d=8"}
    assert {"ring", "regular:d=4", "exponential", "complete"} <= seven
    sixteen = [c.text for c in candidates(Experiment(nodes=16))]
    assert "torus" in sixteen
    assert "hypercube" not in sixteen, "it is the torus"
    assert "complete" not in {c.text for c in candidates(Experiment(nodes=200))}


def test_a_fanout_is_what_a_node_sends():
    for text, n, models in (("ring", 8, 2), ("star", 8, 14 / 8), ("exponential", 8, 3), ("one-peer-exponential", 8, 1)):
        assert fanout(make_topology(text, n=n)) == models


def test_none_that_is_kept_is_beaten_and_each_that_is_not_is():
    found = candidates(Experiment(nodes=32))
    kept = undominated(found)
    fixed = [c for c in found if c.topology.period == 1]
    for c in fixed:
        beaten = any(o.fanout <= c.fanout and o.gap >= c.gap and (o.fanout, o.gap) != (c.fanout, c.gap) for o in fixed)
        assert (c in kept) != beaten, c.text
    assert any(c.topology.period > 1 for c in kept)


def test_the_cheapest_of_the_nearly_fastest_is_recommended(simulated, view):
    found = advise(Experiment(nodes=16, rounds=20), view, 1, target=0.8)
    times = {m.candidate.text: m.to(0.8, "time_s") for m in found.measured}
    least = min(t for t in times.values() if t is not None)
    near = [m for m in found.measured if (t := m.to(0.8, "time_s")) and t <= 1.25 * least]
    assert found.best == min(near, key=lambda m: (m.to(0.8, "bytes_sent"), -m.candidate.gap))
    text = str(found)
    assert f"recommended: {found.best.candidate.text}, fanout" in text
    assert "expected: 80% accuracy after" in text
    assert {c.experiment.evaluate_every for c in simulated} == {1}
    assert [m.candidate.fanout for m in found.measured] == sorted(m.candidate.fanout for m in found.measured)


def test_without_a_target_it_is_what_half_of_them_reach(simulated, view):
    found = advise(Experiment(nodes=16, rounds=10), view, 1)
    reached = sum(m.to(found.target, "round") is not None for m in found.measured)
    assert 2 * reached >= len(found.measured)


def test_where_none_reaches_the_target_the_most_accurate_count(simulated, view):
    found = advise(Experiment(nodes=16, rounds=2), view, 1, target=0.999)
    top = max(m.accuracy.mean for m in found.measured)
    assert found.best.accuracy.mean >= top - 0.01
    assert "99.9% accuracy was not reached in 2 rounds" in found.reason()
    assert "rounds to 99.9%" in found.table()
    assert "no accuracy worth asking for was reached" in replace(found, target=None).reason()


def test_what_cannot_be_simulated_is_named_with_its_topology(view):
    with pytest.raises(BadInput, match=r"^on star: network\.drop_rate: got 1") as refused:
        advise(Experiment(nodes=4, drop_rate=1.0), view, 1, asked=["star"])
    assert "leave_out" not in str(refused.value)


def test_large_swarms_are_simulated_smaller_and_what_mixes_slower_is_not_recommended(simulated, view):
    found = advise(Experiment(nodes=400, rounds=200), view, 1, asked=["ring", "regular:d=4"], target=0.5)
    assert {c.experiment.nodes for c in simulated} == {64}
    ring, regular = found.measured
    assert ring.candidate.slower > 30
    assert regular.candidate.slower < 2
    assert found.best == regular
    assert "simulated with 64 nodes" in found.reason()


def test_traffic_is_scaled_to_the_true_fanout(simulated, view):
    [only] = advise(Experiment(nodes=256, rounds=20), view, 1, asked=["exponential"], target=0.5).measured
    assert only.to(0.5, "bytes_sent") == pytest.approx(100 * 8 * only.to(0.5, "round"))


def test_seeds_are_all_asked(simulated, view):
    found = advise(Experiment(nodes=8, rounds=20), view, 1, asked=["ring"], seeds=3)
    assert {c.experiment.seed for c in simulated} == {0, 1, 2}
    assert found.best.accuracy.n == 3


def test_a_graph_that_is_easily_cut_is_warned_of(simulated, view):
    found = advise(Experiment(nodes=8, rounds=20), view, 1, asked=["star"])
    assert "warning: fragile" in str(found)
    assert found.to_dict()["warnings"]


def test_nothing_that_runs_is_a_failure(view, monkeypatch):
    def fails(folder, cells, jobs, view):
        return [fail_cell(cell_folder(folder, cell), "no") for cell in cells]

    monkeypatch.setattr(module, "check_cells", lambda *_: None)
    monkeypatch.setattr(module, "run_cells", fails)
    with pytest.raises(RunFailed, match="no topology could be simulated: no"):
        advise(Experiment(nodes=8), view, 1, asked=["ring"])
    monkeypatch.setattr(module, "run_cells", lambda *_: False)
    with pytest.raises(RunInterrupted):
        advise(Experiment(nodes=8), view, 1, asked=["ring"])


def gossipnet(*args):
    return CliRunner().invoke(cli, ["topology", "advise", *args], prog_name="gossipnet")


def test_the_command_ends_with_what_to_type(simulated):
    result = gossipnet("--nodes", "16", "--merge", "average", "--set", "network.latency_s=0.5")
    assert result.exit_code == 0, result.output
    last = result.stdout.splitlines()[-1]
    assert last.startswith("gossipnet swarm --topology ")
    assert last.endswith("--nodes 16 --merge average --set network.latency_s=0.5")
    assert {c.experiment.latency_s for c in simulated} == {0.5}


def test_json_has_the_same(simulated):
    result = gossipnet("--nodes", "8", "--topology", "ring", "--json")
    said = json.loads(result.stdout)
    assert said["recommended"]["topology"] == "ring"
    assert said["recommended"]["fanout"] == 2
    assert said["candidates"] == [said["recommended"]]
    assert said["command"].startswith("gossipnet swarm --topology ring")


@pytest.mark.parametrize(("error", "status"), [(RunFailed("why"), 1), (RunInterrupted(), 130)])
def test_it_exits_as_a_run_does(monkeypatch, error, status):
    def raises(*_):
        raise error

    monkeypatch.setattr(module, "advise", raises)
    assert gossipnet("--nodes", "8").exit_code == status
