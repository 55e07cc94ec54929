"""Whole swarms: how they end, whatever ends them."""

import os
import signal
import socket

import pytest
import troubled
from live_swarm import Run, free_ports, until

LONG = ("--rounds", 10_000, "--local-steps", 5)  # nobody waits for its end
SMALL = ("--nodes", 3, "--task", f"{troubled.FILE}:slow", "--lr", 0.1)


def slow(**options: float) -> tuple[object, ...]:
    text = ",".join(f"{k}={v}" for k, v in options.items())
    return ("--nodes", 3, "--task", f"{troubled.FILE}:slow:{text}", "--lr", 0.1)


def settled(run: Run) -> bool:
    """Everything is gone, files for temporary use included."""
    return not run.alive() and not run.scratch


def stopped_well(run: Run, within_s: float) -> None:
    """It ended as after Ctrl-C: status 130, a summary, nothing left."""
    assert run.wait(within_s) == 130, run.stderr
    assert run.summary["world"] == "live"
    assert "Traceback" not in run.stderr
    assert settled(run)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


# --- the launcher is killed


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_killed_launcher_leaves_nothing(folder, start):
    with Run(folder, *SMALL, *LONG, "--set", f"swarm.start={start}") as run:
        run.wait_for_round(2, 3)
        assert len(run.alive()) >= 3
        if start == "fork":
            os.kill(run.pid(1), signal.SIGSTOP)  # one that cannot even notice
        run.signal(signal.SIGKILL)
        until(lambda: settled(run), "end of all processes", within_s=5)


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize("libraries", range(4))
def test_a_killed_launcher_leaves_nothing_at_the_start(folder, start, libraries):
    with Run(folder, *SMALL, *LONG, "--set", f"swarm.start={start}") as run:
        until(run.alive, "first process")
        until(lambda: torch_loaded(run) >= libraries, "libraries")
        run.signal(signal.SIGKILL)
        until(lambda: settled(run), "end of all processes", within_s=5)


def torch_loaded(run: Run) -> int:
    """How far the first process is: 0 nothing, up to 3 with all libraries of torch."""
    for pid in run.alive():
        try:
            with open(f"/proc/{pid}/maps") as maps:
                text = maps.read()
        except OSError:
            continue
        return sum(name in text for name in ("_multiarray_umath", "libtorch_cpu", "torch/_C"))
    return 3


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"load_s": 60}, {"step_s": 60}, {"step_s": 60, "greedy": 1}, {"metric_s": 60}])
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_killed_launcher_leaves_nothing_that_is_busy(folder, start, options):
    if start == "spawn" and ("greedy" in options or "load_s" in options):
        pytest.skip("only a fork server ends a greedy process; and without one the launcher itself loads the data")
    with Run(folder, *slow(**options), "--rounds", 1, "--local-steps", 1, "--set", f"swarm.start={start}") as run:
        if "load_s" in options:
            until(lambda: torch_loaded(run) == 3 and run.alive(), "loading")
        elif "step_s" in options:
            run.wait_for("started", 3)
        else:
            run.wait_for("merged", 3)
        run.signal(signal.SIGKILL)
        until(lambda: settled(run), "end of all processes", within_s=5)


# --- Ctrl-C


@pytest.mark.parametrize(
    ("number", "group"),
    [
        (signal.SIGINT, True),
        pytest.param(signal.SIGINT, False, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, False, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, True, marks=pytest.mark.slow),
    ],
)
def test_an_interrupt_ends_the_run_in_good_order(folder, number, group):
    with Run(folder, *SMALL, *LONG) as run:
        run.wait_for_round(3, 3)
        run.signal(number, group)
        stopped_well(run, within_s=30)
        assert run.summary["left"] == []
        assert sorted(run.digests) == ["0", "1", "2"]
        for node in range(3):
            assert (folder / "nodes" / str(node) / "model.safetensors").exists()
            assert run.reports("finished", node)
        assert run.summary["consensus_distance"] is not None, "one interrupt leaves time to measure"


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize("moment", ["process", "torch", "forked"])
def test_an_interrupt_at_the_start(folder, start, moment):
    with Run(folder, *SMALL, *LONG, "--set", f"swarm.start={start}") as run:
        until(run.alive if start == "fork" else folder.exists, "beginning")
        if moment == "torch" and start == "fork":
            until(lambda: torch_loaded(run) >= 2, "torch")
        elif moment == "forked":
            until(lambda: len(run.alive()) >= 3, "processes")
        run.signal(signal.SIGINT, group=True)
        stopped_well(run, within_s=30)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"load_s": 60}, {"step_s": 60}, {"metric_s": 60}])
def test_two_interrupts_end_everything_at_once(folder, options):
    with Run(folder, *slow(**options), "--rounds", 1, "--local-steps", 1) as run:
        if "load_s" in options:
            until(lambda: torch_loaded(run) == 3 and run.alive(), "loading")
        elif "step_s" in options:
            run.wait_for("started", 3)
        else:
            run.wait_for("merged", 3)
        run.signal(signal.SIGINT, group=True)
        run.signal(signal.SIGTERM, group=True)  # two of the same, this close together, are delivered as one
        stopped_well(run, within_s=5)
        assert run.summary["left"] == [0, 1, 2]


@pytest.mark.slow
def test_an_interrupt_while_all_models_are_measured(folder):
    options = (*slow(metric_s=5), "--rounds", 1, "--local-steps", 1)
    with Run(folder, *options) as run:
        until((folder / "measure.txt").exists, "measuring")
        run.signal(signal.SIGINT)
        stopped_well(run, within_s=4)
        assert run.summary["left"] == []
        assert run.summary["consensus_distance"] is None


# --- a node fails


def test_a_node_that_raises_ends_the_run(folder):
    with Run(folder, "--nodes", 3, "--task", f"{troubled.FILE}:raises:node=2,call=30", *LONG) as run:
        until(lambda: "ZeroDivisionError" in run.stderr, "failure on stderr")
        assert run.wait(30) == 1
        assert "node 2 failed" in run.stderr
        for text in (run.stderr, (folder / "nodes/2/log.txt").read_text()):
            assert "Traceback" in text
            assert "troubled.py" in text
            assert "a slip in the user's loss" in text
        assert run.summary["left"] == [2]
        assert sorted(run.digests) == ["0", "1"]
        assert settled(run)


def test_a_killed_node_ends_the_run(folder):
    with Run(folder, *SMALL, *LONG) as run:
        run.wait_for_round(3, 3)
        os.kill(run.pid(1), signal.SIGKILL)
        assert run.wait(30) == 1
        assert "node 1 failed" in run.stderr
        assert "signal 9" in run.stderr
        assert run.summary["left"] == [1]
        assert settled(run)


@pytest.mark.slow
def test_a_killed_fork_server_ends_the_run(folder):
    with Run(folder, *SMALL, *LONG) as run:
        run.wait_for_round(3, 3)
        (server,) = run.alive() - {run.pid(node) for node in range(3)}
        os.kill(server, signal.SIGKILL)
        assert run.wait(30) == 1
        assert "was lost" in run.stderr
        assert "Traceback" not in run.stderr
        assert run.summary["left"] == [0, 1, 2]
        until(lambda: settled(run), "end of all processes", within_s=5)


# --- bad input


def test_a_port_in_use_is_one_line_and_leaves_nothing(folder):
    port = free_ports(3)
    with socket.create_server(("127.0.0.1", port + 1)):
        with Run(folder, *SMALL, *LONG, "--set", "exchange.transport=tcp", "--set", f"exchange.port={port}") as run:
            assert run.wait(30) == 2
        assert run.stderr.count("\n") == 1
        assert f"127.0.0.1:{port + 1}" in run.stderr
        assert "exchange.port" in run.stderr
        assert not folder.exists()
        assert settled(run)
