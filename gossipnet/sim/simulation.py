"""The simulated world: the nodes of `gossipnet swarm`, unchanged, under a virtual clock.

An event heap in place of sockets and processes. A link takes `network.latency_s`, or what the topology's file says of
it, a local step `network.compute_s`;
merging and measuring take no time. `--train loop` trains one node after the other, each with a Trainer of its own,
and so ends with the same bits as the live world does in step.
"""

import heapq
import math
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from gossipnet.codec import Codec, make_codec
from gossipnet.data.models import make_model
from gossipnet.data.partition import class_counts
from gossipnet.data.task import Task, make_task
from gossipnet.errors import BadInput
from gossipnet.events import (
    Action,
    Evaluate,
    Evaluated,
    Event,
    Failed,
    Finish,
    Merge,
    Merged,
    PeerDown,
    PeerUp,
    Received,
    Report,
    Save,
    Saved,
    Send,
    Started,
    Stopped,
    Train,
    Trained,
    Woke,
)
from gossipnet.model import Snapshot
from gossipnet.node import Node
from gossipnet.report.log import NodeResult, RunLog
from gossipnet.topology import Topology, make_topology
from gossipnet.training.build import build_trainer, evaluated_nodes, node_config, pick_device, split
from gossipnet.training.files import save_model
from gossipnet.training.measure import coordinates, digest, measure_together, take_sample
from gossipnet.training.merging import Incoming
from gossipnet.training.trainer import Diverged, Trainer
from gossipnet.transfer import pack, unpack
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
    """One simulated node: the state machine, its model, and what it has sent."""

    node: Node
    trainer: Trainer
    bytes_sent: int = 0
    messages_sent: int = 0
    wake_at: float | None = None
    error: str | None = None
    accuracy: float | None = None


class Simulation:
    """All nodes of an experiment and the heap of what will happen to them."""

    def __init__(self, experiment: "Experiment", folder: Path, view: View | None) -> None:
        self.experiment = experiment
        self.folder = folder
        self.now = 0.0
        self.ended_s = 0.0  # when the last node was done; wake-ups that nobody needs may come later
        self.evaluation_s = 0.0
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
        self._chosen: Any = None
        self.places = [self._place(i, parts[i]) for i in range(experiment.nodes)]
        self._chosen = coordinates(experiment.seed, self.places[0].trainer.spec.numel)
        self._heap: list[tuple[float, int, int, Event | Train]] = []
        self._order = 0
        self._busy_until: dict[tuple[int, int], float] = {}  # of links with a bandwidth: what is sent waits its turn
        self._stopped = False

    def _place(self, i: int, part: Any) -> Place:
        trainer = build_trainer(self.experiment, i, self._task, part)
        config = node_config(self.experiment, i, trainer, SESSION)
        return Place(Node(self.topology.neighborhood(i), config), trainer)

    def run(self) -> None:
        """From the first event to the last."""
        for i, place in enumerate(self.places):
            for peer in place.node.peers:
                self._push(0.0, i, PeerUp(peer))
            self._push(0.0, i, Started())
            if self.experiment.seconds:
                self._push(self.experiment.seconds, i, Stopped())
        while self._heap:
            if self.interrupted and not self._stopped:
                self._stop()
            self.now, _, i, due = heapq.heappop(self._heap)
            place = self.places[i]
            if isinstance(due, Train):
                due = self._attempt(self._train, i, place, due)
            if isinstance(due, Woke):
                place.wake_at = None
            self._handle(i, place, due)

    def interrupt(self) -> None:
        """End in good order; may be called at any time, by a signal handler too."""
        self.interrupted = True

    def _stop(self) -> None:
        """All nodes end after the step that they are at."""
        self._stopped = True
        for i in range(len(self.places)):
            self._push(self.now, i, Stopped())

    def _push(self, at: float, i: int, due: Event | Train) -> None:
        self._order += 1  # what is due at the same time happens in the order it was asked for
        heapq.heappush(self._heap, (at, self._order, i, due))

    def _handle(self, i: int, place: Place, event: Event) -> None:
        events: deque[Event] = deque([event])
        while events:
            for action in place.node.handle(events.popleft(), self.now):
                answer = self._carry_out(i, place, action)
                if answer is not None:
                    events.append(answer)
        deadline = place.node.deadline
        if deadline is not None and (place.wake_at is None or deadline < place.wake_at):
            place.wake_at = deadline
            self._push(max(deadline, self.now), i, Woke())

    def _carry_out(self, i: int, place: Place, action: Action) -> Event | None:
        match action:
            case Train():
                self._begin(i, action)
            case Merge():
                return self._attempt(self._merge, i, place, action)
            case Evaluate():
                return self._attempt(self._evaluate, i, place, action)
            case Save():
                return self._attempt(self._save, i, place, action)
            case Send():
                self._send(place, action)
            case Report():
                self._report(i, place, action)
            case Finish():
                self._finish(i, place, action)
        return None

    def _begin(self, i: int, action: Train) -> None:
        """It is trained when it is due. The step under way when time is up is the last one, as in the live world."""
        steps, each_s, left_s = action.steps, self.experiment.compute_s, self.experiment.seconds - self.now
        if self.experiment.seconds:
            steps = min(steps, max(1, math.ceil(left_s / each_s - 1e-9)))  # sums of times are not exact
        self._push(self.now + steps * each_s, i, replace(action, steps=steps))

    def _attempt(self, work: Callable[[int, Place, Any], Event], i: int, place: Place, action: Action) -> Event:
        """Do the work; what it raises is the node's failure, not ours."""
        try:
            return work(i, place, action)
        except Exception as error:
            return Failed(str(error) if isinstance(error, Diverged | BadInput) else traceback.format_exc())

    def _finish(self, i: int, place: Place, action: Finish) -> None:
        place.error, self.ended_s = action.error, self.now
        for peer in place.node.peers:
            self._push(self._arrival(i, peer, 0), peer, PeerDown(i))
        if action.error is None:
            return
        self.log.forget(self.now, i)
        if self._view is not None:
            self._view.failure(i, action.error)
        if self.experiment.on_failure == "stop" and not self._stopped:
            self._stop()

    def _train(self, i: int, place: Place, action: Train) -> Trained:
        trainer = place.trainer
        if action.round == 1:
            self._measure(i, 0, trainer)
        steps, loss = trainer.train(action.round, action.steps, lambda: self.interrupted)
        vector = self._as_received(trainer.vector, self._codec)
        age = place.node.age + steps
        return Trained(Snapshot(trainer.spec.digest, action.round, age, trainer.n_samples, vector), steps, loss)

    def _as_received(self, vector: torch.Tensor, codec: Codec) -> torch.Tensor:
        """What a neighbor gets of a vector: a copy, with the losses of the codec."""
        if codec.error == 0:
            return vector.detach().cpu().clone()
        return unpack(pack(vector, codec), vector.numel(), codec)

    def _merge(self, i: int, place: Place, action: Merge) -> Merged:
        incoming = [Incoming(m.snapshot.storage, m.weight, m.snapshot.age, m.snapshot.samples) for m in action.members]
        every = place.node.config.evaluate_every
        measure = bool(every) and action.round % every == 0
        return Merged(place.trainer.merge(action.own_weight, action.own_age, incoming, measure))

    def _evaluate(self, i: int, place: Place, action: Evaluate) -> Evaluated:
        begun = time.perf_counter()
        numbers = place.trainer.evaluate(action.final)
        if not action.final:
            self._measure(i, action.round, place.trainer)
        self.evaluation_s += time.perf_counter() - begun
        return Evaluated(numbers)

    def _save(self, i: int, place: Place, action: Save) -> Saved:
        save_model(place.trainer.module, self.folder / "nodes" / str(i) / "model.safetensors")
        return Saved()

    def _measure(self, i: int, round: int, trainer: Trainer) -> None:
        if self.places[i].node.config.evaluates:
            self.log.measure(self.now, i, round, take_sample(trainer.spec, trainer.vector, self._chosen))

    def _send(self, place: Place, action: Send) -> None:
        message, size = action.message, 0
        if isinstance(message.body, Offer):
            size = self._codec.payload_bytes(place.trainer.spec.numel)
            named = replace(message.body, payload=Payload(self._codec.name, size, bytes(8)))
            message = replace(message, body=named)
        place.bytes_sent += size + len(encode(message, SWARM_TOKEN))
        place.messages_sent += 1
        received = Received(action.message, action.snapshot)
        arrives = self._arrival(place.node.neighborhood.node, message.receiver, size)
        self._push(arrives, message.receiver, received)

    def _arrival(self, sender: int, receiver: int, size: int) -> float:
        """When a message that is sent now arrives: one after the other on a link, at its bandwidth, then its latency.

        Both are the link's own, from the topology's file, or `network.latency_s` and no limit.
        """
        link = self.topology.link(sender, receiver)
        bandwidth = float(link.get("bandwidth_bytes_per_s", math.inf))
        sent = max(self.now, self._busy_until.get((sender, receiver), 0.0)) + size / bandwidth
        if bandwidth < math.inf:
            self._busy_until[sender, receiver] = sent
        return sent + float(link.get("latency_s", self.experiment.latency_s))

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
                digest=digest(place.trainer.vector),
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
        vectors = (place.trainer.vector for place in self.places if place.error is None)
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
