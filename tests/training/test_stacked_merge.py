"""Stacked merges against the oracle: the rule on one group after the other."""

import pytest
import torch
from small_training import norm_model

from gossipnet.merge import Group, MergeRule, make_merge, variance_ratio
from gossipnet.model import ModelSpec
from gossipnet.training import stacked_merge
from gossipnet.training.stacked_merge import Groups, StackedMerge

SPEC = ModelSpec.of(norm_model())


def groups_of(size=4, nodes=(0, 1, 2), seed=0):
    torch.manual_seed(seed)
    weights = torch.rand(len(nodes), size)
    return Groups(
        nodes=list(nodes),
        vectors=torch.randn(len(nodes), size, SPEC.numel),
        weights=weights / weights.sum(1, keepdim=True),
        ages=torch.arange(len(nodes) * size).view(-1, size),
        samples=torch.ones(len(nodes), size, dtype=torch.int64),
    )


def stacked(rule, buffers="average", told=None):
    rule = make_merge(rule) if isinstance(rule, str) else rule
    warn = (told if told is not None else []).append
    return StackedMerge(
        rule, SPEC, buffers, 3, dict.fromkeys(range(3), lambda: torch.no_grad()), torch.device("cpu"), warn
    )


def group_of(groups, i):
    return Group(
        vectors=groups.vectors[i],
        weights=groups.weights[i],
        ages=groups.ages[i],
        samples=groups.samples[i],
        spec=SPEC,
    )


@pytest.mark.parametrize("text", ["average", "variance-corrected", "sign-aligned", "sign-aligned:trim=0.2"])
def test_every_rule_is_what_it_is_alone(text):
    groups, told = groups_of(), []
    merge = stacked(text, told=told)
    merged, errors = merge(groups)
    assert errors == {}
    assert told == []
    parameters = slice(None, SPEC.n_parameters)
    for i in range(3):
        expected = make_merge(text)(group_of(groups, i))
        torch.testing.assert_close(merged[i, parameters], expected[parameters], rtol=1e-4, atol=1e-5)
    ratios = [variance_ratio(SPEC, groups.vectors[i], groups.weights[i], merged[i]) for i in range(3)]
    assert merge.ratios(groups, merged) == pytest.approx(ratios, rel=1e-4)


def test_a_rule_that_looks_at_values_merges_big_models_one_by_one(monkeypatch):
    """Bit for bit as a node does it, and without a warning."""
    groups, told = groups_of(), []
    monkeypatch.setattr(stacked_merge, "_LOOKS", SPEC.numel)
    merged, errors = stacked("sign-aligned", "average", told)(groups)
    assert (errors, told) == ({}, [])
    parameters = slice(None, SPEC.n_parameters)
    for i in range(3):
        assert merged[i, parameters].equal(make_merge("sign-aligned")(group_of(groups, i))[parameters])


@pytest.mark.parametrize("buffers", ["average", "own"])
def test_float_buffers_go_by_their_policy(buffers):
    groups = groups_of()
    merged, _ = stacked("average", buffers)(groups)
    held = groups.vectors[:, :, SPEC.n_parameters :]
    expected = torch.einsum("bk,bkd->bd", groups.weights, held) if buffers == "average" else held[:, 0]
    torch.testing.assert_close(merged[:, SPEC.n_parameters :], expected)


def branching(group):
    return group.vectors[0] if float(group.vectors[0, 0]) > 9 else group.weights @ group.vectors


def test_a_rule_that_branches_runs_node_by_node_with_one_warning():
    told = []
    merge, plain = stacked(MergeRule("mine", branching), told=told), stacked("average")
    for seed in (0, 1):
        groups = groups_of(seed=seed)
        torch.testing.assert_close(merge(groups)[0], plain(groups)[0])
        assert merge.ratios(groups, merge(groups)[0]) == pytest.approx(plain.ratios(groups, plain(groups)[0]))
    (line,) = told
    assert "merge rule 'mine' runs node by node, torch.vmap refuses it" in line


def momentum_rule():
    def merge(group, state):
        velocity = 0.5 * state["velocity"] + group.weights @ group.vectors - group.vectors[0]
        return group.vectors[0] + velocity, {"velocity": velocity}

    return MergeRule("heavy", merge, lambda spec: {"velocity": torch.zeros(spec.numel)})


def test_a_rule_with_memory_has_one_for_each_node():
    merge, alone, states = stacked(momentum_rule()), momentum_rule(), [None] * 3
    for seed, nodes in enumerate([(0, 1, 2), (2, 0), (1,)]):
        groups = groups_of(nodes=nodes, seed=seed)
        merged, _ = merge(groups)
        for i, node in enumerate(nodes):
            expected, states[node] = alone(group_of(groups, i), states[node])
            torch.testing.assert_close(merged[i, : SPEC.n_parameters], expected[: SPEC.n_parameters])


def test_a_merge_that_fails_changes_nothing_of_its_node():
    merge = stacked(momentum_rule())
    groups = groups_of()
    groups.vectors[1, 2, 5] = float("nan")
    merged, errors = merge(groups)
    assert errors.keys() == {1}
    assert "returned nan or inf" in str(errors[1])
    assert torch.equal(merged[1], groups.vectors[1, 0])
    assert not merge._memory["velocity"][1].any()
    assert merge._memory["velocity"][0].any()


def test_a_rule_that_fails_for_all_fails_for_each():
    def short(group):
        return group.vectors[0, :3]

    told = []
    _, errors = stacked(MergeRule("short", short), told=told)(groups_of())
    assert errors.keys() == {0, 1, 2}
    assert all("returned a vector of shape (3,)" in str(error) for error in errors.values())
    assert told == []
