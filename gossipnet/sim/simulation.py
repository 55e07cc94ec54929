"""The simulated world: the nodes of `gossipnet swarm`, unchanged, under a virtual clock.

A clock of events in place of sockets and processes. A local step takes `network.compute_s`; merging and measuring take
no time. The network says when what is sent arrives, an engine how models are trained and merged; with `--train loop`
an in-step run ends with the same bits as in the live world.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gossipnet.codec import make_codec
from gossipnet.data.models import make_model
from gossipnet.data.partition import class_counts
from gossipnet.data.task import Task, make_task
from gossipnet.events import (
    Action,
    Evaluate,
    Event,
    Finish,
    Merge,
    PeerDown,
    PeerUp,
    Received,
    Report,
    Save,
    Send,
    Started,
    Stopped,
    Train,
    Woke,
)
from gossipnet.node import Node
from gossipnet.report.log import NodeResult, RunLog
from gossipnet.sim.choose import make_engine
from gossipnet.sim.clock import Clock
from gossipnet.sim.engine import Engine, Job, Work
from gossipnet.sim.network import Network
from gossipnet.topology import Topology, make_topology
from gossipnet.training.build import evaluated_nodes, pick_device, split
from gossipnet.training.measure import coordinates, digest, measure_together, take_sample
from gossipnet.wire import Offer, Payload, encode

if TYPE_CHECKING:
    from gossipnet.config import Experiment

SWARM_TOKEN = b"simulate"
SESSION = 2**62  # as many bytes on the wire as a live session, which is a time in nanoseconds


class View(Protocol):
    """What shows a run while it goes on."""

    def report(self, time_s: float, node: int | None, event: str, round: int, numbers: dict[str, Any]) -> None: ...

    def failure(self, node: int, error: str) -> None: ...


@dataclass(slots=True)
class Place:
    """One simulated node: the state machine, and what it has sent."""

    node: Node
    bytes_sent: int = 0
    messages_sent: int = 0
    wake_at: float | None = None
    error: str | None = None
    accuracy: float | None = None


class Simulation:
    """All nodes of an experiment, and what will happen to them."""

    def __init__(self, experiment: "Experiment", folder: Path, view: View | None) -> None:
        self.experiment = experiment
        self.ended_s = 0.0  # when the last node was done; wake-ups that nobody needs may come later
        self.interrupted = False
        self._view = view
        self._task = make_task(experiment.task)
        self._codec = make_codec(experiment.codec)
        self.topology = make_topology(
            experiment.topology, n=experiment.nodes, seed=experiment.seed, mixing=experiment.mixing
        )
        parts = split(experiment, self._task)
        self.log = RunLog(folder, evaluated_nodes(experiment), experiment.tensorboard)
        describe_run(self.log, self.topology, self._task, parts)
        self.engine: Engine = make_engine(experiment, self._task, parts, folder, lambda: self.interrupted, self._note)
        self._payload_bytes = self._codec.payload_bytes(self.engine.spec.numel)
        self._chosen = coordinates(experiment.seed, self.engine.spec.numel)
        self.places = [self._place(i) for i in range(experiment.nodes)]
        self._network = Network(self.topology, experiment.latency_s)
        self._clock: Clock[tuple[int, Event | Work]] = Clock()
        self._stopped = False

    def _place(self, i: int) -> Place:
        return Place(Node(self.topology.neighborhood(i), self.engine.config(i, SESSION)))

    @property
    def now(self) -> float:
        return self._clock.now

    def run(self) -> None:
        """From the first event to the last."""
        for i, place in enumerate(self.places):
            for peer in place.node.peers:
                self._clock.push(0.0, (i, PeerUp(peer)))
            self._clock.push(0.0, (i, Started()))
            if self.experiment.seconds:
                self._clock.push(self.experiment.seconds, (i, Stopped()))
        while self._clock:
            if self.interrupted and not self._stopped:
                self._stop()
            i, due = self._clock.pop()
            if isinstance(due, Work):
                self._work(self._jobs_like(i, due))
                continue
            if isinstance(due, Woke):
                self.places[i].wake_at = None
            self._handle(i, due)

    def interrupt(self) -> None:
        """End in good order; may be called at any time, by a signal handler too."""
        self.interrupted = True

    def _note(self, text: str, warning: bool = False) -> None:
        """Tell whoever watches; where nobody does, warnings only."""
        tell = getattr(self._view, "note", None)
        if tell is not None:
            tell(f"warning: {text}" if warning else text)
        elif warning:
            warnings.warn(text, stacklevel=2)

    def _stop(self) -> None:
        """All nodes end after the step that they are at."""
        self._stopped = True
        for i in range(len(self.places)):
            self._clock.push(self.now, (i, Stopped()))

    def _jobs_like(self, i: int, work: Work) -> list[Job]:
        """That job, and those of its kind that are due next at the same time."""
        others = self._clock.pop_while(lambda other: type(other[1]) is type(work))
        return [Job(i, work), *(Job(j, other) for j, other in others if isinstance(other, Work))]

    def _work(self, jobs: Sequence[Job]) -> None:
        """Jobs of one kind that are due now: their results are events."""
        for (i, work), event in zip(jobs, self.engine.carry_out(jobs), strict=True):
            if isinstance(work, Evaluate) and not work.final:
                self._measure(i, work.round)
            self._handle(i, event)

    def _handle(self, i: int, event: Event) -> None:
        place = self.places[i]
        for action in place.node.handle(event, self.now):
            self._carry_out(i, place, action)
        deadline = place.node.deadline
        if deadline is not None and (place.wake_at is None or deadline < place.wake_at):
            place.wake_at = deadline
            self._clock.push(deadline, (i, Woke()))

    def _carry_out(self, i: int, place: Place, action: Action) -> None:
        match action:
            case Train():
                self._begin(i, action)
            case Merge() | Evaluate() | Save():
                self._clock.push(self.now, (i, action))
            case Send():
                self._send(i, place, action)
            case Report():
                self._report(i, place, action)
            case Finish():
                self._finish(i, place, action)

    def _begin(self, i: int, action: Train) -> None:
        """It is trained when it is due. The step under way when time is up is the last one, as in the live world."""
        steps, each_s, left_s = action.steps, self.experiment.compute_s, self.experiment.seconds - self.now
        if self.experiment.seconds:
            steps = min(steps, max(1, math.ceil(left_s / each_s - 1e-9)))  # sums of times are not exact
        work = replace(action, steps=steps)
        if action.round == 1:
            self._measure(i, 0)
        self.engine.begin(i, work)
        self._clock.push(self.now + steps * each_s, (i, work))

    def _finish(self, i: int, place: Place, action: Finish) -> None:
        place.error, self.ended_s = action.error, self.now
        for peer in place.node.peers:
            self._clock.push(self._network.arrival(i, peer, 0, self.now), (peer, PeerDown(i)))
        if action.error is None:
            return
        self.log.forget(self.now, i)
        if self._view is not None:
            self._view.failure(i, action.error)
        if self.experiment.on_failure == "stop" and not self._stopped:
            self._stop()

    def _measure(self, i: int, round: int) -> None:
        if self.places[i].node.config.evaluates:
            self.log.measure(self.now, i, round, take_sample(self.engine.spec, self.engine.vector(i), self._chosen))

    def _send(self, i: int, place: Place, action: Send) -> None:
        message, size = action.message, 0
        if isinstance(message.body, Offer):
            size = self._payload_bytes
            message = replace(message, body=replace(message.body, payload=Payload(self._codec.name, size, bytes(8))))
        place.bytes_sent += size + len(encode(message, SWARM_TOKEN))
        place.messages_sent += 1
        arrives = self._network.arrival(i, message.receiver, size, self.now)
        self._clock.push(arrives, (message.receiver, Received(action.message, action.snapshot)))

    def _report(self, i: int, place: Place, action: Report) -> None:
        numbers = dict(action.numbers)
        if action.event == "merged":
            numbers |= {"bytes_sent": place.bytes_sent, "messages_sent": place.messages_sent}
        if action.event == "finished":
            place.accuracy = numbers.get("accuracy")
        self.log.write(self.now, i, action.event, action.round, numbers)
        if self._view is not None:
            self._view.report(self.now, i, action.event, action.round, numbers)

    def results(self) -> list[NodeResult]:
        """What each node came to."""
        return [
            NodeResult(
                node=i,
                error=place.error,
                digest=digest(self.engine.vector(i)),
                accuracy=place.accuracy,
                steps=place.node.steps,
                bytes_sent=place.bytes_sent,
                messages_sent=place.messages_sent,
                refused={str(reason): count for reason, count in place.node.refused.items()},
            )
            for i, place in enumerate(self.places)
        ]

    def together(self) -> dict[str, Any]:
        """The figures of all models together, of the nodes that finished."""
        vectors = (self.engine.vector(i) for i, place in enumerate(self.places) if place.error is None)
        return measure_together(
            vectors,
            lambda: make_model(self.experiment.model, self._task),
            self._task,
            pick_device(self.experiment.device),
        )


def describe_run(log: RunLog, topology: Topology, task: Task, parts: list[Any]) -> None:
    """Write topology.json, and partition.json if the samples have classes."""
    log.write_topology(topology.to_dict())
    if task.train.targets is not None:
        classes, counts = class_counts(task.train.targets, parts)
        log.write_partition(list(map(int, classes)), [list(map(int, row)) for row in counts])
