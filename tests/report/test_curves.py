import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.report import Metrics
from gossipnet.report.curves import (
    MOST_POINTS,
    Curve,
    against,
    layers,
    over_nodes,
    over_swarm,
    thin,
    variance_kept,
)
from gossipnet.report.run import Run, load_run, so_far


def run_of(records: list[dict[str, Any]], complete: bool = True) -> Run:
    metrics = Metrics(records)
    return Run(Path("run"), "run", metrics, so_far(metrics, {}), complete)


def evaluated(round_: int, node: int, accuracy: float | None) -> dict[str, Any]:
    return {"event": "evaluated", "round": round_, "node": node, "accuracy": accuracy}


@settings(max_examples=50)
@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=9), min_size=1, max_size=6))
def test_a_curve_is_the_mean_the_quartiles_and_the_worst(rows: list[list[float]]) -> None:
    curve = over_nodes(
        run_of([evaluated(r, i, a) for r, row in enumerate(rows) for i, a in enumerate(row)]), "evaluated", "accuracy"
    )
    assert curve is not None
    assert curve.low is not None
    assert curve.high is not None
    assert curve.worst is not None
    for r, row in enumerate(rows):
        assert curve.mean[r] == pytest.approx(np.mean(row))
        assert (curve.low[r], curve.high[r]) == pytest.approx(tuple(np.quantile(row, [0.25, 0.75])))
        assert curve.worst[r] == min(row)


def test_the_order_of_reports_does_not_matter() -> None:
    records = [evaluated(r, i, 0.1 * r + 0.01 * i) for r in range(5) for i in range(3)]
    there, back = (over_nodes(run_of(r), "evaluated", "accuracy") for r in (records, records[::-1]))
    assert there is not None
    assert back is not None
    np.testing.assert_allclose(there.mean, back.mean)
    np.testing.assert_array_equal(there.x, back.x)


def test_a_node_that_came_to_a_round_twice_counts_once_with_what_it_had_later() -> None:
    """As in rounds_to_accuracy: one that was started again and does its rounds again is one node."""
    records = [
        evaluated(1, 0, 0.2),
        evaluated(1, 1, 0.4),
        evaluated(2, 0, 0.5),
        evaluated(1, 0, 0.6),
        evaluated(1, 0, 0.8),
    ]
    curve = over_nodes(run_of(records), "evaluated", "accuracy")
    assert curve is not None
    assert curve.worst is not None
    assert curve.mean.tolist() == pytest.approx([0.6, 0.5])
    assert curve.worst.tolist() == [0.4, 0.5]
    moved = against(Curve(np.array([1.0]), np.array([1.0])), Metrics(records), "evaluated", "accuracy")
    assert moved is not None
    assert moved.x.tolist() == pytest.approx([0.6])


def test_nodes_without_a_number_are_left_out_of_the_mean() -> None:
    curve = over_nodes(
        run_of([evaluated(1, 0, 0.5), evaluated(1, 1, None), evaluated(2, 0, None)]), "evaluated", "accuracy"
    )
    assert curve is not None
    assert (curve.x.tolist(), curve.mean.tolist()) == ([1], [0.5])


def test_nothing_reported_is_no_curve() -> None:
    run = run_of([evaluated(1, 0, None)])
    assert over_nodes(run, "evaluated", "accuracy") is None
    assert over_nodes(run, "merged", "loss") is None
    assert over_swarm(run.metrics, "consensus_distance") is None
    assert variance_kept(run.metrics) is None
    assert layers(run.metrics) == {}


def test_rounds_that_few_have_reached_are_held_back_while_a_run_is_going() -> None:
    records = [evaluated(r, i, 0.5) for r in (1, 2) for i in range(4)] + [evaluated(3, 0, 0.9)]
    for complete, rounds in ((False, [1, 2]), (True, [1, 2, 3])):
        curve = over_nodes(run_of(records, complete), "evaluated", "accuracy")
        assert curve is not None
        assert curve.x.tolist() == rounds


def test_the_variance_kept_is_that_of_the_median_tensor() -> None:
    ratios = {"a": 0.5, "b": 0.9, "c": 30.0, "d": None}
    metrics = Metrics([{"event": "consensus", "round": 2, "node": None, "variance_ratios": ratios}])
    kept = variance_kept(metrics)
    assert kept is not None
    assert kept.last == 0.9
    assert list(layers(metrics)) == ["a", "b", "c"]


def test_against_puts_the_mean_of_another_number_in_place_of_rounds() -> None:
    curve = Curve(np.array([2.0, 4.0]), np.array([0.1, 0.2]))
    records = [evaluated(2, 0, 10.0), evaluated(2, 1, 30.0), evaluated(4, 0, 50.0)]
    moved = against(curve, Metrics(records), "evaluated", "accuracy")
    assert moved is not None
    assert (moved.x.tolist(), moved.mean.tolist()) == ([20, 50], [0.1, 0.2])


def test_against_what_never_grows_is_no_curve() -> None:
    curve = Curve(np.array([1.0]), np.array([0.1]))
    assert against(curve, Metrics([evaluated(1, 0, 0.0)]), "evaluated", "accuracy") is None
    assert against(curve, Metrics([]), "evaluated", "accuracy") is None


@given(st.integers(1, 2000), st.integers(2, 200))
def test_thin_keeps_the_ends_and_the_order(n: int, most: int) -> None:
    kept = thin(np.arange(n, dtype=np.float64), most)
    assert len(kept) <= max(most, 1)
    assert (kept[0], kept[-1]) == (0, n - 1)
    assert (np.diff(kept) > 0).all()


def test_long_runs_are_drawn_with_few_points(make_run: Callable[..., Path]) -> None:
    curve = over_nodes(load_run(make_run(rounds=1000, nodes=2)), "merged", "loss")
    assert curve is not None
    assert len(curve.x) <= MOST_POINTS
    assert curve.x[-1] == 1000


def test_the_last_of_a_curve_skips_what_is_no_number() -> None:
    assert Curve(np.array([1.0, 2.0]), np.array([0.5, math.nan])).last == 0.5
    assert math.isnan(Curve(np.array([1.0]), np.array([math.nan])).last)
