"""A model in training: what carries out a node's Train, Merge and Evaluate actions, in either world.

One Trainer is one node's model, optimizer, data order and random numbers. It is driven by one thread. Everything
random in it comes from streams of its own, so that a thousand trainers in one process and one trainer in each of a
thousand processes do the same.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gossipnet.codec import all_finite
from gossipnet.data.task import Samples, Task
from gossipnet.errors import Diverged as Diverged
from gossipnet.merge import MergeRule
from gossipnet.model import ModelSpec, bind
from gossipnet.streams import generator, seed_of
from gossipnet.training.batches import batches, hold_out
from gossipnet.training.evaluation import evaluate
from gossipnet.training.merging import Incoming, Merging
from gossipnet.training.norms import batch_norms, recalibrate
from gossipnet.training.optimizer import make_optimizer, scale_lr
from gossipnet.training.randomness import OwnRandomness
from gossipnet.training.schedule import make_schedule

RECALIBRATION_BATCHES = 10


def diverged(loss: float, lr: float) -> Diverged:
    """What to raise after a mean loss of `loss` at that learning rate."""
    return Diverged(
        f"training diverged: the model is no longer finite (mean loss {loss:g}); use a learning rate below {lr:g}"
    )


@dataclass(frozen=True)
class TrainerConfig:
    """How a node trains and merges."""

    seed: int
    node: int
    batch_size: int
    lr: float
    optimizer: str = "sgd"
    schedule: str = "constant"
    rounds: int = 1  # of the run, which a schedule is spread over
    after_merge: str = "keep"  # the optimizer's state (momentum) in a merge: keep | reset
    buffers: str = "average"  # BatchNorm statistics in a merge: average | own | recalibrate
    evaluate_samples: int = 2000  # of the test set, for the curves
    validation: float = 0.0  # share of the samples that is not trained on


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
        self._stream = OwnRandomness(seed_of(config.seed, config.node, "torch"), device)
        with self._stream():
            torch.manual_seed(init_seed)
            self.module = make().to(device)
        self.spec = ModelSpec.of(self.module)
        self.vector = bind(self.module)
        self.optimizer = make_optimizer(config.optimizer, [*self.module.parameters()], config.lr)
        self._schedule = make_schedule(config.schedule)
        reset = config.after_merge == "reset"
        self._merging = Merging(self.vector, self.spec, rule, config.buffers, self._recalibrate, self.optimizer, reset)
        training, self._held = hold_out(indices, config.validation, generator(config.seed, config.node, "validation"))
        self.n_samples = len(training)
        self._batches = batches(training, config.batch_size, generator(config.seed, config.node, "batches"))

    def train(self, round: int, steps: int, stop: Callable[[], bool] = lambda: False) -> tuple[int, float]:
        """Do up to `steps` local steps of that round; `stop` is asked between two. Returns (steps done, mean loss).

        Raises Diverged if the model is no longer finite.
        """
        self.module.train()
        scale_lr(self.optimizer, self._schedule(round, self.config.rounds))
        total = torch.zeros((), device=self.device)
        done = 0
        with self._stream():
            while done < steps and not (done and stop()):
                inputs, targets = self._batch()
                loss = self.task.loss(self.module(inputs), targets)
                self.optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self.optimizer.step()
                total += loss.detach()
                done += 1
        mean = float(total) / done
        if not math.isfinite(mean) or not all_finite(self.vector):
            raise diverged(mean, self.config.lr)
        return done, mean

    def merge(self, own_weight: float, own_age: int, incoming: Sequence[Incoming], measure: bool) -> dict[str, Any]:
        """Merge `incoming`, in their order, into the model. A merge that fails leaves everything as it was.

        Returns the numbers to report: with `measure`, variance_ratio (see `gossipnet.merge.variance_ratio`).
        """
        own = (own_weight, own_age, self.n_samples)
        with self._stream():
            return self._merging(own, incoming, measure)

    def _recalibrate(self) -> None:
        """Estimate the statistics of BatchNorm anew, from the next batches."""
        if batch_norms(self.module):
            recalibrate(self.module, (self._batch()[0] for _ in range(RECALIBRATION_BATCHES)))

    def evaluate(self, final: bool) -> dict[str, Any]:
        """Loss and metrics, means over the whole test set (`final`) or over its first `evaluate_samples`.

        With validation samples also the same of those, as `validation_loss` and so on.
        """
        most = len(self.task.test) if final else self.config.evaluate_samples
        with self._stream(keep=False):
            tested = self._evaluate(self.task.test, np.arange(min(most, len(self.task.test))))
            validated = self._evaluate(self.task.train, self._held) if len(self._held) else {}
        return tested | {f"validation_{name}": value for name, value in validated.items() if name != "samples"}

    def _evaluate(self, samples: Samples, indices: NDArray[np.int64]) -> dict[str, Any]:
        return evaluate(self.module, self.task, samples, indices, self.device)

    def _batch(self) -> tuple[Tensor, Tensor]:
        """The next batch of one's own samples, on the device."""
        inputs, targets = self.task.train.batch(next(self._batches))
        return inputs.to(self.device), targets.to(self.device)
