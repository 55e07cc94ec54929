"""From text to a rule, with and without memory."""

import pytest
import torch

from gossipnet.errors import BadInput
from gossipnet.merge import Group, MergeRule, make_merge, merge_rule, merge_rules


@pytest.fixture(autouse=True)
def own_names(monkeypatch):
    """Rules that a test registers are gone after it."""
    monkeypatch.setattr(merge_rules, "_factories", dict(merge_rules._factories))


@pytest.fixture
def counting():
    """A rule with memory: it counts its merges."""

    @merge_rule("counting", blocks="element")
    def factory(step: int = 1):
        def init(spec):
            return {"count": torch.zeros(1)}

        def merge(group, state):
            return group.vectors.mean(0), {"count": state["count"] + step}

        return init, merge

    return make_merge("counting:step=2")


def test_the_built_in_rules_are_registered_and_described():
    described = merge_rules.describe()
    ours = [name for name in described if merge_rules.is_installed(name)]  # other tests register theirs
    assert {"average", "variance-corrected", "sign-aligned"} <= set(ours)
    assert all(described[name] for name in ours)


def test_a_rule_knows_its_text_and_its_blocks():
    rule = make_merge("sign-aligned:trim=0.2")
    assert (rule.name, rule.init, rule.blocks) == ("sign-aligned:trim=0.2", None, "model")
    assert make_merge("average").blocks == "element"
    assert make_merge("variance-corrected").blocks == "tensor"


def test_a_rule_with_memory_begins_with_its_first_state(counting, make_group):
    group = make_group(torch.ones(2, 3))
    vector, state = counting(group)
    assert vector.tolist() == [1.0, 1.0, 1.0]
    assert state["count"].tolist() == [2.0]
    assert counting(group, state)[1]["count"].tolist() == [4.0]
    assert counting.blocks == "element"


def test_step_gives_vector_and_state_of_any_rule(counting, make_group):
    group = make_group(torch.ones(2, 3))
    vector, state = make_merge("average").step(group, {})
    assert (vector.tolist(), state) == ([1.0, 1.0, 1.0], {})
    assert counting.step(group)[1]["count"].tolist() == [2.0]


def test_a_merge_leaves_no_gradient_behind(make_group):
    vectors = torch.ones(2, 3, requires_grad=True)
    assert not make_merge("variance-corrected")(make_group(vectors)).requires_grad


def test_a_group_needs_vectors_weights_and_spec_only(make_spec):
    group = Group(vectors=torch.ones(1, 2), weights=torch.ones(1), spec=make_spec({"w": (2,)}))
    assert (group.ages, group.samples, group.extras) == (None, None, None)


def test_a_factory_may_return_a_rule(make_group):
    @merge_rule("alias")
    def factory():
        return make_merge("average")

    rule = make_merge("alias")
    assert isinstance(rule, MergeRule)
    assert rule.name == "alias"
    assert rule(make_group(torch.ones(2, 3))).tolist() == [1.0, 1.0, 1.0]


def test_an_unknown_rule_names_the_closest():
    with pytest.raises(BadInput, match="no merge rule 'avrage'; did you mean 'average'"):
        make_merge("avrage")


def test_a_factory_that_makes_no_rule_is_told_what_is_expected():
    merge_rule("nothing")(lambda: 3)
    with pytest.raises(BadInput, match=r"expected a function merge\(group\) or a pair \(init, merge\)"):
        make_merge("nothing")


def test_an_option_without_a_default_must_be_given():
    @merge_rule("needy")
    def factory(radius: float):
        return lambda group: group.vectors[0] * radius

    with pytest.raises(BadInput, match="write needy:radius=VALUE"):
        make_merge("needy")
    assert make_merge("needy:radius=2").blocks == "model"


def test_blocks_must_be_one_of_three():
    with pytest.raises(BadInput, match="known: element, model, tensor"):
        merge_rule("odd", blocks="row")
