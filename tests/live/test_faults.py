"""Nodes that are slow, stopped, or done before their neighbors, in real processes: no time is tuned, nothing hangs."""

import os
import signal
import time

import pytest
import troubled
from live_swarm import Run, finished, until


@pytest.fixture
def ring(tmp_path):
    """A topology's file: a ring of n, some nodes of which are slow."""

    def write(n, **speeds):
        file = tmp_path / "ring.edges"
        named = [f"{i} speed={speeds[f'node{i}']}" if f"node{i}" in speeds else str(i) for i in range(n)]
        file.write_text("\n".join(named + [f"{i} {(i + 1) % n}" for i in range(n)]) + "\n")
        return file

    return write


def slow_steps(step_s):
    return f"{troubled.FILE}:slow:step_s={step_s}"


def test_a_slow_node_holds_up_nobody_and_is_not_alone_in_the_end(tmp_path, ring):
    file = ring(3, node0=0.1)
    options = ("--nodes", 3, "--task", slow_steps(0.005), "--rounds", 12, "--local-steps", 2, "--quorum", 0)
    run = finished(tmp_path / "run", "--topology", file, *options)
    assert run.summary["left"] == []
    merges = {i: run.reports("merged", i) for i in range(3)}
    assert [len(m) for m in merges.values()] == [12, 12, 12]
    assert merges[0][-1]["time_s"] > 2 * merges[1][-1]["time_s"] - merges[1][0]["time_s"]
    behind = [r["lag"]["0"] for r in merges[1] if "0" in r["lag"]]
    assert all(lag >= 0 for lag in behind)
    assert merges[0][-2]["merged"] == 2  # its neighbors were done long before
    assert merges[0][-2]["staleness"] < 0  # they were ahead
    assert run.summary["messages_refused"] == {}


@pytest.mark.slow
@pytest.mark.parametrize("quorum", [0, 1, 2])
def test_a_stopped_node_is_left_out_and_taken_up_again(tmp_path, quorum):
    options = ("--nodes", 4, "--task", slow_steps(0.01), "--rounds", 100_000, "--local-steps", 2, "--quorum", quorum)
    with Run(tmp_path / "run", *options, "--set", "report.evaluate_every=20") as run:
        run.wait_for_round(40, 4)
        os.kill(run.pid(1), signal.SIGSTOP)
        done = len(run.reports("merged", 0))
        time.sleep(12)  # longer than it takes to notice
        while_stopped = run.reports("merged", 0)[done:]
        assert len(while_stopped) > 12 / 0.5  # a round takes 0.02 s and more: hardly slower than before
        assert {r["peer"] for r in run.reports("peer_down")} == {1}
        assert sum(r["wait_s"] for r in while_stopped) < 6
        ups = len(run.reports("peer_up"))
        os.kill(run.pid(1), signal.SIGCONT)
        run.wait_for("peer_up", ups + 2)
        for node in (0, 1, 2):
            count = len(run.reports("merged", node))
            until(lambda n=node, c=count: any(r["merged"] == 2 for r in run.reports("merged", n)[c:]), "full merges")
        run.signal(signal.SIGINT)
        assert run.wait() == 130
        assert run.summary["left"] == []
        if quorum:
            bounds = [r["patience_s"]["1"] for r in run.reports("merged", 0) if r.get("patience_s")]
            assert bounds[-1] is not None
            assert bounds[-1] < 6
    assert not run.alive()


@pytest.mark.slow
def test_a_killed_node_of_a_free_running_swarm_is_in_left_and_the_others_finish(tmp_path):
    options = ("--nodes", 4, "--task", slow_steps(0.01), "--rounds", 60, "--local-steps", 2, "--quorum", 0)
    with Run(tmp_path / "run", *options, "--on-failure", "continue") as run:
        run.wait_for_round(5, 4)
        os.kill(run.pid(2), signal.SIGKILL)
        assert run.wait() == 0, run.stderr
        assert run.summary["left"] == [2]
        assert {r["node"] for r in run.reports("merged") if r["round"] == 60} == {0, 1, 3}
        assert run.reports("merged", 1)[-1]["neighbors_up"] == 1
