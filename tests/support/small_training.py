"""A small task and trainers for it."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gossipnet.data.samples import Samples
from gossipnet.data.task import Task, classification
from gossipnet.merge import MergeRule, make_merge
from gossipnet.training.trainer import Trainer, TrainerConfig

FEATURES, CLASSES = 6, 3


def blobs(n: int, seed: int) -> Samples:
    """Three clouds of points."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % CLASSES
    centres = np.random.default_rng(99).normal(size=(CLASSES, FEATURES))
    return Samples((centres[labels] + rng.normal(size=(n, FEATURES))).astype(np.float32), labels)


TASK = classification("blobs", blobs(90, 0), blobs(37, 1), inputs=(FEATURES,), outputs=CLASSES, model="logistic")


def blobs_task() -> Task:
    """The same, for an experiment: `task=BLOBS`."""
    return TASK


def failing_task() -> Task:
    """Sample 7 cannot be read: the node that holds it fails in its first epoch."""

    class Broken(list[tuple[Any, int]]):
        def __getitem__(self, i: Any) -> Any:
            if i == 7:
                raise OSError("sample 7 is damaged")
            return super().__getitem__(i)

    inputs, labels = TASK.train.batch(np.arange(90))
    pairs = Broken(zip(inputs.numpy(), labels.tolist(), strict=True))
    return replace(TASK, train=Samples(pairs))


def random_task() -> Task:
    """Inputs with noise from all of Python's, numpy's and torch's global random numbers."""

    def noisy(inputs: Tensor) -> Tensor:
        return inputs + random.random() + np.random.rand() + torch.rand(1)

    arrays = [part.numpy() for part in TASK.train.batch(np.arange(90))]
    return replace(TASK, train=Samples(*arrays, prepare=noisy))


BLOBS, FAILING, RANDOM = (f"{__file__}:{name}" for name in ("blobs_task", "failing_task", "random_task"))


def plain_model() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 8), nn.ReLU(), nn.Linear(8, CLASSES))


def dropout_model() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 8), nn.Dropout(0.5), nn.Linear(8, CLASSES))


def norm_model() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Linear(8, CLASSES))


def make_trainer(
    make_model: Callable[[], nn.Module] = plain_model,
    *,
    rule: str | MergeRule = "average",
    indices: Any = None,
    init_seed: int = 7,
    device: str = "cpu",
    task: Task = TASK,
    **config: Any,
) -> Trainer:
    """A trainer of 30 samples in batches of 8, or as told."""
    return Trainer(
        task,
        make_model,
        np.arange(30) if indices is None else np.asarray(indices),
        make_merge(rule) if isinstance(rule, str) else rule,
        TrainerConfig(**({"seed": 0, "node": 0, "batch_size": 8, "lr": 0.1} | config)),
        init_seed,
        torch.device(device),
    )
