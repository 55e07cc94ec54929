"""The options of training do the same in real processes as in the simulator, and a time limit ends both in order."""

import json
import time

import numpy as np
import pytest
from small_training import BLOBS, RANDOM

import gossipnet
from gossipnet import Experiment
from gossipnet.report import summary_table

SMALL = Experiment(task=BLOBS, model="mlp", nodes=3, rounds=4, local_steps=3, batch_size=8, lr=0.1)


def in_both(experiment, tmp_path):
    return [gossipnet.run(experiment, world, tmp_path / world) for world in ("live", "sim")]


def lines(result, event):
    found = map(json.loads, (result.folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in found if line["event"] == event]


def test_schedules_validation_and_resets_agree_to_the_bit(tmp_path):
    experiment = SMALL.replace(
        optimizer="sgd:momentum=0.9,weight_decay=0.001",
        schedule="warmup-cosine:warmup=0.5",
        after_merge="reset",
        validation=0.2,
        init="own",
    )
    live, sim = in_both(experiment, tmp_path)
    assert live.summary.digests == sim.summary.digests

    def figures(result):
        return sorted((li["node"], li["round"], li["validation_loss"]) for li in lines(result, "evaluated"))

    assert figures(live) == figures(sim)


def test_regression_ends_without_an_accuracy(tmp_path):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 8))  # as many as of a district in California
    table = np.column_stack([features, features @ rng.normal(size=8) + 2])
    np.savetxt(tmp_path / "houses.csv", table, delimiter=",", header="a,b,c,d,e,f,g,h,value", comments="")
    live, sim = in_both(SMALL.replace(task=f"table:path={tmp_path / 'houses.csv'},target=value", rounds=10), tmp_path)
    assert live.summary.digests == sim.summary.digests
    for result in (live, sim):
        written = json.loads((result.folder / "summary.json").read_text())
        for name in ("mean_accuracy", "min_accuracy", "std_accuracy", "mean_model_accuracy", "evaluated_nodes"):
            assert written[name] is None
        assert "accuracy" not in summary_table(result.summary)
        assert max(li["squared_error"] for li in lines(result, "finished")) < 2
        assert "Test loss" in (result.folder / "report.html").read_text()


@pytest.mark.parametrize("quorum", ["all", pytest.param(0, marks=pytest.mark.slow)])
def test_a_time_limit_ends_a_swarm_in_good_order(tmp_path, quorum):
    begun = time.monotonic()
    experiment = SMALL.replace(rounds=10**6, seconds=1.0, evaluate_every=10, quorum=quorum)
    result = gossipnet.run(experiment, "live", tmp_path / "run")
    summary = result.summary
    assert summary.left == ()
    assert len(summary.digests) == len(lines(result, "finished")) == 3
    assert 1 <= summary.rounds < 10**6
    assert summary.mean_accuracy is not None
    assert 1.0 <= summary.wall_s - summary.startup_s < 1.0 + 0.5 * (time.monotonic() - begun)


@pytest.mark.slow
def test_data_that_draws_random_numbers_is_the_same_in_every_run(tmp_path):
    runs = [gossipnet.run(SMALL.replace(task=RANDOM), "live", tmp_path / name).summary for name in "ab"]
    assert runs[0].digests == runs[1].digests
