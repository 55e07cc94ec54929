"""A model in training: what carries out a node's Train, Merge and Evaluate actions, in either world.

One Trainer is one node's model, optimizer, data order and random numbers. It is driven by one thread. Everything
random in it comes from streams of its own, so that a thousand trainers in one process and one trainer in each of a
thousand processes do the same.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gossipnet.data.task import Samples, Task
from gossipnet.merge import Group, MergeRule, variance_ratio
from gossipnet.model import ModelSpec, bind
from gossipnet.streams import generator, seed_of
from gossipnet.training.optimizer import make_optimizer

EVALUATION_BATCH = 1000
RECALIBRATION_BATCHES = 10
_BATCH_NORMS = nn.modules.batchnorm._BatchNorm


class Diverged(RuntimeError):
    """The model is no longer finite. Sending it would be pointless: every neighbor refuses it."""


@dataclass(frozen=True)
class TrainerConfig:
    """How a node trains and merges."""

    seed: int
    node: int
    batch_size: int
    lr: float
    optimizer: str = "sgd"
    buffers: str = "average"  # BatchNorm statistics in a merge: average | own | recalibrate
    evaluate_samples: int = 2000  # of the test set, for the curves


@dataclass(frozen=True, eq=False)
class Incoming:
    """One model of a merge: its vector (d,) float32 on the CPU, and what came with it."""

    vector: Tensor
    weight: float
    age: int
    samples: int


class Trainer:
    """One node's model on `device`, with the training samples `indices` of the task.

    `vector` (d,) float32 is the model: reading it is reading the module's parameters, writing it is writing them.
    """

    def __init__(
        self,
        task: Task,
        make: Callable[[], nn.Module],
        indices: NDArray[np.int64],
        rule: MergeRule,
        config: TrainerConfig,
        init_seed: int,
        device: torch.device,
    ) -> None:
        self.task = task
        self.config = config
        self.device = device
        self.n_samples = len(indices)
        self._torch_rng = _seeded_rng(seed_of(config.seed, config.node, "torch"))
        with self._own_rng():
            torch.manual_seed(init_seed)
            self.module = make().to(device)
        self.spec = ModelSpec.of(self.module)
        self.vector = bind(self.module)
        self.optimizer = make_optimizer(config.optimizer, [*self.module.parameters()], config.lr)
        self._rule = rule
        self._memory = {k: v.to(device) for k, v in (rule.init(self.spec) if rule.init else {}).items()}
        self._batches = _batches(indices, config.batch_size, generator(config.seed, config.node, "batches"))

    def train(self, steps: int, stop: Callable[[], bool] = lambda: False) -> tuple[int, float]:
        """Do up to `steps` local steps; `stop` is asked between two. Returns (steps done, mean loss).

        Raises Diverged if the model is no longer finite.
        """
        self.module.train()
        total = torch.zeros((), device=self.device)
        done = 0
        with self._own_rng():
            while done < steps and not (done and stop()):
                inputs, targets = self._batch(self.task.train, next(self._batches))
                loss = self.task.loss(self.module(inputs), targets)
                self.optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self.optimizer.step()
                total += loss.detach()
                done += 1
        mean = float(total) / done
        if not math.isfinite(mean) or not bool(self.vector.isfinite().all()):
            raise Diverged(
                f"training diverged: the model is no longer finite (mean loss {mean:g}); "
                f"use a learning rate below {self.config.lr:g}"
            )
        return done, mean

    def merge(self, own_weight: float, own_age: int, incoming: Sequence[Incoming], measure: bool) -> dict[str, Any]:
        """Merge `incoming`, in their order, into the model. A merge that fails leaves everything as it was.

        Returns the numbers to report: with `measure`, variance_ratio (see `gossipnet.merge.variance_ratio`).
        """
        vectors = torch.stack([self.vector, *(m.vector.to(self.device) for m in incoming)])
        group = Group(
            vectors=vectors,
            weights=torch.tensor([own_weight, *(m.weight for m in incoming)], device=self.device),
            ages=torch.tensor([own_age, *(m.age for m in incoming)], device=self.device),
            samples=torch.tensor([self.n_samples, *(m.samples for m in incoming)], device=self.device),
            spec=self.spec,
        )
        merged, memory = self._rule.step(group, self._memory)
        buffers = slice(self.spec.n_parameters, None)
        if merged.shape != self.vector.shape or not bool(merged.isfinite().all()):
            raise RuntimeError(
                f"merge rule {self._rule.name!r} returned {tuple(merged.shape)} with nan, or a wrong shape"
            )
        if self.config.buffers == "average":
            merged[buffers] = group.weights @ vectors[:, buffers]
        else:
            merged[buffers] = vectors[0, buffers]
        ratio = variance_ratio(self.spec, vectors, group.weights, merged) if measure else None
        self.vector.copy_(merged)
        self._memory = memory
        if self.config.buffers == "recalibrate":
            self._recalibrate()
        return {"variance_ratio": ratio}

    def evaluate(self, final: bool) -> dict[str, Any]:
        """Loss and metrics, means over the whole test set (`final`) or over its first `evaluate_samples`."""
        size = len(self.task.test) if final else min(self.config.evaluate_samples, len(self.task.test))
        return evaluate(self.module, self.task, size, self.device)

    def _batch(self, samples: Samples, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        inputs, targets = samples.batch(indices)
        return inputs.to(self.device), targets.to(self.device)

    def _recalibrate(self) -> None:
        """Estimate BatchNorm statistics anew, by forward passes over local data (Izmailov et al. 2018, section 3.2)."""
        norms = [m for m in self.module.modules() if isinstance(m, _BATCH_NORMS)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a cumulative mean over the batches
        self.module.train()
        with torch.no_grad(), self._own_rng():
            for _ in range(RECALIBRATION_BATCHES if norms else 0):
                self.module(self._batch(self.task.train, next(self._batches))[0])
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

    @contextmanager
    def _own_rng(self) -> Iterator[None]:
        """Inside, torch's global random numbers are this trainer's own (dropout, initialisation)."""
        outside = torch.get_rng_state()
        torch.set_rng_state(self._torch_rng)
        try:
            yield
        finally:
            self._torch_rng = torch.get_rng_state()
            torch.set_rng_state(outside)


def evaluate(module: nn.Module, task: Task, size: int, device: torch.device) -> dict[str, Any]:
    """Loss and metrics of `module`, means over the first `size` test samples."""
    module.eval()
    totals: dict[str, float] = dict.fromkeys(["loss", *task.metrics], 0.0)
    with torch.inference_mode():
        for first in range(0, size, EVALUATION_BATCH):
            inputs, targets = task.test.batch(np.arange(first, min(first + EVALUATION_BATCH, size)))
            inputs, targets = inputs.to(device), targets.to(device)
            outputs = module(inputs)
            totals["loss"] += float(task.loss(outputs, targets)) * len(inputs)
            for name, metric in task.metrics.items():
                # the mean over the batch: a metric may give several values per sample (one per character)
                totals[name] += float(metric(outputs, targets).double().mean()) * len(inputs)
    return {name: total / size for name, total in totals.items()} | {"samples": size}


def _seeded_rng(seed: int) -> Tensor:
    """The state of torch's CPU generator after `manual_seed(seed)`."""
    return torch.Generator().manual_seed(seed).get_state()


def _batches(indices: NDArray[np.int64], size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Batches of exactly `size`, without end: shuffled epochs, one after the other, cut into batches across the seams.

    So every step of every node has the same shape, whatever the number of its samples.
    """
    left = indices[:0]
    while True:
        while len(left) < size:
            left = np.concatenate([left, rng.permutation(indices)])
        yield left[:size]
        left = left[size:]
