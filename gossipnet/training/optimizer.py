"""Optimizers of the local steps, by name, with their options as text.

`sgd` is our own for one reason: a model here is one vector, so that a step is one operation on it, whatever the number
of its tensors; and the first use of any `torch.optim` class imports torch's compiler, which takes two seconds and
100 MB in every node. Its arithmetic is that of `torch.optim.SGD`, to the bit.
"""

from collections.abc import Callable, MutableMapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import Parameter

from gossipnet.errors import BadInput
from gossipnet.registry import Registry


class Optimizer(Protocol):
    """What training needs of an optimizer; every `torch.optim.Optimizer` is one."""

    param_groups: list[dict[str, Any]]  # each with its learning rate, "lr"

    @property
    def state(self) -> MutableMapping[Any, Any]:
        """What it remembers of earlier steps (momentum); cleared, it begins afresh."""

    def zero_grad(self) -> None: ...

    def step(self) -> object: ...


Make = Callable[[Sequence[Parameter], float], Optimizer]

optimizers: Registry[Make] = Registry("optimizer", "optimizer")


def make_optimizer(text: str, parameters: Sequence[Parameter], lr: float) -> Optimizer:
    """The optimizer that `text` describes ("sgd:momentum=0.9"), over the parameters that require a gradient.

    Make it after `bind`: what lies together in memory is updated together.
    """
    make: Make = optimizers.make(text)
    return make([p for p in parameters if p.requires_grad], lr)


def scale_lr(optimizer: Optimizer, factor: float) -> None:
    """Set every learning rate to `factor` times the one that the optimizer was made with, as torch's schedulers do."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group.setdefault("initial_lr", group["lr"])


@optimizers.register("sgd")
def sgd(momentum: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False) -> Make:
    """Stochastic gradient descent; momentum in [0, 1), none by default."""
    _between("sgd", "momentum", momentum, 0, 1)
    _between("sgd", "weight_decay", weight_decay, 0, 1e6)
    if nesterov and not momentum:
        raise BadInput("optimizer 'sgd': nesterov needs momentum, write sgd:momentum=0.9,nesterov=true")
    return lambda parameters, lr: FlatSGD(parameters, lr, momentum, weight_decay, nesterov)


@optimizers.register("adamw")
def adamw(beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.01) -> Make:
    """Adam with decoupled weight decay; usually wants a learning rate of 0.001 or less."""
    _between("adamw", "beta1", beta1, 0, 1)
    _between("adamw", "beta2", beta2, 0, 1)
    _between("adamw", "weight_decay", weight_decay, 0, 1e6)
    if eps <= 0:
        raise BadInput(f"optimizer 'adamw': got eps={eps:g}, expected a number above 0")

    def make(parameters: Sequence[Parameter], lr: float) -> Optimizer:
        return torch.optim.AdamW(parameters, lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay)

    return make


class FlatSGD:
    """`torch.optim.SGD`, run by run of parameters that lie one after the other in memory.

    The parameters' gradients become views of one vector per run, and stay so. One difference: a parameter that took
    no part in the loss has a zero gradient, not none, so that weight decay and momentum go on with it.
    """

    def __init__(
        self, parameters: Sequence[Parameter], lr: float, momentum: float, weight_decay: float, nesterov: bool
    ) -> None:
        self._momentum, self._weight_decay, self._nesterov = momentum, weight_decay, nesterov
        self._runs = [_flatten(run) for run in _runs(parameters)]
        self.param_groups: list[dict[str, Any]] = [{"params": [*parameters], "lr": lr}]
        self.state: MutableMapping[int, Tensor] = {}  # run -> velocity

    def zero_grad(self) -> None:
        for _, gradient in self._runs:
            gradient.zero_()

    @torch.no_grad()
    def step(self) -> None:
        lr = self.param_groups[0]["lr"]
        for i, (values, gradient) in enumerate(self._runs):
            change = gradient.add(values, alpha=self._weight_decay) if self._weight_decay else gradient
            if self._momentum:
                velocity = self.state.get(i)
                if velocity is None:
                    velocity = self.state[i] = change.clone()
                else:
                    velocity.mul_(self._momentum).add_(change)
                change = change.add(velocity, alpha=self._momentum) if self._nesterov else velocity
            values.add_(change, alpha=-lr)


def _runs(parameters: Sequence[Parameter]) -> list[list[Parameter]]:
    """The parameters in order, split where one does not begin in memory where the one before it ends."""
    runs: list[list[Parameter]] = []
    end = -1
    for parameter in parameters:
        if not parameter.is_contiguous():
            raise BadInput("the optimizer's parameters are not contiguous: bind the module first")
        if parameter.data_ptr() != end:
            runs.append([])
        runs[-1].append(parameter)
        end = parameter.data_ptr() + parameter.numel() * parameter.element_size()
    return runs


def _flatten(run: Sequence[Parameter]) -> tuple[Tensor, Tensor]:
    """All values of a run as one tensor, and all gradients as another, of which each parameter's own are views."""
    first, size = run[0].data, sum(p.numel() for p in run)
    values = torch.as_strided(first, (size,), (1,), first.storage_offset())
    gradient = torch.zeros_like(values)
    offset = 0
    for parameter in run:
        parameter.grad = gradient[offset : offset + parameter.numel()].view(parameter.shape)
        offset += parameter.numel()
    return values, gradient


def _between(optimizer: str, option: str, value: float, low: float, high: float) -> None:
    if not low <= value < high:
        raise BadInput(f"optimizer {optimizer!r}: got {option}={value:g}, expected a number in [{low:g}, {high:g})")
