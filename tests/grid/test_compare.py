"""Cells put together: seeds into settings, settings into charts, and baselines into every chart of the same data."""

import pytest

from gossipnet.grid import cells_of, read_grid
from gossipnet.grid.cell import Outcome
from gossipnet.grid.compare import (
    difference,
    has_accuracy,
    line_axis,
    main_threshold,
    panels,
    said,
    settings,
    thresholds,
    varying,
)
from gossipnet.grid.records import Record


def held(axes, accuracy=lambda cell: 0.9):
    """Records of a grid, each with one evaluation at round 1 and the accuracy that a function says."""
    made = []
    for cell in cells_of(read_grid(f"[grid]\n{axes}\n", "g")):
        a = accuracy(cell)
        curve = {"round": [1.0], "accuracy": [a], "time_s": [2.0], "bytes_sent": [3.0]}
        made.append(
            Record(cell, None if a is None else Outcome(None, {"mean_accuracy": a, "spectral_gap": 0.5}, curve))
        )
    return settings("g", made)


def test_seeds_of_a_setting_are_put_together():
    found = held("seeds = [0, 1, 2]\nbaselines = false", lambda c: [0.8, 0.9, None][c.experiment.seed])
    [setting] = found
    assert (setting.asked, set(setting.outcomes)) == (3, {0, 1})
    assert setting.figure("mean_accuracy").mean == pytest.approx(0.85)
    assert setting.to(0.85).n == 1
    assert setting.to(0.95) is None
    assert setting.figure("test_loss") is None


def test_a_chart_for_each_setting_of_what_is_no_merge():
    found = held("topologies = ['ring', 'star']\nmerges = ['average', 'sign-aligned']\ninits = ['same', 'own']")
    assert varying(found) == ["topology", "merge", "init"]
    assert line_axis(found) == "merge"
    shown = panels(found)
    assert [p.label for p in shown] == [
        f"{graph} · {start}" for graph in ("ring", "star") for start in ("common start", "own starts")
    ]
    for panel in shown:
        assert [name for name, _ in panel.lines] == ["average", "sign-aligned"]
        assert [name for name, _ in panel.baselines] == [
            "isolated",
            "fedavg, common start",
            "fedavg, own starts",
            "centralized",
        ]


def test_baselines_stand_where_their_data_does():
    found = held("merges = ['average', 'sign-aligned']\nsplits = ['iid', 'shards']\nbaselines = ['isolated']")
    for panel in panels(found):
        [(_, setting)] = panel.baselines
        assert setting.place["partition"] == panel.place["partition"]


def test_curves_are_topologies_where_one_merge_is_used_and_whatever_varies_else():
    assert line_axis(held("topologies = ['ring', 'star']\nseeds = [0, 1]")) == "topology"
    found = held("lr = [0.1, 0.2]\nbaselines = ['isolated']")
    assert line_axis(found) == "lr"
    [panel] = panels(found)
    assert [name for name, _ in panel.lines] == ["0.1", "0.2"]
    assert [name for name, _ in panel.baselines] == ["isolated (0.1)", "isolated (0.2)"]
    [alone] = panels(held("seeds = [0, 1]"))
    assert (alone.label, [n for n, _ in alone.lines]) == ("", ["variance-corrected"])


@pytest.mark.parametrize(
    ("axis", "label", "text"),
    [("init", "own", "own starts"), ("nodes", "32", "32 nodes"), ("lr", "0.1", "lr=0.1"), ("topology", "ring", "ring")],
)
def test_titles_say_what_a_bare_value_does_not(axis, label, text):
    assert said(axis, label) == text


def test_the_accuracies_worth_asking_for_are_those_that_gossip_reaches():
    found = held(
        "merges = ['average', 'sign-aligned']",
        lambda c: 0.99 if c.baseline else {"average": 0.75}.get(c.experiment.merge, 0.86),
    )
    assert thresholds(found) == [0.7, 0.8, 0.85]
    assert main_threshold(found) == 0.85
    assert has_accuracy(found)
    assert main_threshold(held("seeds = [0]", lambda c: None)) is None


def test_differences_are_paired_by_seed():
    ahead = {"average": 0.05, "sign-aligned": 0.0}
    axes = "merges = ['average', 'sign-aligned']\nseeds = [0, 1, 2]\nbaselines = false"
    found = held(axes, lambda c: 0.5 + 0.1 * c.experiment.seed + ahead[c.experiment.merge])
    by = difference(*found)
    assert by.mean == pytest.approx(0.05)
    assert by.half == pytest.approx(0.0, abs=1e-9)


def test_a_setting_as_json_has_only_the_accuracies_that_it_reaches():
    [setting] = held("seeds = [0, 1]\nbaselines = false", lambda c: 0.72)
    found = setting.to_dict()
    assert found["seeds"] == 2
    assert list(found["to_accuracy"]) == ["0.50", "0.60", "0.70"]
    assert found["to_accuracy"]["0.70"]["bytes_sent"]["mean"] == 3.0
