"""Nodes that were started one by one, with no launcher."""

import contextlib
import signal
import socket

import pytest
from live_swarm import Run, free_ports, until

import gossipnet
from gossipnet.errors import BadInput
from gossipnet.live.deploy import addresses, listening, swarm_token
from gossipnet.topology import make_topology

BASE = gossipnet.Experiment(task="digits", nodes=3, rounds=4, local_steps=3, batch_size=16, transport="tcp")


@pytest.fixture
def deploy(tmp_path):
    """Start node i of an experiment, as often as wanted; all are ended with the test."""
    with contextlib.ExitStack() as stack:
        port = free_ports(8)
        count = iter(range(100))

        def start(i, experiment, *options):
            n = next(count)
            file = tmp_path / f"{n}.toml"
            file.write_text(experiment.replace(port=port).to_toml())
            return stack.enter_context(
                Run(tmp_path / f"node{i}-{n}", file, "--id", i, *options, command="node", json=False)
            )

        yield start


def digests(runs):
    return {node: digest for run in runs for node, digest in run.digests.items()}


def test_nodes_by_themselves_end_as_a_swarm_does(deploy, tmp_path):
    runs = [deploy(0, BASE), deploy(1, BASE)]
    for run in runs:
        run.wait_for("started")
    runs.append(deploy(2, BASE))  # late, by as long as it takes to start: no error
    assert [run.wait() for run in runs] == [0, 0, 0], [run.stderr for run in runs]
    assert digests(runs) == gossipnet.run(BASE, "sim", tmp_path / "sim").summary.digests
    for i, run in enumerate(runs):
        assert run.summary["messages_refused"] == {}
        assert gossipnet.load(run.folder, i) is not None
        assert "round 4/4" in run.stderr
        assert "Traceback" not in run.stderr


def test_another_model_is_told_on_both_sides(deploy):
    pair = BASE.replace(nodes=2)
    runs = [deploy(0, pair), deploy(1, pair, "--set", "task.model=logistic")]
    assert [run.wait() for run in runs] == [2, 2], [run.stderr for run in runs]
    for i, run in enumerate(runs):
        (line,) = [line for line in run.stderr.splitlines() if line.startswith("error:")]
        assert f"node {1 - i} runs a model of another shape" in line
        assert "same experiment file" in line
        assert "Traceback" not in run.stderr
        assert not run.folder.exists()


def test_a_port_in_use_is_one_line(deploy):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        probe.listen()
        taken = probe.getsockname()[1]
        run = deploy(0, BASE, "--set", f"exchange.addresses=tcp://127.0.0.1:{taken},tcp://[::1]:1,tcp://[::1]:2")
        assert run.wait(30) == 2
    assert run.stderr.count("\n") == 1
    assert f"127.0.0.1:{taken}" in run.stderr
    assert not run.folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize("quorum", ["all", 0, 1])
def test_a_node_may_be_killed_and_started_again(deploy, quorum):
    long = BASE.replace(rounds=100_000, quorum=quorum, evaluate_every=1000)
    runs = [deploy(i, long) for i in range(3)]
    for run in runs:
        run.wait_for_round(3, 1)
        run.wait_for("peer_up", 2)
    runs[1].signal(signal.SIGKILL)
    runs[0].wait_for("peer_down")
    runs[2].wait_for("peer_down")
    again = deploy(1, long)
    for run in (runs[0], runs[2]):
        run.wait_for("peer_up", 3)  # two at the start
    begun = {run: len(run.reports("merged")) for run in (runs[0], again, runs[2])}
    for run, count in begun.items():  # all of them merge all models again
        until(lambda run=run, count=count: sum(r["merged"] == 2 for r in run.reports("merged")[count:]) > 5, "merges")
    if quorum == "all":
        until(lambda: max(r["round"] for r in again.reports("merged")) > begun[runs[0]], "the others' round")
    for run in begun:
        run.signal(signal.SIGINT)
    assert [run.wait(60) for run in begun] == [130, 130, 130], [run.stderr for run in begun]
    assert sorted(digests(begun)) == ["0", "1", "2"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_a_node_in_good_order_and_its_neighbors_go_on(deploy, number):
    long = BASE.replace(rounds=200, local_steps=20)
    runs = [deploy(i, long) for i in range(3)]
    for run in runs:
        run.wait_for_round(3, 1)
    runs[1].signal(number)
    assert runs[1].wait(30) == 130
    assert 3 <= max(r["round"] for r in runs[1].reports("merged")) < 200
    assert runs[1].summary["left"] == []
    assert gossipnet.load(runs[1].folder, 1) is not None
    assert [runs[i].wait(120) for i in (0, 2)] == [0, 0]
    assert max(r["round"] for r in runs[0].reports("merged")) == 200


def test_only_this_machine_listens_without_keys():
    with pytest.raises(BadInput, match="--insecure"):
        listening("tcp://0.0.0.0:5000", insecure=False)
    port = free_ports(1)
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert listening(f"tcp://{host}:{port}", insecure=False) == f"tcp://{host}:{port}"
    for host in ("*", "0.0.0.0", "[::]"):
        assert listening(f"tcp://{host}:{port}", insecure=True)
    assert listening("ipc:///tmp/x", insecure=False)


def test_neighboring_experiments_have_other_tokens():
    assert swarm_token(BASE) == swarm_token(BASE.replace(lr=0.5))
    others = [BASE, BASE.replace(name="b"), BASE.replace(seed=1), BASE.replace(nodes=4), BASE.replace(topology="star")]
    assert len({swarm_token(e) for e in others}) == len(others)


def test_where_nodes_are():
    ring = make_topology("ring", n=3)
    assert addresses(BASE.replace(port=5000), ring) == [f"tcp://127.0.0.1:{5000 + i}" for i in range(3)]
    listed = ("tcp://10.0.0.1:7000", "tcp://10.0.0.2:7000", "ipc:///tmp/x")
    assert addresses(BASE.replace(addresses=listed), ring) == list(listed)


def test_the_topology_may_say_where_nodes_are(tmp_path):
    def sites(*places):
        rows = [f"{name} address={place}" if place else name for name, place in zip("abc", places, strict=True)]
        (tmp_path / "sites.edges").write_text("\n".join([*rows, "a b", "b c"]) + "\n")
        return make_topology(str(tmp_path / "sites.edges"))

    places = ["tcp://10.0.0.1:7000", "tcp://10.0.0.2:7000", "tcp://10.0.0.3:7000"]
    assert addresses(BASE, sites(*places)) == places
    assert addresses(BASE.replace(addresses=tuple(places[::-1])), sites(*places)) == places[::-1]
    with pytest.raises(BadInput, match="has 2 addresses for 3 nodes, expected all or none"):
        addresses(BASE, sites(*places[:2], None))
    with pytest.raises(BadInput, match="an endpoint"):
        addresses(BASE, sites("here", *places[1:]))
