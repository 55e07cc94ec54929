"""What every registered merge rule keeps to; a new rule is tested by being registered."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from two_lanes import LateLanes

from gossipnet.merge import Group, blocks, make_merge, merge_rules
from gossipnet.merge.apart import Apart
from gossipnet.merge.feed import feed
from gossipnet.model import ModelSpec

VARIANTS = [
    "variance-corrected:tensors=all",
    "variance-corrected:target=others",
    "variance-corrected:target=self,tensors=all",
    "sign-aligned:trim=0.3",
    "sign-aligned:elect=count",
    "sign-aligned:scope=off",
]
RULES = sorted({*merge_rules.names(), *VARIANTS})
BUILT_IN = ("average", "variance-corrected", "sign-aligned")

every_rule = pytest.mark.parametrize("text", RULES)
few = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
seeds = st.integers(0, 2**31)
neighbors = st.integers(1, 6)

# Laws that hold for linear rules only, and the rules that are excused from them.
NOT_CONVEX = {"variance-corrected", "sign-aligned"}
NOT_MEAN_PRESERVING = {"variance-corrected", "sign-aligned"}


def name_of(text: str) -> str:
    return merge_rules.parse(text)[0]


def merged(text: str, group: Group) -> Tensor:
    return make_merge(text).step(group)[0]


def draw_weights(generator: torch.Generator, n: int) -> Tensor:
    weights = torch.rand(n, generator=generator) + 0.05
    return weights / weights.sum()


def draw(seed: int, k: int, spec: ModelSpec, make_group: Callable[..., Group], scale: float = 1.0) -> Group:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(k + 1, spec.numel, generator=generator) * scale
    return make_group(vectors, draw_weights(generator, k + 1), spec)


@every_rule
@few
@given(seed=seeds, k=neighbors)
def test_equal_models_are_a_fixed_point(text, seed, k, spec, make_group):
    group = draw(seed, k, spec, make_group)
    same = make_group(group.vectors[:1].repeat(k + 1, 1), group.weights, spec)
    torch.testing.assert_close(merged(text, same), same.vectors[0], rtol=1e-6, atol=1e-6)


@every_rule
@few
@given(seed=seeds, k=neighbors)
def test_the_order_of_neighbors_does_not_matter(text, seed, k, spec, make_group):
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randint(-9, 10, (k + 1, spec.numel), generator=generator) / 1024  # near-ties become ties
    weights = draw_weights(generator, k + 1)
    if seed % 2:
        weights[1:] = weights[1:].mean()
    order = torch.cat([torch.zeros(1, dtype=torch.int64), 1 + torch.randperm(k, generator=generator)])
    first = merged(text, make_group(vectors, weights, spec))
    second = merged(text, make_group(vectors[order], weights[order], spec))
    torch.testing.assert_close(second, first, rtol=1e-5, atol=1e-8)


@every_rule
def test_nothing_arrived_gives_own_model_bit_for_bit(text, spec, make_group):
    group = draw(3, 0, spec, make_group)
    group.vectors[0, :4] = torch.tensor([0.0, -0.0, 1e-42, -3e37])
    out = merged(text, make_group(group.vectors, [1.0], spec))
    assert out.view(torch.int32).equal(group.vectors[0].view(torch.int32))
    assert out.data_ptr() != group.vectors.data_ptr()


@every_rule
@few
@given(seed=seeds, k=neighbors, power=st.integers(-12, 12))
def test_the_result_is_a_finite_vector(text, seed, k, power, spec, make_group):
    group = draw(seed, k, spec, make_group, 10.0**power)
    group.vectors[seed % (k + 1)] *= 1e3
    out = merged(text, group)
    assert out.shape == (spec.numel,)
    assert bool(out.isfinite().all())


@every_rule
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_and_device_are_kept(text, dtype, spec, make_group):
    group = draw(4, 3, spec, make_group)
    out = merged(text, make_group(group.vectors.to(dtype), group.weights, spec))
    assert out.dtype == dtype
    assert out.device == group.vectors.device


@every_rule
def test_the_group_is_not_written_to(text, spec, make_group):
    group = draw(5, 4, spec, make_group)
    vectors, weights = group.vectors.clone(), group.weights.clone()
    out = merged(text, group)
    out.zero_()
    assert group.vectors.equal(vectors)
    assert group.weights.equal(weights)


@every_rule
@few
@given(seed=seeds, k=neighbors, padding=st.integers(0, 5))
def test_the_same_models_give_the_same_bits(text, seed, k, padding, spec, make_group):
    group = draw(seed, k, spec, make_group)
    elsewhere = torch.full((k + 1, spec.numel + padding), torch.nan)[:, padding:]
    elsewhere.copy_(group.vectors)
    again = merged(text, make_group(elsewhere, group.weights, spec))
    assert again.equal(merged(text, group))


@every_rule
@few
@given(seed=seeds, k=st.integers(0, 5), most=st.sampled_from([50, 400, 1 << 17]))
def test_models_that_lie_apart_give_the_same_bits(text, seed, k, most, spec, make_group, monkeypatch):
    monkeypatch.setattr(blocks, "_COLUMNS", most)
    group, rule = draw(seed, k, spec, make_group), make_merge(text)
    lanes = LateLanes() if seed % 2 else None  # as on a GPU, whose copies are late
    apart = replace(group, vectors=Apart([row.clone() for row in group.vectors], lanes))
    memory = rule.init(spec) if rule.init else None
    assert feed(rule, apart, memory, blocks.Results())[0].equal(merged(text, group))


@every_rule
@few
@given(seed=seeds, k=st.integers(0, 5))
def test_vmap_agrees_with_a_loop(text, seed, k, spec, make_group):
    rule = make_merge(text)
    groups = [draw(seed + node, k, spec, make_group) for node in range(3)]

    def step(vectors: Tensor, weights: Tensor) -> Tensor:
        return rule.step(Group(vectors, weights, spec, ages=groups[0].ages, samples=groups[0].samples))[0]

    stacked = torch.vmap(step)(torch.stack([g.vectors for g in groups]), torch.stack([g.weights for g in groups]))
    looped = torch.stack([rule.step(g)[0] for g in groups])
    torch.testing.assert_close(stacked, looped, rtol=1e-5, atol=1e-7)


@every_rule
@few
@given(seed=seeds, k=neighbors, scale=st.sampled_from([0.25, -2.0, 3.0]))
def test_scaled_models_give_the_scaled_result(text, seed, k, scale, spec, make_group):
    group = draw(seed, k, spec, make_group)
    scaled = merged(text, make_group(group.vectors * scale, group.weights, spec))
    torch.testing.assert_close(scaled, merged(text, group) * scale, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("text", [t for t in RULES if name_of(t) not in NOT_CONVEX])
@few
@given(seed=seeds, k=neighbors)
def test_the_result_lies_between_the_models(text, seed, k, spec, make_group):
    group = draw(seed, k, spec, make_group)
    out = merged(text, group)
    assert bool((out >= group.vectors.amin(0) - 1e-6).all())
    assert bool((out <= group.vectors.amax(0) + 1e-6).all())


@pytest.mark.parametrize("text", [t for t in RULES if name_of(t) not in NOT_MEAN_PRESERVING])
@few
@given(seed=seeds, n=st.integers(3, 9))
def test_doubly_stochastic_weights_keep_the_mean_over_nodes(text, seed, n, spec, make_group):
    models = draw(seed, n - 1, spec, make_group).vectors
    ring = [models[[i, (i - 1) % n, (i + 1) % n]] for i in range(n)]
    after = torch.stack([merged(text, make_group(rows, None, spec)) for rows in ring])
    torch.testing.assert_close(after.mean(0), models.mean(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("text", [t for t in RULES if name_of(t) in BUILT_IN])
@few
@given(seed=seeds, k=neighbors)
def test_a_model_of_weight_zero_has_no_say(text, seed, k, spec, make_group):
    group = draw(seed, k, spec, make_group)
    silent = torch.cat([group.vectors, group.vectors[:1] * -7])
    out = merged(text, make_group(silent, [*group.weights.tolist(), 0.0], spec))
    torch.testing.assert_close(out, merged(text, group), rtol=1e-5, atol=1e-6)
