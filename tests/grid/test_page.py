"""The page of a grid: whole, self-contained, escaped, and honest about what is missing."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from gossipnet.grid.cell import Outcome
from gossipnet.grid.page import page
from gossipnet.grid.records import Record

SAID = [
    "small: a grid of 16 cells",
    "16 of 16 cells finished · 2 seeds",
    "Four nodes and a line.",
    "Mean accuracy",
    "Worst node",
    "Against rounds",
    "Rounds to",
    "Where each loses",
    "fedavg, own starts",
    "0 failed, 0 have not run",
]
VOID = {"meta", "link", "br", "wbr", "path", "line", "rect", "circle"}


class Balanced(HTMLParser):
    """Fails unless every element is closed in order, and no id is there twice."""

    def __init__(self):
        super().__init__()
        self.open, self.ids = [], []

    def handle_starttag(self, tag, attrs):
        self.ids += [value for key, value in attrs if key == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def test_a_finished_grid_has_a_whole_page(done):
    text = (done.folder / "report.html").read_text()
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids)) == 3
    assert not re.search(r"(src|href)=\"(?!#|data:)", text), "nothing is loaded"
    for said in SAID:
        assert said in text, said
    assert "notes" not in re.sub(r"<style>.*?</style>", "", text, flags=re.S)


def test_it_is_the_same_page_for_the_same_results(done):
    assert page(done.grid, done.records) == page(done.grid, done.records)


def test_what_failed_and_what_is_missing_is_said(done):
    cell = done.records[0].cell
    records = [Record(cell, Outcome(error="<b>why</b>")), Record(done.records[1].cell, None), *done.records[2:]]
    text = page(done.grid, records)
    assert "1 failed, 1 have not run" in text
    assert "2 of 16 cells of this part have failed or are yet to run." in text
    assert "&lt;b&gt;why" in text
    assert "<b>why" not in text
    assert "--resume" in text


def test_before_anything_ran_there_is_a_page_too(done):
    text = page(done.grid, [Record(r.cell, None) for r in done.records])
    assert "No cell of this part" in text or "yet to run" in text


@pytest.mark.parametrize("keep", [("ring",), ("ring", "complete")])
def test_one_chart_has_all_figures_in_one_table(done, keep):
    part = done.grid.parts[0]
    records = [r for r in done.records if r.cell.baseline or r.cell.experiment.topology in keep]
    text = page(replace(done.grid, parts=(part,)), records)
    assert ("Every figure of every setting" in text) == (len(keep) == 2)
    assert "consensus distance" in text


def test_one_seed_is_told_of(done):
    text = page(done.grid, [r for r in done.records if r.cell.experiment.seed == 0])
    assert "One seed of each setting" in text
    assert "one seed cannot tell that from chance" in text
    assert "in every likely draw of seeds" not in text
    assert "in every likely draw of seeds" in page(done.grid, done.records)


def test_the_time_of_live_swarms_is_not_called_virtual(done):
    live = replace(done.grid, parts=(replace(done.grid.parts[0], world="live"),))
    assert "Against virtual time" in page(done.grid, done.records)
    text = page(live, done.records)
    assert "Against time" in text
    assert "virtual time" not in text


def test_without_accuracy_the_test_loss_is_shown(done):
    def blind(record):
        figures = {k: None if "accuracy" in k else v for k, v in record.outcome.figures.items()}
        curve = {k: v for k, v in record.outcome.curve.items() if "accuracy" not in k}
        return Record(record.cell, Outcome(None, figures, curve))

    text = page(done.grid, [blind(r) for r in done.records])
    assert "Test loss" in text
    assert "Where each loses" not in text
