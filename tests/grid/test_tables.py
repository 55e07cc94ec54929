"""Tables of a grid, as markup and as text."""

import pytest

from gossipnet.grid import cells_of, figures, read_grid, tables
from gossipnet.grid.cell import Outcome
from gossipnet.grid.compare import Setting, panels, settings
from gossipnet.grid.records import Record
from gossipnet.report import units


def setting(*accuracies, baseline="", asked=0, sent=5.0):
    outcomes = {
        i: Outcome(
            None, {"mean_accuracy": a, "min_accuracy": a}, {"round": [7.0], "accuracy": [a], "bytes_sent": [sent]}
        )
        for i, a in enumerate(accuracies)
    }
    return Setting("p", baseline, {}, "average", "ring", outcomes, asked or len(accuracies))


@pytest.mark.parametrize(
    ("figure", "held", "text"),
    [
        (tables.ACCURACY, setting(0.9), "90.0%"),
        (tables.ACCURACY, setting(0.8, 0.9), "85.0% ± 63.5"),
        (tables.ACCURACY, setting(0.3, 0.1 + 0.2), "30.0%"),
        (tables.ACCURACY, setting(0.9, 0.9, asked=3), "90.0% (2 of 3)"),
        (tables.ACCURACY, setting(asked=3), "–"),
        (tables.to_accuracy(0.85, "round", "rounds", units.count), setting(0.8), "never"),
        (tables.to_accuracy(0.85, "round", "rounds", units.count), setting(0.8, 0.9), "7 (1 of 2)"),
        (tables.to_accuracy(0.85, "round", "rounds", units.count), setting(asked=1), "–"),
        (tables.to_accuracy(0.85, "bytes_sent", "sent", units.data), setting(0.9), "5 B"),
        (tables.to_accuracy(0.85, "bytes_sent", "sent", units.data), setting(0.9, sent=0.0), "–"),
        (tables.LOSS, setting(0.9), "–"),
    ],
)
def test_a_figure_reads_with_its_interval_and_its_seeds(figure, held, text):
    assert tables.read(figure, held) == text


def test_the_best_is_among_gossip_and_none_is_if_all_read_alike():
    held = [setting(0.8), setting(0.9), setting(0.99, baseline="fedavg")]
    assert tables.best(tables.ACCURACY, held) == [False, True, False]
    assert tables.best(tables.ACCURACY, [setting(0.9), setting(0.9)]) == [False, False]
    assert tables.best(tables.GAP, held) == [False] * 3
    assert tables.best(tables.LOSS, held) == [False] * 3


def test_rounds_of_the_seeds_that_got_there_beat_nobody_of_whom_all_did():
    rounds = tables.to_accuracy(0.85, "round", "rounds", units.count)
    lucky, slow, slower = setting(0.9, 0.1), setting(0.9, 0.9), setting(0.9, 0.9)
    for held, round in ((lucky, 2.0), (slow, 7.0), (slower, 9.0)):
        for outcome in held.outcomes.values():
            outcome.curve["round"][0] = round
    assert tables.best(rounds, [lucky, slow, slower]) == [False, True, False]


def test_a_baseline_is_called_by_what_means_something_to_it():
    cells = cells_of(
        read_grid('[grid]\nlr = [0.1, 0.2]\ndrop_rate = [0.0, 0.5]\nseeds = [0]\nbaselines = ["isolated"]\n')
    )
    outcome = Outcome(None, {"mean_accuracy": 0.5})
    held = settings("grid", [Record(cell, outcome) for cell in cells])
    lines = tables.text_table([("grid", held, panels(held))]).splitlines()
    assert [line.split("  ")[0] for line in lines if "isolated" in line] == ["isolated (0.1)", "isolated (0.2)"]


def test_the_text_has_a_line_per_setting(done):
    lines = str(done).splitlines()
    assert lines[0].split()[:2] == ["mean", "accuracy"]
    assert len(lines) == 2 + 4 + 4
    assert [line.partition("  ")[0] for line in lines[2:]] == [
        "ring · average",
        "ring · variance-corrected",
        "isolated",
        "fedavg, common start",
        "fedavg, own starts",
        "centralized",
        "complete · average",
        "complete · variance-corrected",
    ]


def test_the_page_has_a_cell_per_setting_with_the_gap_of_its_graph(done):
    held = settings("small", done.records)
    shown = panels(held)
    style = figures.styles(shown)
    table = tables.by_panel(shown, style, tables.ACCURACY)
    assert table.count("<tr>") == 3
    assert table.count("<td") == 2 * 7
    assert "spectral gap" in table
    line = tables.by_line(shown[0], style, held)
    assert line.count("<tr>") == 1 + 6
    assert "consensus distance" in line
