"""Variance correction: oracles of its theory, and the defects of published code that it must not have."""

import math
from collections.abc import Callable

import networkx as nx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from gossipnet.errors import BadInput
from gossipnet.merge import make_merge, variance_ratio, variance_ratios

average = make_merge("average")
corrected = make_merge("variance-corrected")
few = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def variance(vector: Tensor) -> float:
    return float(vector.double().var(correction=0))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def correlated(k: int, rho: float, d: int = 4000) -> Tensor:
    """k rows of mean 0 and variance 1 whose pairwise correlation is rho exactly."""
    basis, _ = torch.linalg.qr(torch.cat([torch.ones(d, 1), normal(d, k + 1)], 1).double())
    basis = basis[:, 1:] * math.sqrt(d)
    return (math.sqrt(rho) * basis[:, :1] + math.sqrt(1 - rho) * basis[:, 1:]).T.float().contiguous()


@pytest.mark.parametrize("k", [2, 4, 8])
def test_averaging_independent_models_divides_the_variance_by_their_number(k, make_group):
    bound = math.sqrt(6 / 600)  # Xavier, 300 x 300
    group = make_group((torch.rand(k, 90_000, generator=torch.Generator().manual_seed(k)) * 2 - 1) * bound)
    given_variance = sum(map(variance, group.vectors)) / k
    assert variance(average(group)) / given_variance == pytest.approx(1 / k, rel=0.02)
    assert variance(corrected(group)) / given_variance == pytest.approx(1, abs=1e-6)


def test_blend_of_half_own_and_eight_neighbors(make_group):
    group = make_group(correlated(9, 0.0), [0.5] + [0.5 / 8] * 8)
    assert variance(average(group)) == pytest.approx(0.28125, abs=1e-5)
    assert variance(corrected(group)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("k", "rho", "ratio"), [(4, 0.5, 0.625), (8, 0.9, 0.9125), (3, 0.0, 1 / 3), (5, 1.0, 1.0)])
def test_variance_of_correlated_models_has_a_closed_form(k, rho, ratio, make_group):
    group = make_group(correlated(k, rho))
    mean = average(group)
    assert variance(mean) == pytest.approx(ratio, abs=1e-5)
    torch.testing.assert_close(corrected(group), mean * ratio**-0.5, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("text", ["variance-corrected", "variance-corrected:target=others"])
@pytest.mark.parametrize("weights", [[0.5, 0.25, 0.25], [0.3, 0.3, 0.4]])
def test_identical_models_stay_as_the_average_leaves_them(text, weights, make_group):
    group = make_group(normal(1, 5000).repeat(3, 1), weights)
    assert make_merge(text)(group).equal(average(group))


@few
@given(seed=st.integers(0, 2**31), k=st.integers(2, 6))
def test_the_default_never_shrinks(seed, k, make_group):
    models = normal(k, 40, seed=seed) * torch.logspace(-2, 2, k).unsqueeze(1) + normal(k, 1, seed=seed + 1)
    group = make_group(models, torch.softmax(normal(k, seed=seed + 2), 0))
    assert variance(corrected(group)) >= variance(average(group)) * (1 - 1e-5)


@few
@given(seed=st.integers(0, 2**31), target=st.sampled_from(["all", "others", "self"]))
def test_the_mean_stays_and_deviations_are_only_rescaled(seed, target, make_group):
    group = make_group(normal(4, 300, seed=seed) + normal(4, 1, seed=seed + 1))
    before, after = average(group), make_merge(f"variance-corrected:target={target}")(group)
    assert float(after.double().mean()) == pytest.approx(float(before.double().mean()), abs=1e-6)
    assert float(torch.corrcoef(torch.stack([before, after]))[0, 1]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("text", ["variance-corrected", "variance-corrected:target=others"])
def test_opposite_models_average_to_a_constant_and_stay_there(text, make_group):
    x = normal(1, 1000)
    out = make_merge(text)(make_group(torch.cat([x + 3, 3 - x])))
    torch.testing.assert_close(out, torch.full((1000,), 3.0), rtol=1e-5, atol=0)


@pytest.mark.parametrize("text", ["variance-corrected:tensors=all", "variance-corrected:target=others,tensors=all"])
def test_constant_tensors_do_not_divide_by_zero(text, spec, make_group):
    group = make_group(torch.arange(4.0).unsqueeze(1).repeat(1, spec.numel), spec=spec)
    assert make_merge(text)(group).equal(average(group))


def test_anticorrelated_models_are_held_at_the_bound(make_group):
    x = normal(1, 20_000)
    models = torch.cat([x, -0.9 * x, 0.1 * x])
    group = make_group(models, [0.5, 0.3, 0.2])
    bound = 1.05 / math.sqrt(0.5**2 + 0.3**2 + 0.2**2)
    mean = average(group)
    torch.testing.assert_close(corrected(group) - mean.mean(), (mean - mean.mean()) * bound, rtol=1e-4, atol=1e-5)


def test_others_aims_at_the_received_models_alone(make_group):
    models = correlated(5, 0.0) * torch.tensor([3.0, 1.0, 2.0, 1.0, 2.0]).unsqueeze(1)
    out = make_merge("variance-corrected:target=others")(make_group(models, [0.5] + [0.125] * 4))
    assert variance(out) == pytest.approx((1 + 4 + 1 + 4) / 4, rel=1e-5)


def test_self_aims_at_the_own_variance_before_the_merge(make_group):
    """Published code measured it after the blend had overwritten the model, which made the mode do nothing."""
    models = correlated(3, 0.0) * torch.tensor([2.0, 1.0, 1.0]).unsqueeze(1)
    group = make_group(models)
    out = make_merge("variance-corrected:target=self")(group)
    assert variance(out) == pytest.approx(4, rel=1e-5)
    assert variance(average(group)) == pytest.approx(6 / 9, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0])
def test_small_variances_reach_their_target_in_full(scale, make_group):
    """Published code adds 1e-4 to both variances: eight 3x3 convolutions of 512 channels then reach 31 % of it."""
    group = make_group(normal(8, 50_000) * scale)
    wanted = sum(map(variance, group.vectors)) / 8
    assert variance(corrected(group)) / wanted == pytest.approx(1, abs=1e-5)
    epsilon = (wanted + 1e-4) / (variance(average(group)) + 1e-4) * variance(average(group)) / wanted
    assert scale == 1.0 or epsilon < 0.5


def test_tensors_says_what_is_corrected(spec, make_group):
    """Published code wraps its list of tensors to skip in another list, so that none is ever skipped."""
    group = make_group(normal(5, spec.numel), spec=spec)
    plain, weights = spec.views(average(group)), spec.views(corrected(group))
    everything = spec.views(make_merge("variance-corrected:tensors=all")(group))

    def close(a: dict[str, Tensor], b: dict[str, Tensor]) -> set[str]:
        return {name for name in a if torch.allclose(a[name], b[name], rtol=1e-6)}

    assert close(weights, plain) == {"conv.bias", "scale", "fc.bias", "running_mean"}
    assert close(everything, plain) == {"scale", "running_mean"}  # a single number has no variance


def test_each_tensor_is_corrected_by_itself(spec, make_group):
    scales = torch.cat([torch.full((e.numel,), 10.0 ** -(i % 3)) for i, e in enumerate(spec.entries)])
    group = make_group(normal(4, spec.numel) * scales, spec=spec)
    whole = corrected(group)
    for entry in spec.entries:
        if entry.name in ("conv", "fc", "out"):
            alone = corrected(make_group(entry.of(group.vectors).flatten(1)))
            torch.testing.assert_close(entry.of(whole).flatten(), alone)


def test_a_tensor_of_many_blocks_is_corrected_as_a_whole(make_group):
    models = normal(3, 200_000) + torch.linspace(-2, 2, 200_000)  # its mean drifts from block to block
    group = make_group(models)
    mean = average(group).double()
    wanted = sum(map(variance, models)) / 3
    factor = math.sqrt(wanted / variance(mean))
    torch.testing.assert_close(corrected(group), (mean.mean() + (mean - mean.mean()) * factor).float())


def test_fifty_nodes_keep_their_variance_and_agree_no_later(make_group):
    """50 nodes, random 8-regular graph, half own and half the mean of the neighbors, no training."""
    graph = nx.random_regular_graph(8, 50, seed=0)
    plain, kept = run(average, graph, make_group), run(corrected, graph, make_group)
    assert [plain[r][0] for r in (0, 1, 2, 5)] == pytest.approx([1, 0.282, 0.116, 0.031], rel=0.05)
    assert plain[30][0] == pytest.approx(0.0205, rel=0.1)
    assert [v for v, _ in kept] == pytest.approx([1.0] * 31, abs=0.01)
    disagreement = [kept[r][1] for r in (0, 1, 2, 5, 10)]
    assert disagreement == pytest.approx([0.990, 0.963, 0.907, 0.569, 0.156], rel=0.08)
    assert kept[30][1] < 0.01
    assert [d for _, d in kept] == pytest.approx([d for _, d in plain], rel=0.02, abs=1e-3)


def run(rule: Callable[..., Tensor], graph: nx.Graph, make_group: Callable[..., object]) -> list[tuple[float, float]]:
    """Per round: the mean variance of a node's tensor, and the relative disagreement between nodes."""
    models, found = normal(50, 3000), []
    for _ in range(31):
        spread = (models - models.mean(0)).square().sum() / models.square().sum()
        found.append((sum(map(variance, models)) / 50, float(spread.sqrt())))
        rows = [[i, *sorted(graph[i])] for i in range(50)]
        models = torch.stack([rule(make_group(models[row], [0.5] + [1 / 16] * 8)) for row in rows])
    return found


def test_the_ratio_is_that_of_variances_averaged_over_tensors(spec, make_group):
    group = make_group(normal(4, spec.numel), spec=spec)
    out = average(group)
    wanted = [
        variance(e.of(out)) / (sum(variance(e.of(v)) for v in group.vectors) / 4)
        for e in spec.entries
        if e.name in ("conv", "fc", "out")
    ]
    ratio = variance_ratio(spec, group.vectors, group.weights, out)
    assert ratio == pytest.approx(sum(wanted) / 3, rel=1e-6)
    assert variance_ratios(spec, group.vectors, group.weights, out).tolist() == pytest.approx(wanted, rel=1e-6)


def test_the_ratio_skips_constant_tensors_and_is_never_nan(make_spec, make_group):
    spec = make_spec({"zero": (2, 3), "full": (2, 3), "bias": (3,)})
    vectors = normal(3, spec.numel)
    vectors[:, :6] = 0
    group = make_group(vectors, spec=spec)
    assert variance_ratio(spec, vectors, group.weights, vectors[0]) == pytest.approx(
        variance(vectors[0, 6:12]) / (sum(variance(v[6:12]) for v in vectors) / 3), rel=1e-6
    )
    assert variance_ratio(spec, vectors * 0, group.weights, vectors[0]) is None
    assert variance_ratio(make_spec({"bias": (15,)}), vectors, group.weights, vectors[0]) is None
    assert variance_ratio(spec, vectors[:1], torch.ones(1), vectors[0]) is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("variance-corrected:target=foo", "known: all, others, self"),
        ("variance-corrected:tensors=foo", "known: all, weights"),
        ("variance-corrected:tagret=self", "did you mean 'target'"),
    ],
)
def test_bad_options_are_named_in_one_line(text, named):
    with pytest.raises(BadInput) as error:
        make_merge(text)
    assert named in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("target", ["all", "others", "self"])
def test_variances_beyond_float32_leave_the_average(target, make_group):
    models = normal(3, 100)
    models[1] *= 1e30
    group = make_group(models)
    assert make_merge(f"variance-corrected:target={target}")(group).equal(average(group))
