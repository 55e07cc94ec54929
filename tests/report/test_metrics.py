import csv
import json
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.errors import BadInput
from gossipnet.report import Metrics, Recorder
from gossipnet.report.metrics import plain

LINE = {"time_s": 1.5, "node": 0, "event": "merged", "round": 1, "loss": 0.5}


def recorded(path: Path, *records: dict[str, object]) -> Path:
    with Recorder(path) as recorder:
        for record in records:
            recorder.write(record)
    return path


def test_each_line_is_there_as_soon_as_it_is_written(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "m.jsonl")
    recorder.write(LINE)
    assert json.loads((tmp_path / "m.jsonl").read_text()) == LINE
    recorder.close()


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    path = recorded(tmp_path / "m.jsonl", {**LINE, "loss": math.nan, "deep": {"w": math.inf, "list": [-math.inf]}})
    held = json.loads(path.read_text(), parse_constant=lambda c: pytest.fail(f"{c} is no JSON"))
    assert held["loss"] is None
    assert held["deep"] == {"w": None, "list": [None]}


def test_numpy_scalars_are_plain_numbers(tmp_path: Path) -> None:
    path = recorded(
        tmp_path / "m.jsonl", {**LINE, "loss": np.float32(0.5), "node": np.int64(3), "age": np.float64("nan")}
    )
    assert json.loads(path.read_text()) == {**LINE, "node": 3, "age": None}


@settings(max_examples=50)
@given(st.lists(st.floats(), min_size=1, max_size=20))
def test_numbers_come_back_as_they_went(values: list[float]) -> None:
    metrics = Metrics([{**LINE, "loss": v} for v in values])
    expected = [v if math.isfinite(v) else math.nan for v in values]
    np.testing.assert_array_equal(metrics.column("merged", "loss"), expected)


def test_a_column_of_each_neighbor_takes_no_more_than_its_numbers() -> None:
    """Padded to all reports, those of 2,000 nodes would take 16 MB, and 25 times as much with 10,000."""
    tracemalloc.start()
    metrics = Metrics({**LINE, "node": i, "held_s": {str(i): 0.5}} for i in range(2000))
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert taken < 4_000_000
    expected = np.full(2000, np.nan)
    expected[1234] = 0.5
    np.testing.assert_array_equal(metrics.column("merged", "held_s/1234"), expected)


def test_a_torn_last_line_is_ignored_wherever_it_is_cut(tmp_path: Path) -> None:
    path = recorded(tmp_path / "m.jsonl", LINE, {**LINE, "event": "failed", "error": "dé"})
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole) - 1):
        path.write_bytes(whole[:cut])
        # Cut right behind its last brace, a line is whole.
        assert len(Metrics.from_file(path)) == (2 if whole[:cut].endswith(b"}") else 1)


@pytest.mark.parametrize(
    "broken", ['{"time_s": 1', "[1]", "nonsense", '{"time_s": 1}', '{"event": 5}', "[" * 100_000, "\x00\x00"]
)
def test_a_broken_line_in_the_middle_is_an_error_with_its_number(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(f"{json.dumps(LINE)}\n{broken}\n{json.dumps(LINE)}\n")
    with pytest.raises(BadInput, match=r"m\.jsonl: line 2 ") as caught:
        Metrics.from_file(path)
    assert "\n" not in str(caught.value)


def test_a_recorder_cuts_off_a_torn_line_before_it_appends(tmp_path: Path) -> None:
    path = recorded(tmp_path / "m.jsonl", LINE)
    with path.open("ab") as file:
        file.write(b'{"time_s": 2, "no')
    recorded(path, {**LINE, "round": 2})
    assert Metrics.from_file(path).column("merged", "round").tolist() == [1, 2]


def test_columns_are_aligned_though_reports_differ() -> None:
    metrics = Metrics(
        [LINE, {**LINE, "age": 20}, {**LINE, "event": "failed", "error": "x"}, LINE, {**LINE, "age": None}]
    )
    np.testing.assert_array_equal(metrics.column("merged", "age"), [math.nan, 20, math.nan, math.nan])
    assert metrics.text("failed", "error") == ["x"]
    assert metrics.text("merged", "error") == ["", "", "", ""]
    assert metrics.names("merged") == ["loss", "age"]


def test_nested_numbers_are_columns_of_their_own() -> None:
    metrics = Metrics([{"event": "consensus", "round": 1, "variance_ratios": {"0.weight": 0.5, "1.weight": None}}])
    assert metrics.names("consensus") == ["variance_ratios/0.weight", "variance_ratios/1.weight"]
    assert metrics.column("consensus", "variance_ratios/0.weight").tolist() == [0.5]


def test_what_no_report_has_is_empty_or_nan() -> None:
    assert Metrics([]).column("merged", "loss").size == 0
    assert Metrics([]).last_round == 0
    assert np.isnan(Metrics([LINE]).column("merged", "nothing")).all()


def test_nodes_rounds_and_time() -> None:
    metrics = Metrics(
        [LINE, {**LINE, "node": 7, "round": 3}, {**LINE, "node": None, "event": "consensus", "time_s": 9.0}]
    )
    assert (metrics.nodes, metrics.last_round, metrics.last_time_s) == ([0, 7], 3, 9.0)
    assert (len(metrics), metrics.events) == (3, ["consensus", "merged"])


def test_numbers_that_no_float_holds_are_nan() -> None:
    metrics = Metrics([{**LINE, "loss": 10**400, "age": [1]}])
    assert np.isnan(metrics.column("merged", "loss")).all()


def test_csv_has_all_reports_in_their_order(tmp_path: Path) -> None:
    records = [
        LINE,
        {**LINE, "event": "failed", "error": 'a, "b"\n\ud800', "loss": None},
        {**LINE, "node": 1, "loss": 0.1},
    ]
    Metrics(records).to_csv(tmp_path / "m.csv")
    with (tmp_path / "m.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["event"], r["node"], r["loss"]) for r in rows] == [
        ("merged", "0", "0.5"),
        ("failed", "0", ""),
        ("merged", "1", "0.10000000000000001"),
    ]
    assert rows[1]["error"] == 'a, "b"\n?'


def test_a_missing_file_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nothing\.jsonl"):
        Metrics.from_file(tmp_path / "nothing.jsonl")


NUMBERS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.floats(width=32).map(np.float32)
    | st.floats().map(np.float64)
    | st.integers(0, 9).map(np.int64)
    | st.floats(width=32).map(torch.tensor)
)


@given(st.dictionaries(st.text(), NUMBERS | st.lists(NUMBERS) | st.dictionaries(st.integers(), NUMBERS)))
def test_a_line_is_the_strict_json_of_plain_numbers(tmp_path_factory, record):
    path = tmp_path_factory.mktemp("lines") / "metrics.jsonl"
    with Recorder(path) as recorder:
        recorder.write(record)
    assert path.read_text() == json.dumps(plain(record), allow_nan=False) + "\n"
