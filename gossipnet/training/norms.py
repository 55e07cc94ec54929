"""BatchNorm statistics after a merge, estimated anew from a node's own data."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

BatchNorm = nn.modules.batchnorm._BatchNorm  # of any number of dimensions


def batch_norms(module: nn.Module) -> list[nn.Module]:
    """The layers that keep running statistics of their inputs."""
    return [m for m in module.modules() if isinstance(m, BatchNorm) and m.track_running_stats]


def recalibrate(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of every BatchNorm to their mean over `batches` of inputs, by forward passes.

    The weights stay as they are, and so do the counts of batches, which are each node's own. Source: Izmailov et al.
    2018 (arXiv 1803.05407), section 3.2.
    """
    with _cumulative(batch_norms(module)), torch.no_grad():
        module.train()
        for inputs in batches:
            module(inputs)


@contextmanager
def _cumulative(norms: Iterable[nn.Module]) -> Iterator[None]:
    """Inside, running statistics start afresh and are plain means of all batches seen."""
    kept = [(norm, norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]  # type: ignore[operator]
    for norm, _, _ in kept:
        norm.reset_running_stats()  # type: ignore[operator]
        norm.momentum = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for norm, momentum, count in kept:
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(count)  # type: ignore[operator]
