"""What a text cuts, between whom, and every text that is refused."""

import math

import pytest

from gossipnet.config import Experiment
from gossipnet.errors import BadInput
from gossipnet.sim.cuts import parse_cut

PAIRS = [(i, j) for i in range(6) for j in range(6) if i != j]


def parted(text):
    return {pair for pair in PAIRS if parse_cut(text, 6).parts(*pair)}


def test_one_group_is_parted_from_the_rest():
    cut = parse_cut("5..8.5 0-2", 6)
    assert (cut.begin_s, cut.end_s) == (5, 8.5)
    assert parted("5..8.5 0-2") == {(i, j) for i, j in PAIRS if (i < 3) != (j < 3)}
    assert parse_cut("5.. 0", 6).end_s == math.inf


def test_several_groups_are_parted_from_each_other():
    group = {0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 2}
    assert parted("0..1 0 1 | 2-3") == {(i, j) for i, j in PAIRS if group[i] != group[j]}


def test_a_cut_may_be_one_way():
    assert parted("0..1 0 1 > 2") == {(0, 2), (1, 2)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5..8 0-6", "names nodes 0-6, expected nodes of 0 to 5"),
        ("5..8 3-1", "names nodes 3-1"),
        ("8..5 0", "ends before it begins"),
        ("5..8 0 1 | 1 2", "has a node on both sides"),
        ("5-8 0", "expected FROM..TO NODES"),
        ("5..8", "expected FROM..TO NODES"),
        ("5..8 0 > 1 > 2", "expected FROM..TO NODES"),
    ],
)
def test_what_is_no_cut_is_refused(text, said):
    with pytest.raises(BadInput, match=said) as refused:
        parse_cut(text, 6)
    assert "\n" not in str(refused.value)


def test_the_experiment_checks_how_it_is_written():
    assert Experiment(cuts=["5..8 0-3 | 4", "9.. 1 > 2"]).cuts == ("5..8 0-3 | 4", "9.. 1 > 2")
    with pytest.raises(BadInput, match=r"cuts: got '5-8 0', expected FROM\.\.TO NODES, in seconds"):
        Experiment(cuts=["5-8 0"])
