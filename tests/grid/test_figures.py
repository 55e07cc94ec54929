"""Charts of a grid: means and intervals over seeds at common rounds, the same colours everywhere, spectral gaps."""

import numpy as np
import pytest

from gossipnet.grid import cells_of, figures, read_grid
from gossipnet.grid.cell import Outcome
from gossipnet.grid.compare import Setting, panels, settings
from gossipnet.grid.records import Record
from gossipnet.report.chart import draw
from gossipnet.report.curves import MOST_POINTS


def outcome(rounds, accuracy, gap=0.5, **figures_):
    n = len(rounds)
    curve = {"round": rounds, "accuracy": accuracy, "worst_accuracy": [a / 2 for a in accuracy], "loss": [1.0] * n}
    curve |= {"time_s": [r * 2.0 for r in rounds], "bytes_sent": [0.0] * n, "consensus_distance": [1.0] * n}
    curve |= {"variance_kept": [1.0] * n, "variance_ratio": [None] * n}
    return Outcome(None, {"mean_accuracy": accuracy[-1], "spectral_gap": gap, **figures_}, curve)


def test_seeds_meet_at_the_rounds_that_all_have():
    setting = Setting(
        "p", "", {}, "average", "ring", {0: outcome([1, 2, 4], [0.1, 0.4, 0.9]), 1: outcome([1, 4], [0.3, 0.7])}
    )
    found = figures.curve(setting, "accuracy", worst="worst_accuracy")
    assert found.x.tolist() == [1, 4]
    assert found.mean == pytest.approx([0.2, 0.8])
    assert found.worst == pytest.approx([0.1, 0.4])
    assert (found.low <= found.mean).all()
    assert found.low[0] == 0.0, "a share has ends"
    assert figures.curve(setting, "accuracy", "time_s").x.tolist() == [2.0, 8.0]
    assert figures.curve(setting, "variance_ratio") is None


def test_a_long_run_is_drawn_with_few_points():
    rounds = list(range(1, 501))
    found = figures.curve(
        Setting("p", "", {}, "average", "ring", {0: outcome(rounds, [r / 500 for r in rounds])}), "accuracy"
    )
    assert (found.x[0], found.x[-1], len(found.x)) == (1, 500, MOST_POINTS)
    assert found.mean == pytest.approx(found.x / 500)


def test_one_seed_has_no_band_and_baselines_none_either():
    one = Setting("p", "", {}, "average", "ring", {0: outcome([1], [0.5])})
    assert figures.curve(one, "accuracy").low is None
    both = {0: outcome([1], [0.5]), 1: outcome([1], [0.6])}
    assert (
        figures.curve(Setting("p", "fedavg", {}, "average", "none", both), "accuracy", worst="worst_accuracy").worst
        is None
    )


@pytest.fixture
def shown(done):
    return panels(settings("small", done.records))


def test_a_name_has_one_colour_in_all_charts(shown):
    style = figures.styles(shown)
    assert list(style.values()) == [f"s{i}" for i in range(6)]
    charts = figures.scores(shown, style)
    assert [c.title for c in charts] == ["ring", "complete"]
    assert all({li.label: li.style for li in c.lines} == style for c in charts)
    assert all("<svg" in draw(c) for c in charts)


def test_who_sends_nothing_is_in_no_chart_of_traffic(shown):
    style = figures.styles(shown)
    lines = {li.label for c in figures.scores(shown, style, "bytes_sent") for li in c.lines}
    assert lines == {"average", "variance-corrected", "fedavg, common start", "fedavg, own starts"}


def test_agreement_has_three_charts_a_panel(shown):
    charts = figures.agreement(shown, figures.styles(shown))
    assert len(charts) == 3 * len(shown)
    assert all(c.reference in (None, 1.0) for c in charts)
    assert all(np.isfinite(li.curve.mean).any() for c in charts for li in c.lines)


def by_gap(axes):
    gaps = {"ring": 0.01, "star": 0.03, "complete": 1.0}
    cells = cells_of(read_grid(f"[grid]\n{axes}\n", "g"))
    made = [
        Record(c, outcome([5], [0.8 + gaps[c.experiment.topology] / 10], gaps[c.experiment.topology])) for c in cells
    ]
    return figures.by_gap(settings("g", made))


def test_the_spectral_gap_is_an_axis_where_three_graphs_or_more_are():
    end, to = by_gap("topologies = ['ring', 'star', 'complete']\nmerges = ['average', 'sign-aligned']\nseeds = [0, 1]")
    assert [li.label for li in end.lines] == ["average", "sign-aligned"]
    assert end.lines[0].curve.x.tolist() == [0.01, 0.03, 1.0]
    assert end.lines[0].curve.mean == pytest.approx([0.801, 0.803, 0.9])
    assert to.title == "Rounds to 80%"
    assert draw(end).count("<path") > 6
    assert by_gap("topologies = ['ring', 'complete']") == []
    assert by_gap("seeds = [0, 1]") == []


def test_rounds_against_the_gap_are_of_graphs_with_which_all_seeds_get_there():
    held = []
    for gap, (one, other) in {0.1: (0.9, 0.9), 0.2: (0.9, 0.9), 0.5: (0.9, 0.9), 1.0: (0.9, 0.1)}.items():
        found = {0: outcome([5], [one], gap), 1: outcome([5], [other], gap)}
        held.append(Setting("p", "", {"topology": str(gap)}, "average", str(gap), found, 2))
    end, to = figures.by_gap(held)
    assert end.lines[0].curve.x.tolist() == [0.1, 0.2, 0.5, 1.0]
    assert to.lines[0].curve.x.tolist() == [0.1, 0.2, 0.5]


def test_a_merge_has_its_colour_also_where_another_has_no_line():
    cells = cells_of(
        read_grid(
            "[grid]\ntopologies = ['ring', 'star', 'complete']\nmerges = ['average', 'sign-aligned']\nseeds = [0]\n"
        )
    )
    gaps = {"ring": 0.01, "star": 0.03, "complete": 1.0}
    made = [
        Record(c, outcome([5], [0.9 if c.experiment.merge != "average" else 0.1], gaps[c.experiment.topology]))
        for c in cells
    ]
    held = settings("grid", made)
    end, to = figures.by_gap(held)
    assert [(li.label, li.style) for li in end.lines] == [("average", "s0"), ("sign-aligned", "s1")]
    assert [(li.label, li.style) for li in to.lines] == [("sign-aligned", "s1")]


def test_a_chart_for_each_setting_of_the_rest():
    axes = "topologies = ['ring', 'star', 'complete']\nsplits = ['iid', 'shards']\nbaselines = false"
    assert [c.title for c in by_gap(axes)] == [
        "iid · final accuracy", "iid · rounds to 80%", "shards · final accuracy", "shards · rounds to 80%",
    ]  # fmt: skip
