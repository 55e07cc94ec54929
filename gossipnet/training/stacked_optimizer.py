"""The optimizers of many models at a time: the formulas of `optimizer.py`, on tensors with a row for each node."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from gossipnet.training.optimizer import optimizers

Rate = float | Tensor  # a learning rate: of all nodes, or (b,) one for each


class StackedOptimizer(Protocol):
    """The optimizer of b nodes at a time."""

    @property
    def memories(self) -> int:
        """Vectors of the size of the gradient that it remembers of each node; they start as zeros."""

    def step(self, values: Tensor, gradient: Tensor, memory: Sequence[Tensor], lr: Rate, count: Tensor) -> None:
        """Change `values` (b, ...) and `memory` in place; may overwrite `gradient`. `count`: (b,) steps, this one too.

        What it remembers was zero when `count` was 0.
        """


def stacked_optimizer(text: str) -> StackedOptimizer | None:
    """The stacked form of the optimizer that `text` describes; None for one that has none, such as a user's own."""
    name, options = optimizers.parse(text)
    make: Callable[..., StackedOptimizer] | None = {"sgd": StackedSGD, "adamw": StackedAdamW}.get(name)
    return make(**options) if make else None


@dataclass(frozen=True)
class StackedSGD:
    """`FlatSGD` of many nodes."""

    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    @property
    def memories(self) -> int:
        return 1 if self.momentum else 0

    def step(self, values: Tensor, gradient: Tensor, memory: Sequence[Tensor], lr: Rate, count: Tensor) -> None:
        change = gradient.add_(values, alpha=self.weight_decay) if self.weight_decay else gradient
        if self.momentum:
            velocity = memory[0].mul_(self.momentum).add_(change)
            change = change.add_(velocity, alpha=self.momentum) if self.nesterov else velocity
        if isinstance(lr, float):
            values.add_(change, alpha=-lr)
        else:
            values.addcmul_(change, rows_of(-lr, values))


@dataclass(frozen=True)
class StackedAdamW:
    """`torch.optim.AdamW` of many nodes, each at a step of its own."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01

    @property
    def memories(self) -> int:
        return 2

    def step(self, values: Tensor, gradient: Tensor, memory: Sequence[Tensor], lr: Rate, count: Tensor) -> None:
        mean, square = memory
        steps, rate = count.double(), torch.as_tensor(lr, dtype=torch.float64, device=count.device)
        values.mul_(rows_of(1 - rate * self.weight_decay, values))
        mean.lerp_(gradient, 1 - self.beta1)
        square.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        size = rate / (1 - torch.exp(steps * math.log(self.beta1))) if self.beta1 else rate.expand_as(steps)
        correction = (1 - torch.exp(steps * math.log(self.beta2))).sqrt() if self.beta2 else torch.ones_like(steps)
        divisor = square.sqrt().div_(rows_of(correction, values)).add_(self.eps)
        values.sub_(mean.mul(rows_of(size, values)).div_(divisor))


def rows_of(numbers: Tensor, like: Tensor) -> Tensor:
    """A number for each row, (b,) or (), so that it multiplies rows of any shape, (b, ...)."""
    return numbers.to(like.dtype).view(-1, *([1] * (like.ndim - 1)))
