"""Merges on a GPU: the laws, a CPU's results up to rounding, models streamed in, and a GPU that is full."""

import pytest
import torch

from gossipnet.arena import Arena
from gossipnet.lanes import CudaLanes
from gossipnet.merge import Group, make_merge, merge_rules
from gossipnet.merge import blocks as cutting
from gossipnet.merge.apart import Apart
from gossipnet.merge.blocks import Results
from gossipnet.merge.feed import feed
from gossipnet.model import Entry, ModelSpec
from gossipnet.training.merging import Incoming, Merging
from gossipnet.training.staging import pinned

RULES = [*merge_rules.names(), "sign-aligned:trim=0.3", "sign-aligned:elect=count", "variance-corrected:target=others"]
SHAPES = {"conv": (8, 3, 5, 5), "fc": (900, 500), "bias": (500,), "out": (10, 500)}


def spec_of(shapes):
    entries, offset = [], 0
    for name, shape in shapes.items():
        entries.append(Entry(name, shape, offset, torch.Size(shape).numel(), buffer=False))
        offset = entries[-1].end
    return ModelSpec(tuple(entries))


SPEC = spec_of(SHAPES)


def group_of(k, device, seed=0, spec=SPEC):
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(k + 1, spec.numel, generator=generator)
    weights = torch.rand(k + 1, generator=generator) + 0.1
    return Group(vectors=vectors.to(device), weights=(weights / weights.sum()).to(device), spec=spec)


def merged(text, group):
    return make_merge(text).step(group)[0]


def in_pinned_memory(rows):
    arena = Arena(len(rows))
    arena.renew(pinned)
    held = [torch.from_numpy(arena.take(row.nbytes)).view(torch.float32) for row in rows]
    for into, row in zip(held, rows, strict=True):
        into.copy_(row)
        assert into.is_pinned()
    return held


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("text", RULES)
def test_a_gpu_merges_what_a_cpu_merges(text, k, gpu):
    there = merged(text, group_of(k, gpu))
    assert there.device == gpu
    here = merged(text, group_of(k, torch.device("cpu")))
    different = (there.cpu() - here).abs() > 1e-5 + 1e-4 * here.abs()
    # sums of another order decide a vote that is nearly even, or what is just trimmed
    assert int(different.sum()) <= (SPEC.numel // 10_000 if text.startswith("sign") else 0)


@pytest.mark.parametrize("text", RULES)
def test_laws_hold_on_a_gpu(text, gpu):
    group = group_of(3, gpu)
    same = Group(vectors=group.vectors[:1].repeat(4, 1), weights=group.weights, spec=SPEC)
    torch.testing.assert_close(merged(text, same), same.vectors[0], rtol=1e-5, atol=1e-5)
    alone = Group(vectors=group.vectors[:1], weights=torch.ones(1, device=gpu), spec=SPEC)
    assert merged(text, alone).equal(group.vectors[0])
    before = group.vectors.clone()
    assert bool(merged(text, group).isfinite().all())
    assert group.vectors.equal(before)
    assert merged(text, group).equal(merged(text, group))


@pytest.mark.parametrize("most", [10_000, 1 << 23])
@pytest.mark.parametrize("text", RULES)
def test_models_streamed_in_give_the_same_bits(text, most, gpu, monkeypatch):
    monkeypatch.setattr(cutting, "_NUMBERS_GPU", most)
    group, rule = group_of(4, gpu), make_merge(text)
    expected = merged(text, group)
    rows = in_pinned_memory([row.cpu() for row in group.vectors[1:]])
    for _ in range(5):
        apart = Apart([group.vectors[0], *rows], CudaLanes(gpu))
        memory = rule.init(SPEC) if rule.init else None
        found = feed(rule, Group(vectors=apart, weights=group.weights, spec=SPEC), memory, Results())[0]
        assert found.equal(expected)


def wide():
    """22 million numbers, 88 MB."""
    return spec_of({f"layer{i}": (1024, 1024) for i in range(21)})


@pytest.mark.parametrize("text", ["average", "variance-corrected", "sign-aligned"])
def test_memory_does_not_grow_with_the_number_of_models(text, gpu):
    spec, extra = wide(), {}
    own = torch.randn(spec.numel, device=gpu)
    rows = in_pinned_memory([torch.randn(spec.numel)] * 2)
    for k in (2, 16):
        merging = Merging(own, spec, make_merge(text))
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        merging((1 / (k + 1), 1, 1), [Incoming(rows[i % 2], 1 / (k + 1), 1, 1) for i in range(k)], measure=False)
        extra[k] = torch.cuda.max_memory_allocated() - before
    assert extra[2] <= own.nbytes + (256 << 20)  # the result, two blocks and what a rule computes in
    assert extra[16] <= 1.1 * extra[2]


@pytest.mark.filterwarnings("ignore:.*merging on the CPU")
def test_a_full_gpu_merges_on_the_cpu(gpu):
    spec = wide()
    own = torch.randn(spec.numel, device=gpu)
    other = torch.randn(spec.numel)
    merging = Merging(own, spec, make_merge("average"))
    expected = (own.cpu() + other) / 2
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(gpu).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (8 << 20)) / total)
    try:
        numbers = merging((0.5, 1, 1), [Incoming(other, 0.5, 1, 1)], measure=False)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert numbers["device_full"] == 1
    torch.testing.assert_close(own.cpu(), expected)
