from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gossipnet.report.findings import findings
from gossipnet.report.run import load_run

MakeRun = Callable[..., Path]
FAILED: dict[str, Any] = {"event": "failed", "node": 3, "round": 9, "time_s": 9, "error": "RuntimeError: no\nmemory"}
MERGED: dict[str, Any] = {"event": "merged", "node": 0, "round": 1, "time_s": 1.0, "loss": 1.0, "neighbors_up": 2}


def found(folder: Path) -> str:
    return " | ".join(findings(load_run(folder)))


def test_a_good_run_has_none(make_run: MakeRun) -> None:
    assert findings(load_run(make_run())) == []


def test_a_run_without_summary_says_how_far_it_came(make_run: MakeRun) -> None:
    said = found(make_run(parts="config metrics", records=[MERGED, {**MERGED, "round": 7, "time_s": 5.5}]))
    assert "up to round 7 of 20, 5.50 s" in said


def test_failures_name_node_round_and_error(make_run: MakeRun) -> None:
    said = found(make_run(records=[MERGED, FAILED], other={"left": (3, 5)}))
    assert "Node 3 failed in round 9: RuntimeError: no\nmemory" in said
    assert "Nodes 3, 5 did not finish" in said


def test_many_failures_are_counted(make_run: MakeRun) -> None:
    said = found(make_run(records=[{**FAILED, "node": i} for i in range(20)], other={"left": tuple(range(20))}))
    assert said.count(" failed in round") == 5
    assert "15 more failures" in said
    assert "Nodes 0, 1, 2, 3, 4, 5, 6, 7 and 12 more did not finish" in said


def test_a_loss_that_is_no_number(make_run: MakeRun) -> None:
    said = found(make_run(records=[MERGED, {**MERGED, "node": 4, "loss": float("nan")}]))
    assert "Node 4: the training loss was no finite number in 1 of 2 rounds" in said


def test_nodes_that_ended_alone(make_run: MakeRun) -> None:
    records = [
        {**MERGED, "node": 1, "neighbors_up": 0},
        MERGED,
        {**MERGED, "neighbors_up": 0, "round": 2},
        {**MERGED, "node": 1},
    ]
    assert "Node 0 ended with no neighbor up" in found(make_run("two", records=records))
    assert "no neighbor up" not in found(make_run("one", records=[{**MERGED, "neighbors_up": 0}]))


@pytest.mark.parametrize(("merge", "tip"), [("average", True), ("average:self=0.5", True), ("sign-aligned", False)])
def test_lost_variance_and_what_to_try(make_run: MakeRun, merge: str, tip: bool) -> None:
    said = found(make_run(merge=merge, kept=0.05))
    assert "The weights lost variance" in said
    assert ("Try --merge variance-corrected" in said) == tip


def test_a_node_far_below_the_mean(make_run: MakeRun) -> None:
    records = [{"event": "finished", "node": i, "round": 20, "accuracy": 0.3 if i == 6 else 0.9} for i in range(8)]
    assert "Node 6 is 52 points below the mean accuracy" in found(make_run(records=records))


def test_a_mean_model_that_is_no_better_than_its_nodes(make_run: MakeRun) -> None:
    assert "they have not agreed" in found(make_run(other={"mean_model_accuracy": 0.2}))


def test_refused_messages(make_run: MakeRun) -> None:
    assert "4 messages were refused, most often for bad-digest" in found(
        make_run(other={"messages_refused": {"too-old": 1, "bad-digest": 3}})
    )
    assert "1 message was refused" in found(make_run("b", other={"messages_refused": {"too-old": 1}}))


def test_files_that_cannot_be_used_come_first(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "topology.json").write_text("{")
    assert findings(load_run(folder))[0].startswith("topology.json cannot be used")


def test_a_device_that_was_full_is_named(make_run: MakeRun) -> None:
    records = [{**MERGED, "node": node, "device_full": 1} for node in (2, 2, 5)]
    said = found(make_run(records=[MERGED, *records]))
    assert "Nodes 2, 5: the device was out of memory in 3 of 4 merges, which the CPU did instead." in said
