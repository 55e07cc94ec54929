import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gossipnet.errors import BadInput
from gossipnet.report import Metrics
from gossipnet.report.run import load_run, refusals, so_far

MakeRun = Callable[..., Path]
MERGED: dict[str, Any] = {"time_s": 1.0, "event": "merged"}


def refused(node: int, reason: str, count: int | None) -> dict[str, Any]:
    return {"event": "refused", "node": node, "reason": reason, "count": count}


def test_a_whole_folder(make_run: MakeRun) -> None:
    run = load_run(make_run("mine", nodes=4))
    assert (run.name, run.complete, run.notes) == ("mine", True, ())
    assert run.config["merge.rule"] == "variance-corrected"
    assert run.graph is not None
    assert run.split is not None
    assert run.graph.edges.shape == (4, 2)
    assert run.split.counts.shape == (4, 10)
    assert run.summary.mean_accuracy == pytest.approx(np.mean(list(run.final_accuracy.values())))


@pytest.mark.parametrize(
    "parts", ["metrics", "summary", "config metrics", "metrics topology", "config summary partition"]
)
def test_parts_may_be_missing(make_run: MakeRun, parts: str) -> None:
    run = load_run(make_run(parts=parts))
    assert run.complete == ("summary" in parts)
    assert run.notes == ()
    assert (run.graph is None) == ("topology" not in parts)


def test_no_folder_and_no_data_are_bad_input_in_one_line(make_run: MakeRun, tmp_path: Path) -> None:
    empty = make_run(parts="config topology")
    (empty / "metrics.jsonl").touch()
    grid = tmp_path / "grid"
    (grid / "cells").mkdir(parents=True)
    for folder, said in (
        (tmp_path / "nowhere", "no run folder"),
        (empty, "no data"),
        (empty / "config.toml", "no run folder"),
        (grid, "is a grid of `gossipnet bench`"),
    ):
        with pytest.raises(BadInput, match=said) as caught:
            load_run(folder)
        assert "\n" not in str(caught.value)


def test_a_broken_report_is_bad_input(make_run: MakeRun) -> None:
    folder = make_run()
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"torn\n{"event": "late"}\n')
    with pytest.raises(BadInput, match=r"metrics\.jsonl: line \d+"):
        load_run(folder)


@pytest.mark.parametrize("name", ["summary.json", "topology.json", "partition.json", "config.toml"])
@pytest.mark.parametrize("text", ["", "{", "[]", '{"n": 1e99}', '{"n": 2, "edges": [[0, 9]]}', "\x00", "[" * 50_000])
def test_a_damaged_part_is_a_note_and_not_the_end(make_run: MakeRun, name: str, text: str) -> None:
    folder = make_run()
    (folder / name).write_text(text)
    run = load_run(folder)
    if name != "config.toml" or run.notes:  # an empty TOML file is a valid one
        assert [n.partition(" ")[0] for n in run.notes] == [name]
        assert "\n" not in run.notes[0]


@pytest.mark.parametrize(
    "held",
    [
        {"n": 0, "edges": []},
        {"n": 2, "edges": [[0, 2]]},
        {"n": 2, "edges": [[-1, 0]]},
        {"n": 2, "labels": ["a"], "edges": []},
        {"n": 10**9, "labels": ["a"], "edges": []},
        {"n": 2, "edges": [["a", "b"]]},
        {"n": 2, "edges": [[0]]},
    ],
)
def test_a_graph_that_does_not_fit_is_a_note(make_run: MakeRun, held: dict[str, Any]) -> None:
    folder = make_run()
    (folder / "topology.json").write_text(json.dumps(held))
    run = load_run(folder)
    assert run.graph is None
    assert len(run.notes) == 1


@pytest.mark.parametrize(
    "held",
    [{"classes": ["a"], "counts": []}, {"classes": ["a"], "counts": [[1, 2]]}, {"classes": ["a"], "counts": [[-1]]}],
)
def test_a_split_that_does_not_fit_is_a_note(make_run: MakeRun, held: dict[str, Any]) -> None:
    folder = make_run()
    (folder / "partition.json").write_text(json.dumps(held))
    run = load_run(folder)
    assert run.split is None
    assert len(run.notes) == 1


def test_what_a_run_came_to_so_far(make_run: MakeRun) -> None:
    whole, going = load_run(make_run("a")), load_run(make_run("b", parts="config metrics"))
    now, then = going.summary, whole.summary
    assert (now.nodes, now.rounds, now.merge, now.topology) == (then.nodes, then.rounds, then.merge, then.topology)
    assert now.bytes_sent == then.bytes_sent
    assert now.bytes_per_node_round == then.bytes_per_node_round
    assert now.rounds_to_accuracy == then.rounds_to_accuracy
    assert now.wall_s is None


def test_final_accuracy_prefers_the_end_to_the_latest_evaluation() -> None:
    records = [
        {"event": "finished", "node": 0, "round": 4, "accuracy": 0.8},
        {"event": "evaluated", "node": 0, "round": 4, "accuracy": 0.7},
        {"event": "evaluated", "node": 1, "round": 2, "accuracy": 0.4},
        {"event": "evaluated", "node": 1, "round": 4, "accuracy": 0.5},
        {"event": "evaluated", "node": 2, "round": 4, "accuracy": None},
    ]
    metrics = Metrics(records)
    from gossipnet.report.run import Run

    summary = so_far(metrics, {})
    assert Run(Path(), "r", metrics, summary, False).final_accuracy == {0: 0.8, 1: 0.5}
    left = dataclasses.replace(summary, left=(1,))
    assert Run(Path(), "r", metrics, left, True).final_accuracy == {0: 0.8}, "a node that left has no final accuracy"


def test_running_counts_of_refusals_are_summed_over_nodes() -> None:
    records = [
        refused(0, "bad-digest", 1),
        refused(0, "bad-digest", 5),
        refused(1, "bad-digest", 2),
        refused(1, "too-old", None),
    ]
    assert refusals(Metrics(records)) == {"bad-digest": 7, "too-old": 0}


def test_settings_are_text_in_one_line(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "config.toml").write_text('top = 1\n[exchange]\nport = 21000\naddresses = ["a", "b"]\nname = "x\\ny"\n')
    assert load_run(folder).config == {
        "exchange.port": "21000",
        "exchange.addresses": '["a", "b"]',
        "exchange.name": "x y",
    }
