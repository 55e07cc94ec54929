"""Times are found again in the reports of a run whose times are known; where there are none, that is said."""

import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_training import BLOBS

import gossipnet
from gossipnet import Experiment
from gossipnet.errors import BadInput
from gossipnet.report.metrics import Metrics
from gossipnet.sim.calibrate import calibrate, describe, experiment_like, transits

SMALL = Experiment(
    task=BLOBS, model="mlp", nodes=3, topology="path", rounds=5, local_steps=2, batch_size=8, quorum=0, evaluate_every=1
)
FAST = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def simulated(tmp_path_factory, **changes):
    experiment = SMALL.replace(**changes)
    result = gossipnet.run(experiment, "sim", tmp_path_factory.mktemp("run") / "run")
    return calibrate(result.metrics, experiment)


def as_live(folder, experiment=SMALL, **changes):
    """A run of known times that looks like one of `gossipnet swarm`."""
    result = gossipnet.run(experiment.replace(**changes), "sim", folder)
    file = folder / "summary.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"world": "live", "virtual_s": None}))
    return result


# --- what was set is found ----------------------------------------------------------------------------------------


@FAST
@given(
    step_s=st.lists(st.floats(0.01, 0.2), min_size=3, max_size=3),
    start_s=st.lists(st.floats(0.0, 0.3), min_size=2, max_size=2),
    merge_s=st.floats(0.0, 0.05),
    evaluate_s=st.floats(0.0, 0.3),
    latency_s=st.floats(0.001, 0.02),
    quorum=st.sampled_from([0, 1, "all"]),
)
def test_known_times_are_found_again(tmp_path_factory, step_s, start_s, merge_s, evaluate_s, latency_s, quorum):
    times = {"merge_s": merge_s, "evaluate_s": evaluate_s, "latency_s": latency_s}
    starts = (0.0, *start_s)
    found = simulated(tmp_path_factory, step_s=tuple(step_s), start_s=starts, quorum=quorum, **times)
    assert found["step_s"] == pytest.approx(step_s, rel=1e-3)
    assert found["compute_s"] == pytest.approx(np.median(step_s), rel=1e-3)
    assert found["start_s"] == (pytest.approx(starts, abs=2e-6) if any(round(s, 6) for s in start_s) else ())
    assert found["spread"] < 1e-3
    assert found["evaluate_s"] == pytest.approx(evaluate_s, abs=1e-5)
    assert found["merge_s"] == pytest.approx(merge_s, abs=1e-5)
    if "latency_s" in found:  # somebody merged something
        assert found["latency_s"] + found["jitter_s"] / 2 == pytest.approx(latency_s, abs=1e-5) or any(start_s)


def test_known_times_of_speeds_in_the_topologys_file_are_found_again(tmp_path_factory):
    file = tmp_path_factory.mktemp("ring") / "path.edges"
    file.write_text("0 speed=0.25\n1\n2\n0 1\n1 2\n")
    found = simulated(tmp_path_factory, topology=str(file), compute_s=0.1)
    assert found["step_s"] == pytest.approx([0.4, 0.1, 0.1])


@pytest.mark.parametrize("spread", [0.1, 0.4])
def test_a_known_spread_is_found_again(tmp_path_factory, spread):
    found = simulated(tmp_path_factory, spread=spread, step_s=(0.1, 0.2, 0.1), rounds=150, evaluate_every=50)
    assert found["spread"] == pytest.approx(spread, rel=0.2)
    assert found["step_s"] == pytest.approx([0.1, 0.2, 0.1], rel=4 * spread / np.sqrt(150))


def test_known_latency_and_jitter_are_found_again(tmp_path_factory):
    found = simulated(tmp_path_factory, latency_s=0.02, jitter_s=0.03, compute_s=0.1, spread=0.3, rounds=80)
    assert found["latency_s"] == pytest.approx(0.02, abs=0.004)
    assert found["jitter_s"] == pytest.approx(0.03, abs=0.008)
    assert "bandwidth_bytes_per_s" not in found


def test_a_known_bandwidth_is_found_again_where_models_are_fetched(tmp_path_factory):
    link = {"latency_s": 0.0002, "bandwidth_bytes_per_s": 1e6, "push_bytes": 0, "chunk_bytes": 4096}
    found = simulated(tmp_path_factory, compute_s=0.1, **link)
    assert found["bandwidth_bytes_per_s"] == pytest.approx(1e6, rel=0.1)
    assert found["latency_s"] == 0.0002
    fast = simulated(tmp_path_factory, compute_s=0.1, **link | {"bandwidth_bytes_per_s": 0.0})
    assert fast["bandwidth_bytes_per_s"] == 0.0 or fast["bandwidth_bytes_per_s"] > 1e8


def test_a_transit_is_from_the_senders_last_step_to_the_inbox():
    """Node 1 merges the first model of node 0 in its third round, 0.5 s after that came, 1 s after it was sent."""

    def merged(node, round, time_s, **numbers):
        common = {"event": "merged", "train_s": 1.0, "wait_s": 0.25, "merge_s": 0.5, "merged": 1}
        return {"time_s": time_s, "node": node, "round": round, **common, **numbers}

    lines = [merged(0, 1, 1.75), merged(1, 3, 3.0, held_s={"0": 0.5}, lag={"0": 2}), merged(1, 4, 9.0, held_s={"7": 1})]
    assert transits(Metrics(lines)).tolist() == [1.0]
    assert transits(Metrics(lines[:1])).size == 0


def test_times_without_any_model_on_its_way_leave_the_link_as_it_is(tmp_path_factory):
    found = simulated(tmp_path_factory, nodes=1, topology="complete")
    assert found.keys().isdisjoint({"latency_s", "jitter_s", "bandwidth_bytes_per_s"})
    assert found["merge_s"] == 0.0


# --- the experiment of a run ---------------------------------------------------------------------------------------


def test_a_run_like_itself_is_the_same_run(tmp_path):
    """Times that are found again lead to the same merges, of the same models; and its file needs no other."""
    times = {"step_s": (0.1, 0.17, 0.033), "start_s": (0.0, 0.05, 0.0), "merge_s": 0.003, "evaluate_s": 0.02}
    live = as_live(tmp_path / "live", **times, latency_s=0.011, speed="stragglers", churn="crashes")
    like = experiment_like(tmp_path / "live")
    assert (like.speed, like.churn) == ("", "")  # no live run has these
    for name, experiment in (("like", like), ("rerun", Experiment.from_toml(like.to_toml()))):
        found = gossipnet.run(experiment, "sim", tmp_path / name)
        assert found.summary.left == ()
        ends = [r.metrics.column("merged", "time_s") for r in (live, found)]
        assert ends[0] == pytest.approx(ends[1], abs=1e-4)
        assert found.summary.digests == live.summary.digests
    assert "a local step 33 to 170 ms, a merge 3 ms, an evaluation 20 ms" in describe(like)


def test_options_win(tmp_path):
    as_live(tmp_path / "live", step_s=(0.1, 0.2, 0.3), latency_s=0.011)
    like = experiment_like(tmp_path / "live", rounds=7, merge_s=1.0)
    assert (like.rounds, like.merge_s, like.seed) == (7, 1.0, SMALL.seed)
    assert like.step_s == pytest.approx((0.1, 0.2, 0.3))
    assert like.latency_s == pytest.approx(0.011)
    assert experiment_like(tmp_path / "live", speed="uniform").step_s == ()
    wide = experiment_like(tmp_path / "live", preset="wan")
    assert (wide.latency_s, wide.jitter_s, wide.preset) == ("preset", "preset", "wan")
    assert wide.step_s == like.step_s


def refused(folder, text, **given):
    with pytest.raises(BadInput, match=re.escape(text)) as error:
        experiment_like(folder, **given)
    assert "\n" not in str(error.value)


def test_what_is_no_finished_live_run_is_refused(tmp_path):
    refused(tmp_path / "nothing", "expected the folder that `gossipnet swarm` has written")
    gossipnet.run(SMALL, "sim", tmp_path / "sim")
    refused(tmp_path / "sim", "was simulated: expected one of `gossipnet swarm`")
    as_live(tmp_path / "live")
    refused(tmp_path / "live", "nodes: got 4, but the run in", nodes=4)
    file = tmp_path / "live" / "metrics.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(li for li in lines if '"node": 2' not in li) + "\n")
    refused(tmp_path / "live", "no training times (`train_s`) of node 2")
    file.write_text(re.sub(r'"train_s": [^,]*, ', "", "\n".join(lines)) + "\n")
    refused(tmp_path / "live", "no training times (`train_s`) of node 0")
    (tmp_path / "live" / "summary.json").unlink()
    refused(tmp_path / "live", "expected one that has finished")
    (tmp_path / "live" / "config.toml").write_text("[swarm]\nnods = 3\n")
    file.write_text("\n".join(lines) + "\n")
    (tmp_path / "live" / "summary.json").write_text(
        (tmp_path / "sim" / "summary.json").read_text().replace("sim", "live")
    )
    refused(tmp_path / "live", "did you mean 'swarm.nodes'")
