"""Baselines: what the nodes of an experiment reach without gossip, written as a run folder like any other.

Trainers, samples and streams are those of the swarm; only what happens between two rounds differs (see plan.py). There
is no network: no fault reaches a baseline, and of the traffic of `fedavg` each node's own model up and the mean down
are counted, at the latency and bandwidth of any other link.
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from gossipnet.codec import make_codec
from gossipnet.config import Experiment
from gossipnet.data.models import make_model
from gossipnet.data.partition import class_counts
from gossipnet.data.task import make_task
from gossipnet.report.log import NodeResult, RunLog, Times
from gossipnet.report.summary import Summary
from gossipnet.sim.presets import conditions
from gossipnet.sim.run import one_thread
from gossipnet.streams import SWARM
from gossipnet.training.build import build_trainer, evaluated_nodes, evaluation_interval, pick_device, split
from gossipnet.training.measure import coordinates, digest, measure_together, take_sample
from gossipnet.training.merging import Incoming
from gossipnet.training.randomness import seeded_process
from gossipnet.training.trainer import Trainer

NAMES = {"isolated": "none", "fedavg": "star", "fedavg-own": "star", "centralized": "none"}  # what stands for a graph


class View(Protocol):
    """What shows a run while it goes on."""

    def report(self, time_s: float, node: int | None, event: str, round: int, numbers: dict[str, Any]) -> None: ...


def run_baseline(kind: str, experiment: Experiment, folder: Path, view: View | None = None) -> Summary:
    """Run one of plan.BASELINES and write its run folder, which exists and holds config.toml.

    Raises BadInput before anything is trained, and Diverged.
    """
    begun = time.perf_counter()
    with one_thread(), seeded_process(experiment.seed, SWARM):
        baseline = Baseline(kind, experiment, folder, view)
        startup_s = time.perf_counter() - begun
        for round in range(1, experiment.rounds + 1):
            baseline.round(round)
        return baseline.close(begun, startup_s)


@dataclass(slots=True)
class Place:
    """One node: its trainer, and what it has done and sent."""

    trainer: Trainer
    steps: int = 0
    bytes_sent: int = 0
    accuracy: float | None = None


class Baseline:
    """All trainers of a baseline. `centralized` has one, with all samples and the batches of all nodes together."""

    def __init__(self, kind: str, experiment: Experiment, folder: Path, view: View | None) -> None:
        self.kind, self.experiment, self._view = kind, experiment, view
        self._averages = kind.startswith("fedavg")
        self._task = make_task(experiment.task)
        parts = split(experiment, self._task)
        self.log = RunLog(folder, self._evaluated(), experiment.tensorboard)
        self.places = self._places(parts)
        trainer = self.places[0].trainer
        self._chosen = coordinates(experiment.seed, trainer.spec.numel)
        self._model_bytes = make_codec(experiment.codec).payload_bytes(trainer.spec.numel)
        self._exchange_s = exchange_s(experiment, self._model_bytes) if self._averages else 0.0
        self._every = evaluation_interval(experiment)
        self.evaluation_s = 0.0
        self._measure(0)
        self.log.write_partition(class_counts(self._task.train.targets, parts))

    def _evaluated(self) -> frozenset[int]:
        return frozenset({0}) if self.kind == "centralized" else evaluated_nodes(self.experiment)

    def _places(self, parts: list[Any]) -> list[Place]:
        e = self.experiment
        if self.kind != "centralized":
            return [Place(build_trainer(e, i, self._task, part)) for i, part in enumerate(parts)]
        everything = np.arange(len(self._task.train))
        alone = e.replace(nodes=1, batch_size=e.batch_size * e.nodes)
        return [Place(build_trainer(alone, 0, self._task, everything))]

    @property
    def time_s(self) -> float:
        """Virtual seconds after the last round that a node has done."""
        round = self.places[0].steps / self.experiment.local_steps
        return round * (self.experiment.local_steps * self.experiment.compute_s + self._exchange_s)

    def round(self, round: int) -> None:
        """Train all, average if this baseline does, and measure if it is time to."""
        losses = []
        for place in self.places:
            steps, loss = place.trainer.train(round, self.experiment.local_steps)
            place.steps += steps
            losses.append(loss)
        if self._averages:
            self._average()
        for i, (place, loss) in enumerate(zip(self.places, losses, strict=True)):
            numbers = {"loss": loss, "steps": place.steps, "bytes_sent": place.bytes_sent}
            self._report(i, "merged", round, numbers)
        if round % self._every == 0 or round == self.experiment.rounds:
            self._evaluate(round)

    def _average(self) -> None:
        """Everybody takes the mean of all; the buffers follow their policy, as in any merge."""
        mean = mean_of([place.trainer.vector for place in self.places])
        received = Incoming(mean, 1.0, 0, 1)
        for place in self.places:
            place.trainer.merge(0.0, 0, [received], measure=False)
            place.bytes_sent += 2 * self._model_bytes

    def _evaluate(self, round: int) -> None:
        begun = time.perf_counter()
        for i in sorted(self._evaluated()):
            self._report(i, "evaluated", round, self.places[i].trainer.evaluate(final=False))
        self._measure(round)
        self.evaluation_s += time.perf_counter() - begun

    def _measure(self, round: int) -> None:
        for i in sorted(self._evaluated()):
            trainer = self.places[i].trainer
            self.log.measure(self.time_s, i, round, take_sample(trainer.spec, trainer.vector, self._chosen))

    def _report(self, node: int, event: str, round: int, numbers: dict[str, Any]) -> None:
        self.log.write(self.time_s, node, event, round, numbers)
        if self._view is not None:
            self._view.report(self.time_s, node, event, round, numbers)

    def close(self, begun: float, startup_s: float) -> Summary:
        """Evaluate on the whole test set, and write the summary."""
        self._finish()
        wall_s = time.perf_counter() - begun
        together = measure_together(
            (place.trainer.vector for place in self.places),
            lambda: make_model(self.experiment.model, self._task),
            self._task,
            pick_device(self.experiment.device),
        )
        fixed = {
            "nodes": len(self.places),
            "rounds": self.experiment.rounds,
            "world": "sim",
            "topology": NAMES[self.kind],
            "merge": self.kind,
        }
        times = Times(wall_s=wall_s, startup_s=startup_s, evaluation_s=self.evaluation_s, virtual_s=self.time_s)
        return self.log.close(fixed, self._results(), times, together["consensus_distance"], together["accuracy"])

    def _finish(self) -> None:
        """Models that are all the same are measured once."""
        begun, known = time.perf_counter(), dict[str, dict[str, Any]]()
        for i in sorted(self._evaluated()):
            trainer = self.places[i].trainer
            same = digest(trainer.vector) if self._averages else str(i)
            known[same] = numbers = known[same] if same in known else trainer.evaluate(final=True)
            self.places[i].accuracy = numbers.get("accuracy")
            self._report(i, "finished", self.experiment.rounds, numbers)
        self.evaluation_s += time.perf_counter() - begun

    def _results(self) -> list[NodeResult]:
        return [
            NodeResult(
                node=i,
                digest=digest(place.trainer.vector),
                accuracy=place.accuracy,
                steps=place.steps,
                bytes_sent=place.bytes_sent,
                messages_sent=2 * self.experiment.rounds if self._averages else 0,
            )
            for i, place in enumerate(self.places)
        ]


def exchange_s(experiment: Experiment, model_bytes: int) -> float:
    """Virtual seconds of a model's way up and the mean's way down, over a link as the network says it is."""
    link = conditions(experiment)
    bandwidth = link.bandwidth_bytes_per_s or math.inf
    return 2 * (link.latency_s + model_bytes / bandwidth)


def mean_of(vectors: list[Tensor]) -> Tensor:
    """The plain mean of vectors (d,) float32, summed in float64, on the CPU."""
    total = torch.zeros(vectors[0].shape, dtype=torch.float64)
    for vector in vectors:
        total += vector.cpu()
    return (total / len(vectors)).float()
