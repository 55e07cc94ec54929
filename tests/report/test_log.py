"""The log of a run: lines while it goes on, consensus once a round is complete, and the summary in the end."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gossipnet.report.log import NodeResult, RunLog, Sample, Spread, Times, summarize
from gossipnet.report.metrics import Metrics
from gossipnet.report.summary import Summary

FIXED = {"nodes": 3, "rounds": 5, "world": "sim", "topology": "ring", "merge": "average", "spectral_gap": 0.5}


def spread_of(vectors):
    spread = Spread()
    for vector in vectors:
        spread.add(vector)
    return spread


def oracle(vectors):
    exact = np.asarray(vectors, dtype=np.float64)
    return math.sqrt(np.square(exact - exact.mean(0)).sum(1).mean())


VECTORS = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 6), st.integers(1, 20)), elements=st.floats(-1000, 1000, width=32)
)


# --- Spread --------------------------------------------------------------------------------------------------------


@given(vectors=VECTORS)
def test_the_spread_is_that_of_numpy(vectors):
    spread = spread_of(vectors)
    assert spread.n == len(vectors)
    assert spread.distance() == pytest.approx(oracle(vectors), rel=1e-9, abs=1e-4)
    assert np.allclose(spread.mean(), vectors.astype(np.float64).mean(0), atol=1e-9)


@pytest.mark.parametrize("noise", [1e-2, 1e-4, 1e-6])
def test_near_consensus_nothing_cancels(noise):
    """Vectors of length 1e5 that differ by so little: a mean of squares less a squared mean would be rounding."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=1000) * 3000
    vectors = [(common + noise * rng.normal(size=1000)).astype(np.float32) for _ in range(8)]
    assert spread_of(vectors).distance() == pytest.approx(oracle(vectors), rel=1e-9)


def test_equal_vectors_have_no_distance_and_no_vectors_no_figure():
    vector = np.random.default_rng(0).normal(size=100).astype(np.float32)
    assert spread_of([vector] * 5).distance() == 0.0
    assert math.isnan(Spread().distance())


def test_the_vectors_are_read_not_kept():
    vectors = np.random.default_rng(0).normal(size=(3, 10)).astype(np.float32)
    spread, one = Spread(), np.empty(10, dtype=np.float32)
    for vector in vectors:
        one[:] = vector
        spread.add(one)
    assert spread.distance() == pytest.approx(oracle(vectors))


# --- RunLog --------------------------------------------------------------------------------------------------------


def lines(folder, event=None):
    found = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in found if event in (None, line["event"])]


def sample(*values, scale=1.0, **variances):
    return Sample(np.array(values, dtype=np.float32), scale, variances)


def test_a_line_has_the_common_keys_first_and_is_there_at_once(tmp_path):
    log = RunLog(tmp_path, [0])
    log.write(1.23456789, 0, "merged", 3, {"loss": 0.5, "age": 7})
    assert lines(tmp_path) == [{"time_s": 1.234568, "node": 0, "event": "merged", "round": 3, "loss": 0.5, "age": 7}]


def test_consensus_once_all_have_handed_in(tmp_path):
    log = RunLog(tmp_path, [0, 1])
    for node in (0, 1):
        log.measure(0.0, node, 0, sample(0, 0, a=2.0 + node, b=0.0))
    log.measure(1.0, 0, 2, sample(1, 0, a=1.0, b=1.0))
    assert lines(tmp_path) == []
    log.measure(2.0, 1, 2, sample(0, 1, a=4.0, b=1.0))
    (line,) = lines(tmp_path)
    assert line == {
        "time_s": 2.0,
        "node": None,
        "event": "consensus",
        "round": 2,
        "consensus_distance": pytest.approx(math.sqrt(0.5)),
        "nodes": 2,
        "variance_ratios": {"a": pytest.approx(1.0)},  # b was constant at the start: no ratio
    }


def test_a_sampled_vector_stands_for_the_whole(tmp_path):
    log = RunLog(tmp_path, [0, 1])
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(2, 4000)).astype(np.float32)
    for node in (0, 1):
        log.measure(0.0, node, 1, Sample(whole[node, ::4], 4.0, {}))
    assert lines(tmp_path)[0]["consensus_distance"] == pytest.approx(oracle(whole), rel=0.05)


def test_rounds_are_kept_apart_for_nodes_that_run_freely(tmp_path):
    log = RunLog(tmp_path, [0, 1])
    for round in (1, 2, 3):
        log.measure(float(round), 0, round, sample(0))
    for round in (1, 2):
        log.measure(10.0 + round, 1, round, sample(round))
    found = lines(tmp_path, "consensus")
    assert [(line["round"], line["time_s"], line["consensus_distance"]) for line in found] == [(1, 11, 0.5), (2, 12, 1)]


def test_a_node_that_leaves_is_not_waited_for(tmp_path):
    log = RunLog(tmp_path, [0, 1, 2])
    log.measure(1.0, 0, 1, sample(0))
    log.measure(1.0, 1, 1, sample(2))
    log.measure(2.0, 1, 2, sample(5))
    log.forget(3.0, 2)
    log.measure(4.0, 0, 2, sample(5))
    found = lines(tmp_path)
    assert [(li["round"], li["time_s"], li["nodes"], li["consensus_distance"]) for li in found] == [
        (1, 3.0, 2, 1.0),
        (2, 4.0, 2, 0.0),
    ]


def test_what_a_node_handed_in_before_it_left_counts_but_completes_no_round(tmp_path):
    """Node 1 is gone; the round is complete only with both of the others, and is then written once."""
    log = RunLog(tmp_path, [0, 1, 2])
    log.measure(1.0, 1, 1, sample(0))
    log.forget(2.0, 1)
    log.measure(3.0, 0, 1, sample(0))
    assert lines(tmp_path) == []
    log.measure(4.0, 2, 1, sample(3))
    log.measure(5.0, 1, 1, sample(9))  # too late: it has left
    (line,) = lines(tmp_path)
    assert (line["nodes"], line["time_s"]) == (3, 4.0)
    assert line["consensus_distance"] == pytest.approx(math.sqrt(2))


def test_nodes_that_hand_in_nothing_are_not_waited_for(tmp_path):
    log = RunLog(tmp_path, [4])
    log.measure(1.0, 7, 1, sample(3))
    assert lines(tmp_path) == []
    log.measure(1.0, 4, 1, sample(3))
    assert lines(tmp_path)[0]["nodes"] == 1


def test_the_end_leaves_the_summary_and_the_page(tmp_path):
    log = RunLog(tmp_path, [0])
    log.write_topology({"name": "ring", "n": 1, "labels": ["0"], "edges": [], "directed": False, "spectral_gap": 1.0})
    log.write_partition({"classes": [0, 1], "counts": [[3, 4]]})
    log.write(0.5, 0, "merged", 1, {"loss": 1.0})
    log.write(0.5, 0, "evaluated", 1, {"accuracy": 0.55, "loss": 1.0})
    given = log.close(FIXED | {"nodes": 1}, [NodeResult(node=0, accuracy=0.55)], Times(), None, None)
    assert Summary.from_file(tmp_path / "summary.json") == given
    assert given.rounds_to_accuracy["0.50"] == 1
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert json.loads((tmp_path / "partition.json").read_text()) == {"classes": [0, 1], "counts": [[3, 4]]}


# --- summarize -----------------------------------------------------------------------------------------------------


def merged(*rounds_of_nodes):
    return Metrics({"event": "merged", "node": n, "round": r} for n, r in rounds_of_nodes)


def summary_of(results, metrics=None, times=None, **fixed):
    return summarize(
        FIXED | fixed, results, times or Times(), merged((0, 1)) if metrics is None else metrics, 0.25, 0.75
    )


def test_means_are_over_the_nodes_that_finished():
    results = [
        NodeResult(node=0, accuracy=0.5, digest="aa", steps=10, bytes_sent=100, messages_sent=3, peak_rss_bytes=10.0),
        NodeResult(node=1, accuracy=0.7, digest="bb", steps=10, bytes_sent=50, messages_sent=2, peak_rss_bytes=20.0),
        NodeResult(node=2, error="boom", accuracy=0.1, digest="cc", steps=4, bytes_sent=10, peak_rss_bytes=90.0),
    ]
    found = summary_of(results, merged((0, 1), (0, 2), (1, 1), (1, 2)))
    assert found.mean_accuracy == pytest.approx(0.6)
    assert (found.min_accuracy, found.std_accuracy) == (0.5, pytest.approx(0.1))
    assert (found.evaluated_nodes, found.left, found.digests) == (2, (2,), {"0": "aa", "1": "bb"})
    assert found.peak_rss_bytes_per_node == 15.0
    # what was done and sent counts, whoever did it
    assert (found.node_updates, found.bytes_sent, found.messages_sent) == (24, 160, 5)
    assert (found.consensus_distance, found.mean_model_accuracy) == (0.25, 0.75)


def test_refusals_are_summed_by_reason():
    results = [NodeResult(node=0, refused={"stale": 2, "flood": 1}), NodeResult(node=1, refused={"stale": 3})]
    assert summary_of(results).messages_refused == {"flood": 1, "stale": 5}


def test_the_rounds_are_those_that_were_done():
    results = [NodeResult(node=n, bytes_sent=600) for n in range(3)]
    assert summary_of(results, merged(*((n, r) for n in range(3) for r in range(1, 6)))).rounds == 5
    early = summary_of(results, merged((0, 1), (0, 2), (1, 1)))
    assert (early.rounds, early.bytes_per_node_round) == (2, 600.0)
    none = summary_of(results, Metrics([]))
    assert (none.rounds, none.bytes_per_node_round) == (0, None)


def test_speed_is_of_the_time_that_is_spent_training():
    times = Times(wall_s=10.0, startup_s=3.0, evaluation_s=2.0)
    assert summary_of([NodeResult(node=0, steps=50)], times=times).node_updates_per_s == 10.0
    assert summary_of([NodeResult(node=0, steps=50)]).node_updates_per_s is None


def test_what_does_not_apply_is_null():
    found = summary_of([NodeResult(node=0), NodeResult(node=1)])
    for name in ("mean_accuracy", "min_accuracy", "std_accuracy", "wall_s", "virtual_s", "evaluated_nodes"):
        assert getattr(found, name) is None
    assert set(found.rounds_to_accuracy.values()) == {None}
    assert summary_of([NodeResult(node=0, error="boom")]).mean_accuracy is None


@given(accuracies=st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_the_figures_of_accuracy_are_numpys(accuracies):
    found = summary_of([NodeResult(node=i, accuracy=a) for i, a in enumerate(accuracies)])
    assert found.mean_accuracy == pytest.approx(np.mean(accuracies))
    assert found.min_accuracy == min(accuracies)
    assert found.std_accuracy == pytest.approx(np.std(accuracies), abs=1e-9)
