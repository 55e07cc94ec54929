import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.errors import BadInput
from gossipnet.report import THRESHOLDS, Metrics, Summary, rounds_to_accuracy

# The contract of summary.json, in its order.
KEYS = [
    *("nodes", "rounds", "world", "topology", "merge", "spectral_gap", "wall_s", "startup_s", "evaluation_s"),
    *("virtual_s", "node_updates", "node_updates_per_s", "mean_accuracy", "min_accuracy", "std_accuracy"),
    *("mean_model_accuracy", "evaluated_nodes", "consensus_distance", "bytes_sent", "bytes_per_node_round"),
    *("messages_sent", "messages_refused", "peak_rss_bytes_per_node", "rounds_to_accuracy", "digests", "left"),
]
SUMMARY = Summary(
    nodes=2,
    rounds=3,
    world="live",
    topology="ring",
    merge="average",
    mean_accuracy=0.5,
    bytes_sent=10,
    messages_refused={"bad-digest": 1},
    rounds_to_accuracy={"0.50": 2, "0.60": None},
    digests={"0": "ab"},
    left=(1,),
)


def evaluated(round_: int, node: int, accuracy: float | None) -> dict[str, Any]:
    return {"event": "evaluated", "round": round_, "node": node, "accuracy": accuracy}


def test_json_has_exactly_the_keys_in_order() -> None:
    assert list(json.loads(SUMMARY.to_json())) == KEYS


def test_it_comes_back_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(SUMMARY.to_json())
    assert Summary.from_file(tmp_path / "summary.json") == SUMMARY


def test_json_is_strict() -> None:
    text = dataclasses.replace(
        SUMMARY, mean_accuracy=math.nan, wall_s=np.float64(2.5), node_updates=np.int64(3)
    ).to_json()
    held = json.loads(text, parse_constant=lambda c: pytest.fail(f"{c} is no JSON"))
    assert (held["mean_accuracy"], held["wall_s"], held["node_updates"]) == (None, 2.5, 3)


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    held = json.loads(SUMMARY.to_json())
    del held[key]
    (tmp_path / "summary.json").write_text(json.dumps(held))
    with pytest.raises(BadInput, match=rf"summary\.json: no key '{key}'"):
        Summary.from_file(tmp_path / "summary.json")


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps({**json.loads(SUMMARY.to_json()), "extra": 1}))
    with pytest.raises(BadInput, match=r"summary\.json: unknown key 'extra'"):
        Summary.from_file(tmp_path / "summary.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("nodes", "8"),
        ("nodes", None),
        ("nodes", 1.5),
        ("nodes", True),
        ("mean_accuracy", "high"),
        ("left", 3),
        ("left", ["a"]),
        ("digests", []),
        ("rounds_to_accuracy", {"0.50": "soon"}),
        ("topology", 1),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, key: str, value: object) -> None:
    (tmp_path / "summary.json").write_text(json.dumps({**json.loads(SUMMARY.to_json()), key: value}))
    with pytest.raises(BadInput, match=rf"summary\.json: {key} cannot be"):
        Summary.from_file(tmp_path / "summary.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff"])
def test_what_is_no_summary_is_bad_input_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "summary.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match=r"summary\.json") as caught:
        Summary.from_file(tmp_path / "summary.json")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"summary\.json"):
        Summary.from_file(tmp_path / "summary.json")


def test_thresholds_are_of_the_mean_over_nodes() -> None:
    metrics = Metrics([evaluated(2, 0, 0.9), evaluated(2, 1, 0.5), evaluated(4, 0, 0.9), evaluated(4, 1, 0.7)])
    reached = rounds_to_accuracy(metrics)
    assert list(reached) == [f"{t:.2f}" for t in THRESHOLDS]
    assert (reached["0.70"], reached["0.80"], reached["0.85"]) == (2, 4, None)


def test_the_first_round_counts_though_the_accuracy_falls_again() -> None:
    reached = rounds_to_accuracy(Metrics([evaluated(r, 0, a) for r, a in ((6, 0.95), (2, 0.3), (4, 0.92), (8, 0.2))]))
    assert (reached["0.90"], reached["0.95"]) == (4, 6)


def test_a_node_that_is_evaluated_again_counts_with_the_later_figure() -> None:
    assert rounds_to_accuracy(Metrics([evaluated(1, 0, 0.9), evaluated(1, 0, 0.4)]))["0.50"] is None


def test_reports_without_accuracy_do_not_count() -> None:
    assert set(rounds_to_accuracy(Metrics([evaluated(1, 0, None)])).values()) == {None}
    assert rounds_to_accuracy(Metrics([evaluated(1, 0, None), evaluated(1, 1, 0.8)]))["0.80"] == 1


@settings(max_examples=60)
@given(st.lists(st.lists(st.integers(0, 100), min_size=3, max_size=3), min_size=1, max_size=8))
def test_it_agrees_with_exact_arithmetic(percents: list[list[int]]) -> None:
    records = [evaluated(r, i, p / 100) for r, row in enumerate(percents, 1) for i, p in enumerate(row)]
    for threshold, found in rounds_to_accuracy(Metrics(records)).items():
        needed = round(100 * float(threshold)) * 3
        assert found == next((r for r, row in enumerate(percents, 1) if sum(row) >= needed), None)
