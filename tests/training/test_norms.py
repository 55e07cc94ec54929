"""Running statistics estimated anew."""

import pytest
import torch
from torch import nn

from gossipnet.training.norms import batch_norms, recalibrate


def net(momentum=0.1):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2, momentum=momentum),
        nn.Flatten(),
        nn.BatchNorm1d(18, track_running_stats=False),
        nn.Linear(18, 4),
        nn.BatchNorm1d(4, momentum=momentum),
    )


def test_layers_that_keep_no_statistics_are_left_out():
    module = net()
    assert batch_norms(module) == [module[1], module[5]]
    assert batch_norms(nn.Linear(2, 2)) == []


@pytest.mark.parametrize("momentum", [0.1, 0.9, None])
def test_statistics_are_the_plain_mean_over_the_batches(momentum):
    module, inputs = net(momentum), [torch.randn(7, 1, 5, 5) + i for i in range(4)]
    for norm in batch_norms(module):
        norm.running_mean.fill_(50), norm.running_var.fill_(50), norm.num_batches_tracked.fill_(13)
    weights = [p.clone() for p in module.parameters()]
    recalibrate(module, inputs)
    with torch.no_grad():
        seen = [module[0](x) for x in inputs]
    assert torch.allclose(module[1].running_mean, torch.stack([s.mean((0, 2, 3)) for s in seen]).mean(0), atol=1e-6)
    assert torch.allclose(module[1].running_var, torch.stack([s.var((0, 2, 3)) for s in seen]).mean(0), atol=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(weights, module.parameters(), strict=True))
    assert {int(norm.num_batches_tracked) for norm in batch_norms(module)} == {13}
    assert {norm.momentum for norm in batch_norms(module)} == {momentum}
    assert (module[5].running_var >= 0).all()


def test_momentum_is_put_back_when_a_pass_fails():
    module = net()
    with pytest.raises(RuntimeError):
        recalibrate(module, [torch.randn(7, 3, 5, 5)])
    assert {norm.momentum for norm in batch_norms(module)} == {0.1}
