"""Rules get what they declare that they need: blocks, whole tensors, or all."""

import pytest
import torch

from gossipnet.merge import Group, MergeRule
from gossipnet.merge import feed as feeding
from gossipnet.merge.apart import Apart
from gossipnet.merge.blocks import Results
from gossipnet.merge.feed import feed, part_of, pieces


def group_apart(spec, k=2):
    vectors = torch.randn(k + 1, spec.numel, generator=torch.Generator().manual_seed(0))
    return vectors, Group(Apart([*vectors]), torch.full((k + 1,), 1 / (k + 1)), spec)


def fed(rule, group, memory=None):
    return feed(rule, group, memory, Results())


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(feeding, "_PIECE", 100)


@pytest.mark.parametrize(("blocks", "largest"), [("element", 100), ("tensor", 626), ("model", 895)])
def test_a_rule_is_fed_the_pieces_that_it_declares(blocks, largest, spec):
    seen = []

    def middle(group):
        seen.append(group)
        assert group.spec.numel == group.vectors.shape[1]
        return group.vectors.median(0).values

    vectors, group = group_apart(spec)
    assert fed(MergeRule("middle", middle, blocks=blocks), group)[0].equal(vectors.median(0).values)
    assert max(g.vectors.shape[1] for g in seen) == largest
    assert sum(g.vectors.shape[1] for g in seen) == spec.numel


def test_pieces_of_tensors_hold_them_whole(spec):
    cuts = {0, *(e.end for e in spec.entries)}
    assert all({start, stop} <= cuts for start, stop in pieces(spec, tensors=True, size=100))


def test_a_tensor_rule_finds_its_tensors(spec):
    def largest(group):
        return torch.cat(
            [v.abs().amax(0).expand(v.shape[1:]).flatten() for v in group.spec.views(group.vectors).values()]
        )

    vectors, group = group_apart(spec)
    expected = largest(Group(vectors, group.weights, spec))
    assert fed(MergeRule("largest", largest, blocks="tensor"), group)[0].equal(expected)


def test_cut_tensors_have_one_dimension(spec):
    fc = next(e for e in spec.entries if e.name == "fc")
    cut = part_of(spec, fc.offset + 10, fc.end + 1)
    assert [(e.name, e.shape, e.offset) for e in cut.entries] == [("fc", (610,), 0), ("scale", (), 610)]
    assert part_of(spec, 0, spec.numel).entries == spec.entries


def test_a_rule_with_memory_gets_all_at_once(spec):
    def total(group, state):
        return group.vectors.sum(0), {"total": state["total"] + group.vectors.sum(0)}

    rule = MergeRule("total", total, lambda spec: {"total": torch.zeros(spec.numel)}, "element")
    vectors, group = group_apart(spec)
    made, state = fed(rule, group)
    assert made.equal(vectors.sum(0))
    assert state["total"].equal(vectors.sum(0))


def test_a_piece_of_the_wrong_shape_is_said_so(spec):
    rule = MergeRule("short", lambda g: g.vectors[0, :-1], blocks="element")
    with pytest.raises(RuntimeError, match=r"'short' returned a vector of shape \(99,\), expected \(100,\)"):
        fed(rule, group_apart(spec)[1])
