"""`--train loop`: one node after the other, each with a Trainer of its own, as in a process of its own.

In step it ends with the same bits as the live world.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray

from gossipnet.codec import Codec, make_codec
from gossipnet.data.task import Task
from gossipnet.events import Evaluate, Evaluated, Event, Failed, Merge, Merged, Save, Saved, Train, Trained
from gossipnet.model import Snapshot
from gossipnet.run_folder import model_file
from gossipnet.sim.engine import Job, Work, told
from gossipnet.training.build import build_trainer, evaluation_interval, node_config
from gossipnet.training.files import save_model
from gossipnet.training.merging import Incoming
from gossipnet.transfer import pack, unpack

if TYPE_CHECKING:
    from gossipnet.config import Experiment
    from gossipnet.node import NodeConfig


class LoopEngine:
    """All trainers of a run.

    `stop` says whether training is to end after the step under way. Raises BadInput if a node cannot train.
    """

    def __init__(
        self,
        experiment: "Experiment",
        task: Task,
        parts: Sequence[NDArray[Any]],
        folder: Path,
        stop: Callable[[], bool],
    ) -> None:
        self.evaluation_s = 0.0
        self._experiment = experiment
        self._folder = folder
        self._stop = stop
        self._codec = make_codec(experiment.codec)
        self._task, self._parts = task, parts
        self._trainers = [build_trainer(experiment, node, task, part) for node, part in enumerate(parts)]
        self._every = evaluation_interval(experiment)
        self._ages = [0] * len(parts)
        self.spec = self._trainers[0].spec

    def config(self, node: int, session: int) -> "NodeConfig":
        return node_config(self._experiment, node, self._trainers[node], session)

    def vector(self, node: int) -> torch.Tensor:
        return self._trainers[node].vector

    def carry_out(self, jobs: Sequence[Job]) -> list[Event]:
        return [self._attempt(*job) for job in jobs]

    def begin(self, node: int, work: Train) -> None:
        """Nothing is done before it is due."""

    def lost(self, node: int, empty: bool) -> None:
        if empty:
            self._trainers[node] = build_trainer(self._experiment, node, self._task, self._parts[node])
            self._ages[node] = 0

    def close(self) -> None:
        """Nothing outlives the object."""

    def _attempt(self, node: int, work: Work) -> Event:
        try:
            return self._do(node, work)
        except Exception as error:
            return Failed(told(error))

    def _do(self, node: int, work: Work) -> Event:
        match work:
            case Train():
                return self._train(node, work)
            case Merge():
                return self._merge(node, work)
            case Evaluate():
                begun = time.perf_counter()
                numbers = self._trainers[node].evaluate(work.final)
                self.evaluation_s += time.perf_counter() - begun
                return Evaluated(numbers)
            case Save():
                save_model(self._trainers[node].module, model_file(self._folder, node))
                return Saved()

    def _train(self, node: int, work: Train) -> Trained:
        trainer = self._trainers[node]
        steps, loss = trainer.train(work.round, work.steps, self._stop)
        self._ages[node] += steps
        vector = as_received(trainer.vector, self._codec)
        return Trained(
            Snapshot(trainer.spec.digest, work.round, self._ages[node], trainer.n_samples, vector), steps, loss
        )

    def _merge(self, node: int, work: Merge) -> Merged:
        incoming = [Incoming(m.snapshot.storage, m.weight, m.snapshot.age, m.snapshot.samples) for m in work.members]
        self._ages[node] = max([self._ages[node], *(m.age for m in incoming)])
        measure = work.round % self._every == 0
        return Merged(self._trainers[node].merge(work.own_weight, work.own_age, incoming, measure))


def as_received(vector: torch.Tensor, codec: Codec) -> torch.Tensor:
    """What a neighbor gets of a vector: a copy, with the losses of the codec."""
    if codec.error == 0:
        return vector.detach().cpu().clone()
    return unpack(pack(vector, codec), vector.numel(), codec)
