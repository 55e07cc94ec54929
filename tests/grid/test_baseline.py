"""Baselines against what they are said to be: gossip on the complete graph, one node alone, one big batch."""

import json

import numpy as np
import pytest
import torch

import gossipnet
from gossipnet.config import Experiment
from gossipnet.grid.baseline import exchange_s, mean_of, run_baseline
from gossipnet.grid.plan import BASELINES
from gossipnet.report import Metrics


@pytest.fixture
def experiment(desk):
    return Experiment(task=f"{desk}/points.py:points", nodes=4, rounds=3, local_steps=2, batch_size=8, evaluate_every=1)


def reports(folder, event, name):
    metrics = Metrics.from_file(folder / "metrics.jsonl")
    return metrics.column(event, name)


def run(kind, experiment, folder):
    folder.mkdir()
    return run_baseline(kind, experiment, folder)


@pytest.mark.parametrize("init", ["same", "own"])
def test_fedavg_is_gossip_on_the_complete_graph_with_uniform_weights(experiment, tmp_path, init):
    experiment = experiment.replace(init=init, topology="complete", mixing="uniform", merge="average")
    gossip = gossipnet.run(experiment, "sim", tmp_path / "gossip")
    summary = run("fedavg" if init == "same" else "fedavg-own", experiment, tmp_path / "fedavg")
    for name in ("loss", "accuracy"):
        mine, theirs = (np.sort(reports(tmp_path / n, "finished", name)) for n in ("fedavg", "gossip"))
        assert mine == pytest.approx(theirs, rel=1e-5)
    mine, theirs = (reports(tmp_path / n, "merged", "loss").sum() for n in ("fedavg", "gossip"))
    assert mine == pytest.approx(theirs, rel=1e-5)
    assert summary.consensus_distance == 0
    assert gossip.summary.consensus_distance < 1e-5
    assert len(set(summary.digests.values())) == 1


def test_fedavg_sends_a_model_up_and_takes_one_down(experiment, tmp_path):
    summary = run("fedavg", experiment, tmp_path / "fedavg")
    assert summary.bytes_per_node_round == 2 * 4 * (2 * 4 + 4 + 4 * 2 + 2)
    assert summary.virtual_s == pytest.approx(3 * (2 * experiment.compute_s + 2 * 0.001))


def test_its_models_travel_as_the_network_says():
    slow = Experiment(preset="wan", bandwidth_bytes_per_s=1000.0)
    assert exchange_s(slow, 500) == pytest.approx(2 * (0.04 + 0.5))


def test_isolated_is_every_node_alone(experiment, tmp_path):
    """One node of a swarm of one, with the same samples, does the same steps."""
    summary = run("isolated", experiment.replace(nodes=1), tmp_path / "alone")
    gossip = gossipnet.run(experiment.replace(nodes=1, topology="complete"), "sim", tmp_path / "sim")
    assert summary.digests == gossip.summary.digests
    several = run("isolated", experiment, tmp_path / "several")
    assert several.bytes_sent == 0
    assert len(set(several.digests.values())) == 4
    assert several.node_updates == 4 * 3 * 2


def test_centralized_takes_the_samples_of_all_in_as_many_steps(experiment, tmp_path):
    summary = run("centralized", experiment, tmp_path / "run")
    assert (summary.nodes, summary.rounds, summary.node_updates) == (1, 3, 6)
    alone = experiment.replace(nodes=1, batch_size=8 * 4, topology="complete")
    assert summary.digests == gossipnet.run(alone, "sim", tmp_path / "sim").summary.digests


@pytest.mark.parametrize("kind", BASELINES)
def test_every_baseline_leaves_a_run_folder_that_the_report_reads(experiment, tmp_path, kind):
    summary = run(kind, experiment, tmp_path / kind)
    assert summary.merge == kind
    assert {p.name for p in (tmp_path / kind).iterdir()} >= {"metrics.jsonl", "summary.json", "report.html"}
    assert json.loads((tmp_path / kind / "summary.json").read_text())["mean_accuracy"] == summary.mean_accuracy
    assert reports(tmp_path / kind, "evaluated", "accuracy").size == summary.evaluated_nodes * 3


def test_the_mean_is_exact_to_float32():
    vectors = [torch.full((3,), v) for v in (1e8, 1.0, -1e8)]
    assert mean_of(vectors).tolist() == pytest.approx([1 / 3] * 3)
