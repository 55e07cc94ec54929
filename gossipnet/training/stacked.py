"""Many nodes trained at a time: a block of models is one tensor (b, d), a local step of all of them one step of it.

`StackedTrainer` is to the nodes 0..n-1 what a Trainer is to one, by torch.func: the same batches, formulas and
policies, results that differ by rounding. It holds everything of a node but its vector, which comes in as a row.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from gossipnet.data.task import Task
from gossipnet.model import ModelSpec, bind
from gossipnet.streams import generator, seed_of
from gossipnet.training.batches import hold_out
from gossipnet.training.feed import Feed
from gossipnet.training.randomness import OwnRandomness
from gossipnet.training.schedule import make_schedule
from gossipnet.training.stacked_optimizer import Rate, StackedOptimizer
from gossipnet.training.trainer import TrainerConfig, diverged

Errors = dict[int, Exception]  # node -> what it raised


@dataclass(frozen=True)
class Init:
    """How nodes get their first weights: `make` draws them, seeded by `seed(node)`; `same` for all or not."""

    make: Callable[[], nn.Module]
    seed: Callable[[int], int]
    same: bool


class Streams(dict[int, OwnRandomness]):
    """Node -> torch's random numbers of that node, where its Trainer has them after drawing the weights."""

    def __init__(self, seed: int, init: Init, device: torch.device) -> None:
        self._seed, self._init, self._device = seed, init, device

    def __missing__(self, node: int) -> OwnRandomness:
        self[node] = stream = OwnRandomness(seed_of(self._seed, node, "torch"), self._device)
        with stream():
            torch.manual_seed(self._init.seed(node))
            self._init.make()
        return stream


class StackedTrainer:
    """Nodes 0..n-1 on `device`; `parts` are the training samples of each, `config` that of any of them."""

    def __init__(
        self,
        task: Task,
        init: Init,
        parts: Sequence[NDArray],  # type: ignore[type-arg]
        optimizer: StackedOptimizer,
        config: TrainerConfig,
        device: torch.device,
    ) -> None:
        self.task, self.config, self.device = task, config, device
        self.init, self._optimizer = init, optimizer
        self._schedule = make_schedule(config.schedule)
        self.streams = Streams(config.seed, init, device)
        shares = [
            hold_out(part, config.validation, generator(config.seed, node, "validation"))
            for node, part in enumerate(parts)
        ]
        self.held = [held for _, held in shares]
        self.n_samples = [len(training) for training, _ in shares]
        self._feed = Feed(task.train, [own for own, _ in shares], config.batch_size, config.seed, device, self.streams)
        self.module = self._drawn(0).to(device)
        self.spec = ModelSpec.of(self.module)
        bind(self.module)
        names = {name for name, parameter in self.module.named_parameters() if parameter.requires_grad}
        self._trained = [entry for entry in self.spec.entries if entry.name in names]
        self.locals = self._locals(len(parts))
        self.memories = optimizer.memories
        self._memory = [self._zeros(len(parts)) for _ in range(optimizer.memories)]
        self._count = torch.zeros(len(parts), dtype=torch.int64, device=device)
        self._gradients = vmap(grad_and_value(self._loss))

    def _drawn(self, node: int) -> nn.Module:
        with OwnRandomness(0, self.device)():
            torch.manual_seed(self.init.seed(node))
            return self.init.make()

    def _locals(self, nodes: int) -> dict[str, Tensor]:
        """The buffers that stay with each node, (n, ...): counts of batches and the like."""
        known = {*self.spec.views(torch.empty(self.spec.numel)), *(alias for alias, _ in self.spec.ties)}
        kept = {k: v for k, v in self.module.state_dict().items() if k not in known}
        return {name: tensor.expand(nodes, *tensor.shape).clone() for name, tensor in kept.items()}

    def _zeros(self, nodes: int) -> Tensor:
        return torch.zeros(nodes, sum(entry.numel for entry in self._trained), device=self.device)

    def restart(self, node: int) -> Tensor:
        """Make everything of that node as it was at first; its first vector (d,)."""
        self.streams.pop(node, None)
        self._feed.restart(node)
        self.forget([node])
        module = self._drawn(0 if self.init.same else node).to(self.device)
        for name, held in self.locals.items():
            held[node] = module.get_buffer(name)
        return bind(module)

    def first_vectors(self) -> Iterator[Tensor]:
        """The vector (d,) that each node starts from, in their order."""
        vector = bind(self._drawn(0).to(self.device))
        for node in range(len(self.n_samples)):
            yield vector if self.init.same or not node else bind(self._drawn(node).to(self.device))

    # --- local steps ------------------------------------------------------------------------------------------

    def train(
        self, nodes: Sequence[int], rows: Tensor, rounds: Sequence[int], steps: int, stop: Callable[[], bool]
    ) -> tuple[int, list[float], Errors]:
        """Up to `steps` local steps of those nodes, each in its round, on their models `rows` (b, d), in place.

        `stop` is asked between two steps. Returns the steps done, the mean loss of each node, and the nodes that
        failed, Diverged among them.
        """
        at, lr, errors = Rows(nodes), self._rates(rounds), Errors()
        memory, kept = [at.of(m) for m in self._memory], {name: at.of(t) for name, t in self.locals.items()}
        total = torch.zeros(len(nodes), device=self.device)
        done = 0
        self.module.train()
        while done < steps and not (done and stop()):
            inputs, targets, failed = self._feed.draw(nodes)
            errors = {**failed, **errors}
            total += self._step(rows, kept, memory, inputs, targets, lr, at.of(self._count) + done + 1)
            done += 1
        for held, part in [*zip(self._memory, memory, strict=True), *((self.locals[k], v) for k, v in kept.items())]:
            at.put(held, part)
        at.put(self._count, at.of(self._count) + done)
        losses: list[float] = (total / done).tolist()
        whole = finite_rows(rows)
        for node, loss, finite in zip(nodes, losses, whole, strict=True):
            if not (finite and math.isfinite(loss)):
                errors.setdefault(node, diverged(loss, self.config.lr))
        return done, losses, errors

    def _rates(self, rounds: Sequence[int]) -> Rate:
        rates = {round: self.config.lr * self._schedule(round, self.config.rounds) for round in {*rounds}}
        if len(rates) == 1:
            return float(rates[rounds[0]])
        return torch.tensor([rates[round] for round in rounds], dtype=torch.float64, device=self.device)

    def _step(
        self,
        rows: Tensor,
        kept: dict[str, Tensor],
        memory: list[Tensor],
        inputs: Tensor,
        targets: Tensor,
        lr: Rate,
        count: Tensor,
    ) -> Tensor:
        """One local step of a block, in place; the losses (b,)."""
        views = self.spec.views(rows)
        trained = {entry.name: views.pop(entry.name) for entry in self._trained}
        # a layer writes its statistics in place, and vmap would have it write into a copy of what is not contiguous
        held = {name: view.contiguous() for name, view in views.items()}
        gradients, losses = self._gradients(trained, {**held, **kept}, inputs, targets)
        for name, view in views.items():
            view.copy_(held[name])
        done = 0
        for entry in self._trained:
            parts = [replace(entry, offset=done).of(m) for m in memory]
            self._optimizer.step(trained[entry.name], gradients[entry.name], parts, lr, count)
            done += entry.numel
        found: Tensor = losses
        return found

    def _loss(self, trained: dict[str, Tensor], rest: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        return self.task.loss(functional_call(self.module, {**trained, **rest}, (inputs,)), targets)

    def forget(self, nodes: Sequence[int]) -> None:
        """The optimizer of those nodes begins afresh."""
        at = torch.tensor(nodes, device=self.device)
        for held in [*self._memory, self._count]:
            held[at] = 0

    def state(self, node: int, vector: Tensor) -> dict[str, Tensor]:
        """The state dict of that node's module with its model `vector`, tied tensors once, as views."""
        held = {**self.spec.views(vector), **{name: tensor[node] for name, tensor in self.locals.items()}}
        return {name: held[name] for name in self.module.state_dict() if name in held}


class Rows:
    """Some rows of tensors: a view of them where they are neighbors, else a copy that `put` writes back."""

    def __init__(self, indices: Sequence[int]) -> None:
        first, last = indices[0], indices[-1]
        near = last - first + 1 == len(indices) and all(b == a + 1 for a, b in pairwise(indices))
        self._at: slice | list[int] = slice(first, last + 1) if near else [*indices]

    def of(self, tensor: Tensor) -> Tensor:
        return tensor[self._at]

    def put(self, tensor: Tensor, rows: Tensor) -> None:
        if not isinstance(self._at, slice) or rows.data_ptr() != tensor[self._at].data_ptr():
            tensor[self._at] = rows


def finite_rows(rows: Tensor) -> list[bool]:
    """Whether each row (b, d) holds only finite numbers."""
    # a finite sum proves it and is one pass; a sum that overflowed proves nothing
    finite = rows.sum(1).isfinite()
    if not bool(finite.all()):
        finite = rows.isfinite().all(1)
    found: list[bool] = finite.tolist()
    return found


def line(error: Exception) -> str:
    """The first line of what it says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
