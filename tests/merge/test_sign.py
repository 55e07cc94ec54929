"""Sign-aligned merging: the election, who has a part, and what it is beside TIES-Merging."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.overrides import TorchFunctionMode

from gossipnet.errors import BadInput
from gossipnet.merge import blocks, make_merge, sign_agreement, variance_ratio
from gossipnet.merge.sign import Vote, _thresholds

aligned = make_merge("sign-aligned")
bare = make_merge("sign-aligned:scope=off")
few = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def columns(*models: list[float]) -> Tensor:
    return torch.tensor([[0.0] * len(models[0]), *models])


def test_the_example_of_ties_apart_from_its_tie(make_group):
    """TIES, base 0, gives [3, -3, -2]: it settles the tie in the third column by the majority of all columns.

    Here the base is the own model, 0, all the weight is the neighbors', and a tie keeps the own value.
    """
    group = make_group(columns([3, 1, 2], [-1, 1, -2], [-1, -3, 0]), [0, 1 / 3, 1 / 3, 1 / 3])
    torch.testing.assert_close(bare(group), torch.tensor([3.0, -3.0, 0.0]))


def test_neighbors_that_agree_give_the_weighted_average(make_group):
    own, steps = normal(500), normal(4, 500, seed=1).abs() * normal(500, seed=2).sign()
    group = make_group(torch.cat([own.unsqueeze(0), own + steps]), [0.4, 0.1, 0.2, 0.15, 0.15])
    torch.testing.assert_close(bare(group), make_merge("average")(group))


def test_one_neighbor_is_the_average(make_group):
    group = make_group(normal(2, 300), [0.7, 0.3])
    torch.testing.assert_close(bare(group), make_merge("average")(group))


def test_opposite_steps_keep_the_own_model(make_group):
    own, step = torch.randint(-99, 99, (2, 400), generator=torch.Generator().manual_seed(0)) / 1024
    group = make_group(torch.stack([own, own + step, own - step]))
    assert bare(group).equal(own)


def test_dissenters_have_no_part_but_their_weight_counts(make_group):
    group = make_group(columns([1.0], [2.0], [-1.0]), [0.2, 0.2, 0.3, 0.3])
    # elected: 0.2 + 0.6 - 0.3 > 0; mean of those who agree (0.2 * 1 + 0.3 * 2) / 0.5, times 0.8
    torch.testing.assert_close(bare(group), torch.tensor([0.8 * 0.8 / 0.5]))


def test_a_neighbor_without_a_difference_has_no_part(make_group):
    group = make_group(columns([1.0], [0.0]), [0.5, 0.25, 0.25])
    torch.testing.assert_close(bare(group), torch.tensor([0.5]))  # the only voter's step, times 0.25 + 0.25


def test_mass_and_count_elect_differently(make_group):
    group = make_group(columns([3.0], [-1.0], [-1.0]))
    torch.testing.assert_close(bare(group), torch.tensor([0.75 * 3.0]))
    torch.testing.assert_close(make_merge("sign-aligned:elect=count,scope=off")(group), torch.tensor([0.75 * -1.0]))


def test_the_election_is_exact_where_float32_depends_on_the_order(make_group):
    votes = [1.0, 2.0**-26, -1.0]
    one, small, minus = torch.tensor(votes)
    assert (float(one + small + minus), float(one + minus + small)) == (0, 2.0**-26)
    for order in ([0, 1, 2], [0, 2, 1], [1, 2, 0], [2, 1, 0]):
        out = bare(make_group(columns(*([votes[i]] for i in order)), [0.25] * 4))
        assert float(out) == pytest.approx(0.75 * (1 + 2.0**-26) / 2)


@few
@given(seed=st.integers(0, 2**31), k=st.integers(2, 7), tied=st.booleans())
def test_the_election_is_that_of_float64(seed, k, tied, make_group):
    """Whether steps cancel exactly, as k/1024 do, or up to the last bits of a float32 sum."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(k + 1, generator=generator) + 0.05
    if seed % 2:
        weights[1:] = weights[1]
    weights /= weights.sum()
    steps, wide = torch.randn(k, 2000, generator=generator), weights[1:].double()
    if tied:
        steps = torch.randint(-9, 10, steps.shape, generator=generator) / 1024
    else:
        steps[-1] = (wide[:-1] @ steps[:-1].double() / -wide[-1]).float()
        steps[-1] *= 1 + torch.randint(-4, 5, (2000,), generator=generator) * 2.0**-23
    out = bare(make_group(torch.cat([torch.zeros(1, 2000), steps]), weights))
    assert out.sign().equal((wide @ steps.double()).sign().float())


def test_few_elections_are_held_twice(make_group, monkeypatch):
    again = []
    exact = Vote._exact
    monkeypatch.setattr(Vote, "_exact", lambda self, rows: again.append(rows.shape[1]) or exact(self, rows))
    bare(make_group(normal(5, 1_000_000)))
    assert sum(again) < 10


def test_variance_is_corrected_after_the_election(make_group):
    group = make_group(normal(5, 20_000))
    spec = group.spec
    assert variance_ratio(spec, group.vectors, group.weights, bare(group)) < 0.8
    assert variance_ratio(spec, group.vectors, group.weights, aligned(group)) == pytest.approx(1, abs=1e-5)


def test_trim_drops_the_share_of_smallest_steps_of_each_neighbor(make_group):
    steps = torch.tensor([[1.0, -2.0, 3.0, -4.0, 5.0], [50.0, 40.0, 30.0, 20.0, 10.0]])
    own = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0])
    group = make_group(torch.cat([own.unsqueeze(0), own + steps]), [0.5, 0.25, 0.25])
    out = make_merge("sign-aligned:trim=0.4,scope=off")(group) - 1
    # the first neighbor keeps columns 2, 3, 4 and the second columns 0, 1, 2
    torch.testing.assert_close(out, torch.tensor([25.0, 20.0, 8.25, -2.0, 2.5]))


@pytest.mark.parametrize(("trim", "d", "dropped"), [(0.29, 100, 29), (0.3, 10, 3), (0.999, 10, 9), (0.05, 10, 0)])
def test_trim_drops_the_whole_number_below_its_share(trim, d, dropped):
    vectors = torch.stack([torch.zeros(d), torch.arange(1.0, d + 1)])
    assert float(_thresholds(vectors, trim)) == dropped + 1


def test_trim_keeps_equal_steps(make_group):
    group = make_group(columns([1.0, -1.0, 1.0]), [0.5, 0.5])
    assert make_merge("sign-aligned:trim=0.9,scope=off")(group).equal(bare(group))


def test_no_trim_is_no_error(make_group):
    """Published code asks for the 0-th smallest number where all are to be kept."""
    group = make_group(normal(4, 100))
    assert make_merge("sign-aligned:trim=0")(group).equal(aligned(group))


class Largest(TorchFunctionMode):
    """The most numbers that any float64 tensor had, seen from the torch calls inside the block."""

    numbers = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and made.dtype == torch.float64:
            self.numbers = max(self.numbers, made.numel())
        return made


def test_float64_copies_are_of_one_block_only(make_group):
    group = make_group(normal(4, 5 * blocks._COLUMNS + 3))
    with Largest() as seen:
        aligned(group)
    assert 0 < seen.numbers <= 3 * blocks._COLUMNS


def test_blocks_do_not_show_in_the_result(make_group, monkeypatch):
    group = make_group(normal(4, 1000))
    whole = aligned(group)
    monkeypatch.setattr(blocks, "_COLUMNS", 64)
    torch.testing.assert_close(aligned(group), whole, rtol=1e-6, atol=1e-7)


def test_sign_agreement_of_equal_opposite_and_independent_models():
    a, b = normal(200_000), normal(200_000, seed=1)
    assert sign_agreement(a, a) == 1
    assert sign_agreement(a, -a) == 0
    assert sign_agreement(a, b) == pytest.approx(0.5, abs=0.01)
    assert sign_agreement(torch.tensor([0.0, 0.0, 1.0, -1.0]), torch.tensor([0.0, 1.0, 2.0, -3.0])) == 0.75


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("sign-aligned:trim=1.5", "[0, 1)"),
        ("sign-aligned:trim=-0.1", "[0, 1)"),
        ("sign-aligned:elect=vote", "known: count, mass"),
        ("sign-aligned:scope=maybe", "expected bool"),
    ],
)
def test_bad_options_are_named_in_one_line(text, named):
    with pytest.raises(BadInput) as error:
        make_merge(text)
    assert named in str(error.value)
    assert "\n" not in str(error.value)
