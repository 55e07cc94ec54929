"""Nodes as real processes do what the simulator does, to the bit."""

import pytest
import troubled
from live_swarm import Run, finished, free_ports

import gossipnet

BASE = gossipnet.Experiment(task="digits", nodes=4, rounds=4, local_steps=3, batch_size=16, init="own")


def live(experiment, folder):
    """As a real run that has ended well."""
    file = folder.with_suffix(".toml")
    file.write_text(experiment.replace(port=free_ports(experiment.nodes)).to_toml())
    return finished(folder, file)


CASES = {
    "average": {"merge": "average"},
    "variance-corrected": {"merge": "variance-corrected", "topology": "complete"},
    "sign-aligned": {"merge": "sign-aligned"},
    "directed": {"topology": "exponential", "nodes": 5},
    "schedule": {"topology": "one-peer-exponential"},
    "tcp and float16": {"codec": "float16", "merge": "average", "transport": "tcp"},
    "uneven": {"partition": "dirichlet:alpha=0.3", "topology": "star", "nodes": 6, "transport": "tcp"},
    "in chunks": {"push_bytes": 4096, "chunk_bytes": 8192, "transport": "tcp"},
    "alone": {"nodes": 1},
    "spawned": {"start": "spawn", "nodes": 2},
}
QUICK = ("schedule", "tcp and float16")


@pytest.mark.parametrize("case", [c if c in QUICK else pytest.param(c, marks=pytest.mark.slow) for c in CASES])
def test_both_worlds_end_with_the_same_bits(tmp_path, case):
    experiment = BASE.replace(**CASES[case])
    run = live(experiment, tmp_path / "live")
    assert run.digests == gossipnet.run(experiment, "sim", tmp_path / "sim").summary.digests
    assert len(run.digests) == experiment.nodes
    # no false alarm in an undisturbed run
    assert run.summary["messages_refused"] == {}
    assert run.summary["left"] == []
    assert not run.reports("refused")
    assert not run.reports("peer_down")


@pytest.mark.slow
def test_twice_the_same_seed_twice_the_same_bits(tmp_path):
    first, second, other = (live(BASE.replace(seed=seed), tmp_path / str(i)) for i, seed in enumerate((0, 0, 1)))
    assert first.digests == second.digests != other.digests


@pytest.mark.parametrize(
    "quorum", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
)
def test_free_running_nodes_learn(tmp_path, quorum):
    run = live(BASE.replace(quorum=quorum, rounds=30, local_steps=10, init="same", lr=0.1), tmp_path / "run")
    assert run.summary["left"] == []
    assert run.summary["mean_accuracy"] > 0.7
    merged = run.reports("merged")
    assert {(r["node"], r["round"]) for r in merged} == {(i, r) for i in range(4) for r in range(1, 31)}
    assert sum(r["merged"] for r in merged) > len(merged) // 2, "most rounds found a model to merge"


def test_a_node_does_not_load_what_it_does_not_need(tmp_path):
    """torch._dynamo is 2 s and 100 MB; torch.optim imports it at its first use."""
    task = f"{troubled.FILE}:tells_modules"
    with Run(tmp_path / "run", "--nodes", 2, "--rounds", 3, "--local-steps", 2, "--task", task) as run:
        assert run.wait() == 0, run.stderr
    for node in range(2):
        said = (run.folder / "nodes" / str(node) / "log.txt").read_text().split()
        assert len(said) >= 6
        assert set(said) == {"light"}
