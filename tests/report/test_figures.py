import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gossipnet.report import figures
from gossipnet.report.figures import Entry
from gossipnet.report.labels import labels
from gossipnet.report.run import load_run

MakeRun = Callable[..., Path]


def shown(*folders: Path) -> Sequence[Entry]:
    runs = [load_run(f) for f in folders]
    return figures.entries(runs, labels(runs))


@pytest.fixture
def pair(make_run: MakeRun) -> Sequence[Entry]:
    average = make_run("a", merge="average", final=0.5, kept=0.05)
    return shown(average, make_run("b", merge="variance-corrected"))


def every_chart(entries: Sequence[Entry]) -> list[figures.Chart]:
    found = [figures.accuracy(entries), figures.variance(entries), figures.ranking(entries), *figures.learning(entries)]
    found += [*figures.agreement(entries), *figures.by_layer(entries), *figures.exchange(entries)]
    return [c for c in found if c is not None]


def test_a_run_has_one_colour_in_all_charts(pair: Sequence[Entry]) -> None:
    looks = {(li.label, li.style) for c in every_chart(pair) for li in c.lines if li.style.startswith("s")}
    assert looks == {("merge=average", "s0"), ("merge=variance-corrected", "s1")}


def test_accuracy_ends_at_the_mean_model(pair: Sequence[Entry]) -> None:
    chart = figures.accuracy(pair)
    assert chart is not None
    assert [li.end for li in chart.lines] == [e.run.summary.mean_model_accuracy for e in pair]
    assert "Diamond" in chart.about


def test_learning_is_drawn_against_rounds_time_and_traffic(pair: Sequence[Entry]) -> None:
    assert [c.title for c in figures.learning(pair)] == [
        "Test loss",
        "Training loss",
        "Accuracy against time",
        "Accuracy against traffic",
        "Test loss against time",
        "Test loss against traffic",
    ]


def test_traffic_is_what_the_mean_node_has_sent(pair: Sequence[Entry]) -> None:
    chart = next(c for c in figures.learning(pair) if c.title == "Accuracy against traffic")
    np.testing.assert_allclose(chart.lines[0].curve.x, 480_000 * np.arange(2.0, 21.0, 2))


def test_the_variance_chart_tells_the_rules_apart(pair: Sequence[Entry]) -> None:
    chart = figures.variance(pair)
    assert chart is not None
    average, corrected = (li.curve.last for li in chart.lines)
    assert average < 0.2 < 0.8 < corrected
    assert (chart.reference, chart.include) == (1.0, (0.0,))


def test_layers_have_a_chart_a_run_to_one_scale(pair: Sequence[Entry]) -> None:
    charts = figures.by_layer(pair)
    assert [c.title for c in charts] == ["Layers: merge=average", "Layers: merge=variance-corrected"]
    assert [li.label for li in charts[0].lines] == ["0.weight", "2.weight", "4.weight"]
    most = max(float(li.curve.mean.max()) for c in charts for li in c.lines)
    assert [c.include for c in charts] == [(0.0, most), (0.0, most)]


def test_of_many_layers_some_are_drawn_the_first_and_the_last_among_them(make_run: MakeRun) -> None:
    ratios = {f"layer{i}": 1.0 for i in range(50)}
    record = {"event": "consensus", "round": 1, "node": None, "variance_ratios": ratios}
    chart = figures.by_layer(shown(make_run(records=[record], parts="metrics")))[0]
    assert len(chart.lines) == figures.MOST_LAYERS
    assert (chart.lines[0].label, chart.lines[-1].label) == ("layer0", "layer49")
    assert "8 of 50" in chart.about


def test_a_variance_that_grew_far_is_drawn_to_a_log_scale(make_run: MakeRun) -> None:
    record = {"event": "consensus", "round": 1, "node": None, "variance_ratios": {"w": 40.0}}
    chart = figures.variance(shown(make_run(records=[record], parts="metrics")))
    assert chart is not None
    assert (chart.log_above, chart.include) == (10.0, ())


def test_steady_numbers_have_no_chart(make_run: MakeRun) -> None:
    assert figures.exchange(shown(make_run("a"))) == []
    assert [c.title for c in figures.exchange(shown(make_run("b", lag=3)))] == ["Staleness"]


def test_one_node_alone_has_no_traffic_and_no_ranking(make_run: MakeRun) -> None:
    entries = shown(make_run(nodes=1))
    assert not any("traffic" in c.title for c in figures.learning(entries))
    assert figures.ranking(entries) is None


def test_nodes_are_ranked_from_the_worst_on(pair: Sequence[Entry]) -> None:
    chart = figures.ranking(pair)
    assert chart is not None
    for line in chart.lines:
        assert line.curve.x.tolist() == list(range(1, 9))
        assert (np.diff(line.curve.mean) >= 0).all()


def test_a_task_that_has_no_accuracy_shows_its_own_metrics(make_run: MakeRun) -> None:
    records: list[dict[str, Any]] = [
        {
            "event": "evaluated",
            "round": r,
            "node": i,
            "time_s": r,
            "accuracy": None,
            "loss": 1 / r,
            "mean_abs_error": 0.1 * r,
        }
        for r in (1, 2)
        for i in range(3)
    ]
    entries = shown(make_run(records=records, parts="metrics"))
    assert figures.accuracy(entries) is None
    charts = {c.title: c for c in figures.learning(entries)}
    assert "Test loss" not in charts, "the top of the page shows it"
    assert "Test loss against time" in charts
    assert charts["mean abs error"].lines[0].curve.worst is None


def test_virtual_time_is_called_so(make_run: MakeRun) -> None:
    sim, live = make_run("a", other={"world": "sim"}), make_run("b")
    assert "Accuracy against virtual time" in [c.title for c in figures.learning(shown(sim))]
    assert "Accuracy against time" in [c.title for c in figures.learning(shown(sim, live))]


def test_constant(make_run: MakeRun) -> None:
    run = load_run(make_run())
    assert figures.constant(run, "merged") == 2
    assert figures.constant(run, "age") is None
    assert math.isnan(figures.constant(run, "nothing") or 0)
