"""Axes: every spelling of an option, points of several settings, and what is refused."""

import pytest

from gossipnet.config import options
from gossipnet.errors import BadInput
from gossipnet.grid.axes import PLURALS, TOGETHER, find_axis, read_axis, text_of


@pytest.mark.parametrize("known", [o for o in options() if o.name != "name"], ids=lambda o: o.name)
def test_every_option_may_vary_by_its_field_its_switch_and_its_toml_key(known):
    for key in (known.name, known.name.replace("_", "-"), known.dotted):
        assert find_axis(key) == known


def test_plurals_are_options():
    assert {find_axis(key).name for key in PLURALS} == set(PLURALS.values())


def test_a_list_is_an_axis_and_a_value_is_one_point():
    assert [p.changes for p in read_axis("lr", [0.1, 1]).points] == [{"lr": 0.1}, {"lr": 1.0}]
    one = read_axis("training.rounds", 7)
    assert (one.name, one.varies, one.fields) == ("rounds", False, {"rounds"})
    assert read_axis("merges", ["average"]).name == "merge"


def test_points_may_set_several_options_and_have_names():
    axis = read_axis("networks", [{}, {"name": "far", "latency_s": 0.5}, {"latency_s": 0.1, "compute_s": 1}])
    assert axis.name == "network"
    assert [p.label for p in axis.points] == ["plain", "far", "latency_s=0.1,compute_s=1"]
    assert axis.fields == {"latency_s", "compute_s"}
    presets = read_axis("networks", ["ideal", "wan", {"preset": "wan", "drop_rate": 0.1}])
    assert [p.label for p in presets.points] == ["ideal", "wan", "preset=wan,drop_rate=0.1"]
    assert presets.points[1].changes == {"preset": "wan"}
    variants = read_axis("variants", [{"training": {"lr": 0.5}, "rounds": 3}, {"exchange.quorum": 1}])
    assert [p.changes for p in variants.points] == [{"lr": 0.5, "rounds": 3}, {"quorum": 1}]
    assert set(TOGETHER) == {"networks", "variants"}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("toplogies", ["ring"], "did you mean 'topologies'"),
        ("training.lrs", [1.0], "did you mean 'training.lr'"),
        ("zzz", 1, "no option 'zzz'"),
        ("name", ["a"], "name"),
        ("seeds", 3, "seeds: got 3, expected a list, as in seeds = [3]"),
        ("merges", "average", 'merges = ["average"]'),
        ("seeds", [], "empty list"),
        ("seeds", [1, 1], "'1' twice"),
        ("nodes", [8.5], "nodes: got 8.5"),
        ("merges", ["avrage"], "did you mean 'average'"),
        ("networks", [3], "networks, 1: got 3"),
        ("networks", ["wann"], "did you mean 'wan'"),
        ("networks", [{"latency": 1}], "did you mean 'network.latency_s'"),
        ("networks", [{"latency_s": -1}], "networks, 1, latency_s: got -1"),
        ("networks", [{"name": 3}], "networks, 1, name: got 3"),
        ("variants", [{}, {}], "'plain' twice"),
    ],
)
def test_what_is_refused_is_named(key, value, said):
    with pytest.raises(BadInput) as refused:
        read_axis(key, value)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_labels_read_as_in_the_file():
    assert [text_of(v) for v in (True, 0.10, 3, "ring", [1, 2])] == ["true", "0.1", "3", "ring", "1,2"]


def test_numbers_that_differ_late_are_two_values():
    assert [p.label for p in read_axis("lr", [0.1, 0.1000001, 1e-05]).points] == ["0.1", "0.1000001", "1e-05"]
