"""The simulator against oracles: one node is plain SGD, a complete graph is SGD on one big batch; the same seed is the
same run to the byte; what fails or is interrupted ends in good order."""

import itertools
import json
import math
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from small_training import BLOBS, FAILING, RANDOM, TASK
from torch import nn

import gossipnet
from gossipnet import Experiment
from gossipnet.data import make_model
from gossipnet.errors import BadInput, RunFailed, RunInterrupted
from gossipnet.model import bind
from gossipnet.streams import SWARM, generator, seed_of
from gossipnet.training.batches import batches
from gossipnet.training.build import split
from gossipnet.training.measure import digest

SMALL = Experiment(task=BLOBS, model="mlp", nodes=4, rounds=3, local_steps=2, batch_size=8, lr=0.1)


def simulate(folder, experiment=SMALL, **changes):
    return gossipnet.run(experiment.replace(**changes), "sim", folder)


def lines(folder, event=None):
    found = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in found if event in (None, line["event"])]


def words_of(folder):
    return (folder / "report.html").read_text().replace("_", " ").lower()


def first_model(experiment=SMALL, stream=SWARM):
    torch.manual_seed(seed_of(experiment.seed, stream, "init"))
    module = make_model(experiment.model, TASK)
    return module, bind(module)


def descend(module, vector, indices, lr):
    """One step of SGD on those samples."""
    inputs, targets = TASK.train.batch(indices)
    module.zero_grad()
    nn.functional.cross_entropy(module(inputs), targets).backward()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(parameter.grad, alpha=-lr)


# --- oracles -------------------------------------------------------------------------------------------------------


def test_one_node_is_plain_sgd(tmp_path):
    summary = simulate(tmp_path / "run", nodes=1, topology="complete", rounds=5).summary
    module, vector = first_model()
    for chosen in itertools.islice(batches(np.arange(90), 8, generator(0, 0, "batches")), 10):
        descend(module, vector, chosen, 0.1)
    assert summary.digests == {"0": digest(vector)}
    assert summary.consensus_distance == 0
    assert (summary.bytes_sent, summary.messages_sent) == (0, 0)


@pytest.mark.parametrize("partition", ["iid", "shards:per_node=2"])
def test_a_complete_graph_is_sgd_on_one_big_batch(tmp_path, partition):
    """Each of 5 nodes steps once on all of its 18 samples, then all average: the gradient of all 90."""
    result = simulate(
        tmp_path / "run",
        nodes=5,
        topology="complete",
        merge="average",
        local_steps=1,
        batch_size=18,
        rounds=10,
        partition=partition,
    )
    module, vector = first_model()
    for _ in range(10):
        descend(module, vector, np.arange(90), 0.1)
    for node in range(5):
        found = torch.cat([p.detach().flatten() for p in result.model(node).parameters()])
        assert torch.allclose(found, vector, atol=1e-5)
    assert result.summary.consensus_distance < 1e-5


def test_a_merge_in_step_is_the_mixing_matrix(tmp_path):
    """Two rounds of a path, by hand: train all, then multiply by W."""
    experiment = SMALL.replace(nodes=3, topology="path", merge="average", rounds=2, init="own")
    summary = simulate(tmp_path / "run", experiment).summary
    parts = split(experiment, TASK)
    models = [first_model(experiment, node) for node in range(3)]
    orders = [batches(parts[node], 8, generator(0, node, "batches")) for node in range(3)]
    matrix = torch.tensor(gossipnet.make_topology("path", n=3).matrix(), dtype=torch.float32)
    for _ in range(2):
        for (module, vector), order in zip(models, orders, strict=True):
            for chosen in itertools.islice(order, 2):
                descend(module, vector, chosen, 0.1)
        merged = matrix @ torch.stack([vector for _, vector in models])
        for (_, vector), row in zip(models, merged, strict=True):
            vector.copy_(row)
    spread = torch.stack([vector for _, vector in models]).double()
    expected = (spread - spread.mean(0)).square().sum(1).mean().sqrt().item()
    assert summary.consensus_distance == pytest.approx(expected, rel=1e-4)
    found = gossipnet.load(tmp_path / "run", 1)
    assert torch.allclose(bind(found), models[1][1], atol=1e-5)


def test_time_is_what_steps_and_messages_take(tmp_path):
    result = simulate(tmp_path / "run", compute_s=0.5, latency_s=0.25)
    assert [line["time_s"] for line in lines(result.folder, "merged")] == [1.25] * 4 + [2.5] * 4 + [3.75] * 4
    assert result.summary.virtual_s == pytest.approx(3.75, abs=0.26)  # the last goodbye
    alone = simulate(tmp_path / "alone", nodes=1, compute_s=0.5).summary
    assert alone.virtual_s == 3.0


def test_merges_and_evaluations_take_their_time(tmp_path):
    times = {"compute_s": 0.5, "latency_s": 0.25, "merge_s": 0.125, "evaluate_s": 2.0}
    result = simulate(tmp_path / "run", evaluate_every=2, **times)
    merged, evaluated = (lines(result.folder, event) for event in ("merged", "evaluated"))
    assert [li["time_s"] for li in merged] == [1.375] * 4 + [2.75] * 4 + [6.125] * 4
    assert [li["time_s"] for li in evaluated] == [4.75] * 4 + [8.125] * 4
    assert {(li["train_s"], li["wait_s"], li["merge_s"]) for li in merged} == {(1.0, 0.25, 0.125)}
    assert merged[4]["held_s"] == {"1": 0.0, "3": 0.0}
    plain = simulate(tmp_path / "plain", evaluate_every=2).summary
    assert result.summary.digests == plain.digests


def test_each_node_takes_its_own_time_and_starts_at_its_own(tmp_path):
    """0 is there first and alone; 1 trains at half its speed."""
    times = {"nodes": 2, "topology": "path", "quorum": 0, "latency_s": 0.01, "evaluate_every": 1}
    result = simulate(tmp_path / "run", step_s=(0.25, 0.5), start_s=(0.0, 0.75), **times)
    merged = [(li["time_s"], li["node"], li["merged"]) for li in lines(result.folder, "merged")]
    assert merged == [(0.5, 0, 0), (1.0, 0, 0), (1.5, 0, 0), (1.75, 1, 1), (2.75, 1, 1), (3.75, 1, 1)]
    assert [li["time_s"] for li in lines(result.folder, "started")] == [0.0, 0.75]
    assert {li["time_s"] for li in lines(result.folder, "peer_up")} == {0.75}
    last = [li["held_s"]["0"] for li in lines(result.folder, "merged") if li["node"] == 1]
    assert last == pytest.approx([0.24, 1.24, 2.24])  # the last of 0's models came at 1.51


def test_a_time_limit_counts_from_the_last_start(tmp_path):
    times = {"rounds": 1000, "compute_s": 0.125, "quorum": 0, "nodes": 2, "topology": "path"}
    result = simulate(tmp_path / "run", seconds=1.0, start_s=(0.0, 2.0), **times)
    assert result.summary.virtual_s == pytest.approx(3.0, abs=0.01)
    assert result.summary.left == ()
    assert result.summary.node_updates == 24 + 8


def test_a_run_in_step_waits_for_who_starts_late(tmp_path):
    late = simulate(tmp_path / "late", start_s=(0.0, 0.5, 0.0, 0.0)).summary
    assert late.digests == simulate(tmp_path / "run").summary.digests
    assert late.virtual_s > 0.5


def test_what_is_sent_is_counted(tmp_path):
    summary = simulate(tmp_path / "run", rounds=10).summary
    size = 4 * bind(make_model("mlp", TASK)).numel()
    assert size < summary.bytes_per_node_round / 2 < 1.05 * size  # two neighbors; headers and goodbyes
    assert summary.bytes_sent == pytest.approx(summary.bytes_per_node_round * 40)
    assert summary.node_updates == 80


# --- the same seed -------------------------------------------------------------------------------------------------

RUN = """
import sys, gossipnet
for i, text in enumerate(sys.argv[2:]):
    gossipnet.run(gossipnet.Experiment.from_toml(text), "sim", f"{sys.argv[1]}/{i}")
"""


def test_the_same_seed_is_the_same_run_to_the_byte(tmp_path):
    """In this process, whose hash seed is random, and in two others; no wall time, path or pid is in the reports."""
    in_step = SMALL.replace(
        nodes=6, topology="regular:d=3", partition="dirichlet:alpha=0.5", init="own", validation=0.2
    )
    experiments = [in_step, in_step.replace(quorum=1, task=RANDOM)]
    others = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, str(tmp_path / seed), *(e.to_toml() for e in experiments)],
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        for seed in "01"
    ]
    here = [simulate(tmp_path / "here" / str(i), e) for i, e in enumerate(experiments)]
    assert [other.wait() for other in others] == [0, 0]
    for i, result in enumerate(here):
        for seed in "01":
            there = tmp_path / seed / str(i)
            assert (there / "metrics.jsonl").read_bytes() == (result.folder / "metrics.jsonl").read_bytes()
            assert json.loads((there / "summary.json").read_text())["digests"] == result.summary.digests


def test_another_seed_is_another_run(tmp_path):
    one, other = (set(simulate(tmp_path / str(seed), seed=seed).summary.digests.values()) for seed in (0, 1))
    assert not one & other


def test_a_run_leaves_random_numbers_and_threads_alone_and_they_it(tmp_path):
    """Even of a task that draws from every global generator."""
    torch.manual_seed(3), np.random.seed(3)
    expected = torch.rand(2).tolist(), np.random.rand()
    torch.manual_seed(3), np.random.seed(3)
    torch.set_num_threads(2)
    try:
        first = simulate(tmp_path / "a", task=RANDOM).summary
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert (torch.rand(2).tolist(), np.random.rand()) == expected
    assert simulate(tmp_path / "b", task=RANDOM).summary.digests == first.digests


# --- not in step ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("quorum", "latency_s"), [(0, 0.001), (0, 0.05), (1, 0.001), (1, 0.05)])
def test_without_waiting_for_all_every_node_does_its_rounds(tmp_path, quorum, latency_s):
    result = simulate(tmp_path / "run", rounds=8, quorum=quorum, latency_s=latency_s)
    assert result.summary.left == ()
    done = lines(result.folder, "merged")
    assert sorted((li["node"], li["round"]) for li in done) == [(n, r) for n in range(4) for r in range(1, 9)]
    assert max(li["merged"] for li in done) > 0
    if latency_s == 0.05 and quorum == 0:
        assert max(li["staleness"] for li in done) > 1
        assert min(li["merged"] for li in done) == 0


def test_links_have_the_latency_and_bandwidth_of_the_topologys_file(tmp_path):
    def seconds(attributes, rounds=10):
        file = tmp_path / "path.edges"
        file.write_text(f"0 1\n1 2\n2 3 {attributes}\n")
        out = tmp_path / (attributes or "none")
        return simulate(out, topology=str(file), rounds=rounds, compute_s=0.001).summary

    plain, slow = seconds(""), seconds("latency_s=0.5")
    assert slow.digests == plain.digests, "time decides nothing in step"
    assert slow.virtual_s - plain.virtual_s == pytest.approx(10 * 0.499, rel=0.2)
    model_bytes = plain.bytes_per_node_round / 1.5  # of a path of 4, a node has 1.5 neighbors
    narrow = seconds(f"bandwidth_bytes_per_s={2 * model_bytes}")
    assert narrow.virtual_s - plain.virtual_s == pytest.approx(5, rel=0.2)


def test_what_a_narrow_link_cannot_take_waits_its_turn(tmp_path):
    """Free-running nodes send faster than the link takes: their models queue up and lag, until the queue is full."""
    file = tmp_path / "pair.edges"
    file.write_text("0 1 bandwidth_bytes_per_s=100000\n")
    result = simulate(tmp_path / "run", topology=str(file), nodes=2, rounds=200, quorum=0, compute_s=0.01)
    wide = simulate(tmp_path / "wide", nodes=2, topology="path", rounds=200, quorum=0, compute_s=0.01).summary
    assert result.summary.bytes_sent < 0.8 * wide.bytes_sent
    lags = [line["staleness"] for line in lines(tmp_path / "run", "merged") if line["node"] == 0 and line["merged"]]
    assert lags[0] < lags[-1]


def test_half_the_bytes_are_as_good(tmp_path):
    whole, half = (simulate(tmp_path / codec, codec=codec, rounds=10).summary for codec in ("float32", "float16"))
    assert half.bytes_per_node_round == pytest.approx(whole.bytes_per_node_round / 2, rel=0.1)
    assert half.digests != whole.digests
    assert half.mean_accuracy == pytest.approx(whole.mean_accuracy, abs=0.05)
    assert half.consensus_distance == pytest.approx(whole.consensus_distance, rel=0.1)


# --- what fails ----------------------------------------------------------------------------------------------------


def holder():
    return next(node for node, part in enumerate(split(SMALL, TASK)) if 7 in part)


def test_a_failing_node_ends_the_run(tmp_path):
    with pytest.raises(RunFailed, match=f"node {holder()} failed: OSError: sample 7 is damaged") as failed:
        simulate(tmp_path / "run", task=FAILING, rounds=50)
    assert failed.value.summary.left == (holder(),)
    assert failed.value.summary.rounds < 50
    written = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert written["left"] == [holder()]
    assert (tmp_path / "run" / "report.html").exists()
    (line,) = lines(tmp_path / "run", "failed")
    assert "sample 7 is damaged" in line["error"]


@pytest.mark.parametrize("quorum", ["all", 0])
def test_the_others_go_on_without_it_where_they_may(tmp_path, quorum):
    result = simulate(tmp_path / "run", task=FAILING, rounds=12, on_failure="continue", quorum=quorum)
    others = set(range(4)) - {holder()}
    assert result.summary.left == (holder(),)
    assert result.summary.digests.keys() == set(map(str, others))
    assert {li["node"] for li in lines(result.folder, "merged") if li["round"] == 12} == others
    last = lines(result.folder, "consensus")[-1]
    assert (last["round"], last["nodes"]) == (12, 3)


def test_when_all_fail_the_run_has_failed(tmp_path):
    with pytest.raises(RunFailed, match="no longer finite") as failed:
        simulate(tmp_path / "run", lr=1e9, rounds=20, on_failure="continue")
    assert failed.value.summary.left == (0, 1, 2, 3)
    assert failed.value.summary.mean_accuracy is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "lenet5"}, "takes images"),
        ({"nodes": 91}, "90 samples cannot be split over 91 nodes"),
    ],
)
def test_bad_input_leaves_no_folder(tmp_path, changes, said):
    with pytest.raises(BadInput, match=said):
        simulate(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


class Interrupting:
    """A view that presses Ctrl-C when the first node has merged round 3."""

    def report(self, time_s, node, event, round, numbers):
        if (event, round, node) == ("merged", 3, 0):
            os.kill(os.getpid(), signal.SIGINT)

    def failure(self, node, error):
        raise AssertionError(error)


def test_an_interrupted_run_ends_in_good_order(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(RunInterrupted) as interrupted:
        gossipnet.run(SMALL.replace(rounds=1000), "sim", tmp_path / "run", view=Interrupting())
    assert signal.getsignal(signal.SIGINT) is before
    assert interrupted.value.summary.rounds in (3, 4)
    assert interrupted.value.summary.left == ()
    assert len(interrupted.value.summary.digests) == 4
    assert (tmp_path / "run" / "summary.json").exists()


# --- options of training -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quorum", ["all", 0])
def test_a_time_limit_ends_the_run_in_good_order(tmp_path, quorum):
    result = simulate(tmp_path / "run", rounds=1000, seconds=0.255, compute_s=0.01, evaluate_every=2, quorum=quorum)
    summary = result.summary
    assert summary.left == ()
    assert summary.virtual_s == pytest.approx(0.26, abs=0.005)
    assert summary.rounds == 12
    assert summary.node_updates == 4 * (26 if quorum == 0 else 25)  # a round of two steps takes 0.021 s in step
    assert summary.mean_accuracy is not None
    assert len(lines(result.folder, "finished")) == len(summary.digests) == 4


def test_a_time_limit_that_is_not_reached_changes_nothing(tmp_path):
    free, limited = simulate(tmp_path / "free"), simulate(tmp_path / "limited", seconds=100.0)
    assert limited.summary.digests == free.summary.digests
    assert limited.summary.virtual_s == free.summary.virtual_s


def test_a_schedule_is_spread_over_the_rounds(tmp_path):
    """A factor of 0 from round 2 on: what was learnt in round 1 is all."""
    once = simulate(tmp_path / "once", nodes=1, rounds=1).summary
    stopped = simulate(tmp_path / "stopped", nodes=1, rounds=5, schedule="step:every=1,factor=0").summary
    assert stopped.digests == once.digests
    assert simulate(tmp_path / "all", nodes=1, rounds=5).summary.digests != once.digests


def test_validation_is_reported_where_nodes_are_evaluated(tmp_path):
    result = simulate(tmp_path / "run", validation=0.25)
    found = lines(result.folder, "evaluated") + lines(result.folder, "finished")
    assert len(found) == 4 * 3 + 4
    assert all(0 <= li["validation_accuracy"] <= 1 and math.isfinite(li["validation_loss"]) for li in found)
    assert "validation accuracy" in words_of(result.folder)


def test_momentum_reset_by_merges_is_another_run(tmp_path):
    kept, reset = (
        simulate(tmp_path / policy, optimizer="sgd:momentum=0.9", after_merge=policy).summary.digests
        for policy in ("keep", "reset")
    )
    assert kept != reset


def test_regression_has_no_accuracy_anywhere(tmp_path):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 3))
    table = np.column_stack([features, features @ [1.0, -2.0, 0.5] + 3])
    np.savetxt(tmp_path / "houses.csv", table, delimiter=",", header="a,b,c,price", comments="")
    result = simulate(
        tmp_path / "run", task=f"table:path={tmp_path / 'houses.csv'},target=price", model="logistic", rounds=20
    )
    summary = result.summary
    assert (
        summary.mean_accuracy is summary.min_accuracy is summary.mean_model_accuracy is summary.evaluated_nodes is None
    )
    assert set(summary.rounds_to_accuracy.values()) == {None}
    finished = lines(result.folder, "finished")
    assert max(li["squared_error"] for li in finished) < 0.05
    assert {"loss", "squared_error", "absolute_error", "samples"} <= finished[0].keys()
    assert "test loss" in words_of(result.folder)
    assert "squared error" in words_of(result.folder)
