"""One live node: a training thread, which is the calling one, and the I/O thread of `driver`."""

import resource
import sys
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gossipnet.codec import make_codec
from gossipnet.data.task import Task
from gossipnet.errors import BadInput
from gossipnet.events import Evaluate, Evaluated, Event, Failed, Merge, Merged, Save, Saved, Train, Trained
from gossipnet.live.driver import Driver, Outlet, Place, Work
from gossipnet.live.memory import return_free_memory
from gossipnet.model import Snapshot
from gossipnet.node import Node
from gossipnet.report.log import NodeResult, Sample
from gossipnet.run_folder import model_file
from gossipnet.topology import Neighborhood
from gossipnet.training.build import build_trainer, node_config
from gossipnet.training.files import save_model
from gossipnet.training.measure import coordinates, digest, take_sample
from gossipnet.training.merging import Incoming
from gossipnet.training.randomness import seed_process
from gossipnet.training.staging import make_staging
from gossipnet.training.trainer import Diverged, Trainer

if TYPE_CHECKING:
    from pathlib import Path

    from gossipnet.config import Experiment


class NodeOutlet(Outlet, Protocol):
    """What a whole node needs of its outlet: it also hands in samples of its vector."""

    def measured(self, time_s: float, round: int, sample: Sample) -> None: ...


class Worker:
    """The training thread's side: carries out Train, Merge, Evaluate and Save, one at a time."""

    def __init__(
        self,
        experiment: "Experiment",
        trainer: Trainer,
        node: Node,
        folder: "Path",
        driver: Driver,
        outlet: NodeOutlet,
        speed: float = 1.0,
    ) -> None:
        self.evaluation_s = 0.0
        self.accuracy: float | None = None
        self._trainer = trainer
        self._config = node.config
        self._node = node.neighborhood.node
        self._file = model_file(folder, self._node)
        self._driver = driver
        self._outlet = outlet
        self._staging = make_staging(trainer.vector.device, make_codec(experiment.codec), driver.arena)
        self._chosen = coordinates(experiment.seed, trainer.spec.numel)
        self._age = 0
        self._speed = speed

    def serve(self) -> None:
        """Until the driver has nothing more to do."""
        while (action := self._driver.actions.get()) is not None:
            event: Event | Callable[[], Event]
            try:
                event = self._carry_out(action)
            except (Diverged, BadInput) as error:
                event = self._failed(str(error))
            except Exception:
                event = self._failed(traceback.format_exc())
            self._driver.post(event)

    def _failed(self, error: str) -> Failed:
        print(error, file=sys.stderr, flush=True)  # into the node's own log; its neighbors are told less
        return Failed(error)

    def _carry_out(self, action: Work) -> Event | Callable[[], Event]:
        match action:
            case Train():
                return self._train(action)
            case Merge():
                return self._merge(action)
            case Evaluate():
                return self._evaluate(action)
            case Save():
                save_model(self._trainer.module, self._file)
                return Saved()

    def _train(self, action: Train) -> Callable[[], Trained]:
        if action.round == 1:
            self._measure(0)
        return_free_memory()
        trainer = self._trainer
        begun = time.perf_counter()
        steps, loss = trainer.train(action.round, action.steps, self._driver.stopping.is_set)
        if self._speed < 1:  # a machine that is so much slower than this one
            self._driver.stopping.wait((time.perf_counter() - begun) * (1 / self._speed - 1))
        self._age += steps
        age, parcel = self._age, self._staging(trainer.vector)

        def trained() -> Trained:
            snapshot = Snapshot(trainer.spec.digest, action.round, age, trainer.n_samples, parcel())
            return Trained(snapshot, steps, loss)

        return trained

    def _merge(self, action: Merge) -> Merged:
        incoming = [Incoming(m.snapshot.storage, m.weight, m.snapshot.age, m.snapshot.samples) for m in action.members]
        self._age = max([self._age, *(m.age for m in incoming)])
        every = self._config.evaluate_every
        measure = bool(every) and action.round % every == 0
        return Merged(self._trainer.merge(action.own_weight, action.own_age, incoming, measure))

    def _evaluate(self, action: Evaluate) -> Evaluated:
        begun = time.perf_counter()
        numbers = self._trainer.evaluate(action.final)
        if action.final:
            self.accuracy = numbers.get("accuracy")
        else:
            self._measure(action.round)
        self.evaluation_s += time.perf_counter() - begun
        return Evaluated(numbers)

    def _measure(self, round: int) -> None:
        if self._config.evaluates:
            sample = take_sample(self._trainer.spec, self._trainer.vector, self._chosen)
            self._driver.post(lambda: self._outlet.measured(self._driver.now(), round, sample))


def run_node(
    experiment: "Experiment",
    place: Place,
    neighborhood: Neighborhood,
    task: Task,
    part: NDArray[np.int64],
    folder: "Path",
    outlet: NodeOutlet,
    speed: float = 1.0,
) -> NodeResult:
    """Run one node, which trains on the samples `part` of the task, to its end.

    With `speed` below 1 its local steps take as much longer, to stand for a slower machine.
    Raises BadInput if the node cannot start; whatever happens later is in the result.
    """
    seed_process(experiment.seed, place.node)
    trainer = build_trainer(experiment, place.node, task, part)
    codec = make_codec(experiment.codec)
    node = Node(neighborhood, node_config(experiment, place.node, trainer, session=time.time_ns()))
    driver = Driver(place, node, trainer.spec, codec, experiment.push_bytes, experiment.chunk_bytes, outlet)
    worker = Worker(experiment, trainer, node, folder, driver, outlet, speed)
    driver.start()
    try:
        worker.serve()
    finally:
        driver.end()
    if driver.crash is not None:
        raise driver.crash
    return NodeResult(
        node=place.node,
        error=driver.finish.error,
        bad_input=driver.finish.bad_input,
        digest=digest(trainer.vector),
        accuracy=worker.accuracy,
        steps=node.steps,
        bytes_sent=driver.bytes_sent,
        messages_sent=driver.messages_sent,
        refused={str(reason): count for reason, count in node.refused.items()},
        evaluation_s=worker.evaluation_s,
        peak_rss_bytes=peak_rss_bytes(),
    )


def peak_rss_bytes() -> float:
    """The most memory that this process has held, pages shared with others included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)


def fields_of(result: NodeResult) -> dict[str, Any]:
    """A result as a plain map, for a channel."""
    from dataclasses import asdict

    return asdict(result)
