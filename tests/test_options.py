"""Options of a dataclass: found by section.key, read from text, and the nearest named for a wrong one."""

from dataclasses import dataclass

import pytest

from gossipnet.errors import BadInput
from gossipnet.options import find_option, no_option, option, options_of
from gossipnet.settings import Choice, Whole


@dataclass(frozen=True)
class Settings:
    nodes: int = option(8, "swarm.nodes", "how many", Whole(1), flag=True)
    init: str = option("same", "task.init", "first weights", Choice(("same", "own")))
    merge_rule: str = option("mean", "merge.rule", "how", Choice(("mean",)), also=("trim",))


OPTIONS = options_of(Settings)


def test_an_option_knows_its_place_and_spelling():
    nodes, init, rule = OPTIONS
    assert (nodes.name, nodes.dotted, nodes.switch, nodes.literal, nodes.flag) == (
        "nodes",
        "swarm.nodes",
        "--nodes",
        "8",
        True,
    )
    assert (init.literal, rule.switch) == ('"same"', "--merge-rule")


def test_a_value_is_refused_in_the_words_of_the_place():
    nodes = find_option(OPTIONS, "swarm.nodes")
    assert nodes.read("12", "--nodes") == 12
    with pytest.raises(BadInput, match=r"^--nodes: got 0, expected"):
        nodes.read("0", "--nodes")
    with pytest.raises(BadInput, match=r"^a.toml:3: swarm.nodes: got 8.0, expected"):
        nodes.admit(8.0, "a.toml:3: swarm.nodes")


@pytest.mark.parametrize(
    ("got", "meant"),
    [
        ("swarm.nods", "swarm.nodes"),  # near, in its section
        ("exchange.nodes", "swarm.nodes"),  # right, in another section
        ("nodes", "swarm.nodes"),  # without a section
        ("merge_rule", "merge.rule"),  # by its name in Python
        ("merge.merge-rule", "merge.rule"),
        ("task.inti", "task.init"),
        ("inti", "task.init"),
        ("merge.trim", "merge.rule"),  # a part of it
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(got, meant):
    assert f"did you mean {meant!r}?" in str(no_option(OPTIONS, got))
    with pytest.raises(BadInput, match="did you mean"):
        find_option(OPTIONS, got)


def test_a_name_near_to_nothing_gets_no_guess():
    assert "did you mean" not in str(no_option(OPTIONS, "swarm.qqqqq"))
