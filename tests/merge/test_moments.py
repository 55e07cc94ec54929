"""Block by block means and variances against numpy's in float64."""

import numpy as np
import pytest
import torch

from gossipnet.merge import blocks
from gossipnet.merge.moments import Moments, variances
from gossipnet.model import Entry


def measured(rows: torch.Tensor, cut: int) -> tuple[np.ndarray, np.ndarray]:
    moments = Moments((Entry("weight", tuple(rows.shape[1:]), 0, rows.shape[1], False),), blocks.Scratch(rows))
    for start in range(0, rows.shape[1], cut):
        part = blocks.Stretch(start, min(start + cut, rows.shape[1]), 0)
        moments.add(part, rows[:, start : part.stop])
    mean, variance = moments.result(lambda part: [rows[:, part.start : part.stop]])
    return mean[:, 0].numpy(), variance[:, 0].numpy()


@pytest.mark.parametrize("cut", [1, 7, 64, 1000, 5000])
def test_blocks_of_any_size_give_the_moments_of_the_whole(cut):
    rows = torch.randn(3, 2011, generator=torch.Generator().manual_seed(0)) * torch.tensor([[1e-3], [1.0], [40.0]])
    mean, variance = measured(rows, cut)
    np.testing.assert_allclose(variance, rows.double().numpy().var(axis=1), rtol=1e-6)
    np.testing.assert_allclose(mean, rows.double().numpy().mean(axis=1), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("mean", [0.0, 1.0, 1e3, -1e4])
def test_a_mean_far_from_zero_does_not_cancel(mean):
    """In float32 the mean of squares less the square of the mean would be wrong from the first digit on."""
    rows = torch.randn(2, 200_000, generator=torch.Generator().manual_seed(1)) + mean
    naive = rows.square().mean(1) - rows.mean(1).square()
    exact = rows.double().numpy().var(axis=1)
    np.testing.assert_allclose(measured(rows, 1 << 16)[1], exact, rtol=1e-6 + (2e-7 * mean) ** 2)
    if abs(mean) >= 1e3:
        assert np.abs(naive.numpy() / exact - 1).max() > 1e-3


def test_blocks_with_different_means_count_in_full():
    rows = torch.cat([torch.zeros(1, 4096), torch.full((1, 100_000), 5.0)], 1)
    rows += torch.randn(rows.shape, generator=torch.Generator().manual_seed(2)) * 1e-3
    np.testing.assert_allclose(measured(rows, 4096)[1], rows.double().numpy().var(axis=1), rtol=1e-6)


def test_a_big_tensor_is_as_good_as_float64():
    rows = torch.randn(2, 3_000_000, generator=torch.Generator().manual_seed(3)) * 0.02
    np.testing.assert_allclose(measured(rows, 1 << 16)[1], rows.double().numpy().var(axis=1), rtol=1e-7)


def test_variances_are_those_of_the_weight_tensors(spec):
    vectors = torch.randn(3, spec.numel, generator=torch.Generator().manual_seed(4))
    found = variances(spec, vectors)
    assert found.shape == (3, 3)  # conv, fc and out: no bias, no scalar, no buffer
    fc = next(e for e in spec.entries if e.name == "fc")
    np.testing.assert_allclose(found[:, 1].numpy(), fc.of(vectors).double().flatten(1).numpy().var(axis=1), rtol=1e-6)


def test_a_mean_far_from_zero_in_one_model_alone():
    """What is squared as it comes and what is centred first lie side by side."""
    rows = torch.randn(3, 20_000, generator=torch.Generator().manual_seed(5)) + torch.tensor([[0.0], [300.0], [0.1]])
    np.testing.assert_allclose(measured(rows, 4096)[1], rows.double().numpy().var(axis=1), rtol=1e-6)


def test_a_constant_has_no_variance_to_the_last_bit():
    rows = torch.full((1, 30_000), 0.3)
    assert measured(rows, 1 << 16)[1] < 1e-14
