"""From an experiment to what trains many nodes at a time; apart from build.py, for nodes need nothing of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from gossipnet.data.models import make_model
from gossipnet.data.task import Task
from gossipnet.errors import BadInput
from gossipnet.training.build import build_trainer, init_seed, pick_device, trainer_config, try_own
from gossipnet.training.norms import batch_norms
from gossipnet.training.randomness import seeded_process
from gossipnet.training.stacked import Init, StackedTrainer, line
from gossipnet.training.stacked_optimizer import stacked_optimizer
from gossipnet.training.trainer import Diverged

if TYPE_CHECKING:
    from gossipnet.config import Experiment

_TRIAL_LR = 1e-3
_TRIAL_STEPS = 2
_TRIAL_ERROR = 0.02  # of what the steps change; rounding alone makes far less


def build_stacked(experiment: "Experiment", task: Task, parts: Sequence[NDArray[np.int64]]) -> StackedTrainer:
    """The trainer of all nodes at a time. Raises BadInput for an optimizer that has no stacked form."""
    optimizer = stacked_optimizer(experiment.optimizer)
    if optimizer is None:
        raise BadInput(f"optimizer {experiment.optimizer!r} has no stacked form: use sgd or adamw, or --train workers")
    init = Init(
        lambda: make_model(experiment.model, task), lambda node: init_seed(experiment, node), experiment.init == "same"
    )
    device = pick_device(experiment.device)
    stacked = StackedTrainer(task, init, parts, optimizer, trainer_config(experiment, 0), device)
    try_own(experiment, task, stacked.module, parts[0], device)
    return stacked


def obstacle(experiment: "Experiment", task: Task, parts: Sequence[NDArray[np.int64]]) -> str | None:
    """Why these nodes cannot be trained at a time, in a few words; None if they can.

    Two of them do a few steps both ways, which must come to the same. Draws no number that the run would draw.
    """
    if stacked_optimizer(experiment.optimizer) is None:
        return f"optimizer {experiment.optimizer!r} has no stacked form"
    trial = experiment.replace(lr=min(experiment.lr, _TRIAL_LR), schedule="constant")
    with seeded_process(experiment.seed, 0):
        try:
            return _compare(trial, task, parts[:2])
        except Diverged:
            return "it diverges in its first steps"
        except Exception as error:
            return f"torch.vmap refuses it: {line(error)}"


def _compare(experiment: "Experiment", task: Task, parts: Sequence[NDArray[np.int64]]) -> str | None:
    trainers = [build_trainer(experiment, node, task, part) for node, part in enumerate(parts)]
    if experiment.buffers == "recalibrate" and batch_norms(trainers[0].module):
        return "BatchNorm statistics are recalibrated model by model"
    stacked = build_stacked(experiment, task, parts)
    rows = torch.stack(list(stacked.first_vectors()))
    before = rows.clone()
    for nodes in (range(len(parts)), *([node] for node in range(len(parts)))):  # together, then each alone
        at = rows[nodes[0] : nodes[-1] + 1]
        _, _, errors = stacked.train(nodes, at, [1] * len(nodes), _TRIAL_STEPS, lambda: False)
        for error in errors.values():
            raise error
    for trainer, row, start in zip(trainers, rows, before, strict=True):
        trainer.train(1, 2 * _TRIAL_STEPS)
        if any(p.grad is None for p in trainer.module.parameters() if p.requires_grad):
            return "a parameter takes no part in the loss"
        allowed = _TRIAL_ERROR * float((trainer.vector - start).norm()) + 1e-6 * float(start.norm())
        if float((trainer.vector - row).norm()) > allowed:
            return "it does not come to the same, for it keeps something between steps"
    return None
