"""From an experiment to what one node trains with: the same steps, in the same order, in both worlds."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gossipnet.data.models import make_model
from gossipnet.data.partition import partition
from gossipnet.data.task import Task
from gossipnet.errors import BadInput
from gossipnet.merge import make_merge
from gossipnet.model import ModelSpec
from gossipnet.node import NodeConfig
from gossipnet.settings import is_plain
from gossipnet.streams import SWARM, evaluated, seed_of
from gossipnet.training.trainer import Trainer, TrainerConfig
from gossipnet.training.trial import try_out

if TYPE_CHECKING:
    from gossipnet.config import Experiment


def split(experiment: "Experiment", task: Task) -> list[NDArray[np.int64]]:
    """Which training samples each node holds. Raises BadInput."""
    held = task.train
    return partition(experiment.partition, held.targets, len(held), experiment.nodes, experiment.seed, held.groups)


def trainer_config(experiment: "Experiment", node: int) -> TrainerConfig:
    """How that node trains and merges."""
    return TrainerConfig(
        seed=experiment.seed,
        node=node,
        batch_size=experiment.batch_size,
        lr=experiment.lr,
        optimizer=experiment.optimizer,
        schedule=experiment.schedule,
        rounds=experiment.rounds,
        after_merge=experiment.after_merge,
        buffers=experiment.buffers,
        evaluate_samples=experiment.evaluate_samples,
        validation=experiment.validation,
    )


def init_seed(experiment: "Experiment", node: int) -> int:
    """The seed of the weights that the node starts from."""
    return seed_of(experiment.seed, node if experiment.init == "own" else SWARM, "init")


def build_trainer(experiment: "Experiment", node: int, task: Task, part: NDArray[np.int64]) -> Trainer:
    """The trainer of one node. Raises BadInput if the model does not fit the experiment."""
    trainer = Trainer(
        task,
        lambda: make_model(experiment.model, task),
        part,
        make_merge(experiment.merge),
        trainer_config(experiment, node),
        init_seed(experiment, node),
        pick_device(experiment.device, node),
    )
    try_own(experiment, task, trainer.module, part, trainer.device)
    return trainer


def try_own(
    experiment: "Experiment", task: Task, module: nn.Module, part: NDArray[np.int64], device: torch.device
) -> None:
    """Try out a task or model of the user's. Raises BadInput."""
    if not (is_plain("tasks", experiment.task) and (not experiment.model or is_plain("models", experiment.model))):
        try_out(task, module, part[:2], device)


class Learner(Protocol):
    """What a node needs to know of its trainer."""

    @property
    def spec(self) -> ModelSpec: ...

    @property
    def n_samples(self) -> int: ...


class Known(NamedTuple):
    """A trainer, as far as its node knows it."""

    spec: ModelSpec
    n_samples: int


def node_config(experiment: "Experiment", node: int, trainer: Learner, session: int) -> NodeConfig:
    """What the node of that trainer needs to know."""
    return NodeConfig(
        rounds=experiment.rounds,
        local_steps=experiment.local_steps,
        digest=trainer.spec.digest,
        samples=trainer.n_samples,
        session=session,
        quorum=None if experiment.quorum == "all" else int(experiment.quorum),
        patience_s=None if experiment.patience == "learnt" else float(experiment.patience),
        depth=experiment.depth,
        max_age=experiment.max_age,
        evaluate_every=evaluation_interval(experiment),
        evaluates=node in evaluated_nodes(experiment),
    )


def evaluation_interval(experiment: "Experiment") -> int:
    """Every how many rounds accuracy is measured."""
    return experiment.evaluate_every or max(1, experiment.rounds // 10)


def evaluated_nodes(experiment: "Experiment") -> frozenset[int]:
    """The nodes whose accuracy is measured: all, or as many as `report.evaluate_nodes`, drawn by the seed."""
    return evaluated(experiment.seed, experiment.nodes, experiment.evaluate_nodes)


def on_device(experiment: "Experiment", device: str | None) -> "Experiment":
    """The experiment for a node whose device the topology's file names: that, unless `swarm.device` says another."""
    return experiment.replace(device=device) if device is not None and experiment.device == "auto" else experiment


def pick_device(text: str, node: int = 0) -> torch.device:
    """The device of a node: `auto` is a GPU if there is one, and of several (`cuda:0,cuda:1`) nodes take turns.

    Raises BadInput for a device that this machine does not have.
    """
    names = text.split(",")
    name = names[node % len(names)]
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
    there = _devices()
    if (f"{device.type}:{device.index or 0}" if device.type == "cuda" else device.type) not in there:
        raise BadInput(f"swarm.device: got {name!r}, this machine has {', '.join(there)}: use one of these, or auto")
    return device


def _devices() -> list[str]:
    cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]
