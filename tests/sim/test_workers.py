"""Worker processes end with the bits of `loop`, fail node by node, and are gone when the simulator is."""

import os
import signal
import subprocess
import sys
import time

import pytest
from agreement import distance
from small_training import BLOBS, FAILING, TASK

import gossipnet
from gossipnet import BadInput, Experiment
from gossipnet.data.task import tasks
from gossipnet.errors import RunFailed, RunInterrupted
from gossipnet.machine import processors
from gossipnet.sim.workers import Pool
from gossipnet.training.build import split

SMALL = Experiment(
    task=BLOBS, model="mlp", nodes=5, topology="star", rounds=3, local_steps=2, batch_size=8, train="workers"
)


@pytest.mark.parametrize(
    "changes",
    [
        {"validation": 0.2, "codec": "float16", "optimizer": "adamw", "lr": 0.01},
        pytest.param({"quorum": 0, "latency_s": 0.013, "rounds": 8}, marks=pytest.mark.slow),
    ],
)
def test_the_same_to_the_bit_as_one_after_the_other(tmp_path, changes):
    assert distance(SMALL.replace(**changes), "workers", tmp_path) == 0


def test_a_failing_node_fails_alone(tmp_path):
    result = gossipnet.run(SMALL.replace(task=FAILING, rounds=12, on_failure="continue"), "sim", tmp_path / "run")
    holder = next(node for node, part in enumerate(split(SMALL, TASK)) if 7 in part)
    assert result.summary.left == (holder,)
    assert "OSError: sample 7 is damaged" in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_a_merge_that_fails_is_the_failure_of_its_node(tmp_path):
    """Also where nobody waits for it, and where it is the last one."""
    rule = tmp_path / "rule.py"
    rule.write_text(
        "import gossipnet\n\n"
        "@gossipnet.merge_rule('old-fails')\n"
        "def make():\n"
        "    def merge(group):\n"
        "        if int(group.ages[0]) == 6 and len(group.vectors) > 2:\n"
        "            raise OSError('too old')\n"
        "        return group.weights @ group.vectors\n"
        "    return merge\n"
    )
    for rounds, every in ((3, 3), (4, 5), (5, 5)):
        run = SMALL.replace(merge=f"{rule}:old-fails", rounds=rounds, evaluate_every=every, on_failure="continue")
        folder = tmp_path / f"{rounds}-{every}"
        assert gossipnet.run(run, "sim", folder).summary.left == (0,)  # the hub
        assert "OSError: too old" in (folder / "metrics.jsonl").read_text()


def test_results_are_dealt_with_while_others_are_in_the_making(tmp_path, monkeypatch):
    """A barrier would have the simulator idle while they train, and them idle while it thinks."""
    waited = []
    results = Pool.results
    monkeypatch.setattr(Pool, "results", lambda self, numbers: waited.append(len(numbers)) or results(self, numbers))
    gossipnet.run(SMALL.replace(rounds=2, evaluate_every=3, evaluate_nodes=1), "sim", tmp_path / "run")
    assert waited[:10] == [1] * 10


def test_a_task_of_this_process_alone_is_bad_input(tmp_path):
    tasks.register("only-here")(lambda: TASK)
    with pytest.raises(BadInput, match=r"a worker process cannot do this run, use --train loop: .*'only-here'"):
        gossipnet.run(SMALL.replace(task="only-here"), "sim", tmp_path / "run")
    assert not (tmp_path / "run").exists()


class At:
    """A view that does something when the first node has merged round 2."""

    def __init__(self, work):
        self.work, self.failures = work, []

    def report(self, time_s, node, event, round, numbers):
        if (event, round, node) == ("merged", 2, 0):
            self.work()

    def failure(self, node, error):
        self.failures.append(error)


def test_an_interrupted_run_ends_in_good_order(tmp_path):
    view = At(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(RunInterrupted) as interrupted:
        gossipnet.run(SMALL.replace(rounds=1000), "sim", tmp_path / "run", view=view)
    assert interrupted.value.summary.left == ()
    assert len(interrupted.value.summary.digests) == 5


@pytest.mark.slow
def test_when_the_workers_are_killed_the_run_fails(tmp_path, monkeypatch):
    pools = []
    start = Pool.__init__
    monkeypatch.setattr(Pool, "__init__", lambda self, *rest: pools.append(self) or start(self, *rest))
    view = At(lambda: pools[0]._process.kill())
    with pytest.raises(RunFailed, match="the worker process of this node is gone"):
        gossipnet.run(SMALL.replace(rounds=1000, local_steps=20), "sim", tmp_path / "run", view=view)


LONG = """
import sys, gossipnet
class View:
    def report(self, time_s, node, event, round, numbers):
        if event == "merged": print("merged", flush=True)
    def failure(self, *_): pass
gossipnet.run(gossipnet.Experiment.from_toml(sys.argv[2]), "sim", sys.argv[1], view=View())
"""


def workers_of(folder):
    """The processes whose command line names a folder's worker; theirs is their own session."""
    found = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True).stdout
    return [line.split()[:2] for line in found.splitlines() if "gossipnet.sim.worker" in line]


@pytest.mark.slow
def test_workers_are_gone_when_the_simulator_is_killed(tmp_path):
    text = SMALL.replace(rounds=100_000).to_toml()
    run = subprocess.Popen(
        [sys.executable, "-c", LONG, str(tmp_path / "run"), text], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    run.stdout.readline()
    first = {pid for pid, parent in workers_of(tmp_path) if parent == str(run.pid)}
    ours = first | {pid for pid, parent in workers_of(tmp_path) if parent in first}
    run.kill()
    run.wait()
    assert len(ours) == min(processors(), 5)
    deadline = time.monotonic() + 60
    while ours & {pid for pid, _ in workers_of(tmp_path)} and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not ours & {pid for pid, _ in workers_of(tmp_path)}


@pytest.mark.parametrize("train", ["stacked", pytest.param("workers", marks=pytest.mark.slow)])
def test_a_node_that_comes_back_empty_goes_on(tmp_path, train):
    trace = tmp_path / "trace.csv"
    trace.write_text("time_s,node,move\n0.131,2,crash\n0.2,2,restart-empty\n")
    result = gossipnet.run(
        SMALL.replace(train=train, rounds=30, quorum=0, churn=f"trace:path={trace}"), "sim", tmp_path / "run"
    )
    assert result.summary.left == ()
    assert len(result.summary.digests) == 5
