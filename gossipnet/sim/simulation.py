"""An experiment in the simulated world: what its nodes report and come to, on the way to a run folder."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gossipnet.codec import make_codec
from gossipnet.data.models import make_model
from gossipnet.data.partition import class_counts
from gossipnet.data.task import Task, make_task
from gossipnet.errors import BadInput
from gossipnet.report.log import NodeResult, RunLog
from gossipnet.sim.choose import make_engine
from gossipnet.sim.churn import churns
from gossipnet.sim.engine import Engine
from gossipnet.sim.pace import Times
from gossipnet.sim.presets import conditions
from gossipnet.sim.speeds import node_speeds
from gossipnet.sim.transfers import Parts
from gossipnet.sim.world import Setting, World, network_of
from gossipnet.topology import Topology, make_topology
from gossipnet.training.build import evaluated_nodes, pick_device, split
from gossipnet.training.measure import coordinates, digest, measure_together, take_sample
from gossipnet.wire import Payload

if TYPE_CHECKING:
    from gossipnet.config import Experiment


class View(Protocol):
    """What shows a run while it goes on."""

    def report(self, time_s: float, node: int | None, event: str, round: int, numbers: dict[str, Any]) -> None: ...

    def failure(self, node: int, error: str) -> None: ...


class Simulation:
    """The world of an experiment, and its log. Raises BadInput for what cannot be simulated."""

    def __init__(self, experiment: "Experiment", folder: Path, view: View | None) -> None:
        self.experiment = experiment
        self._view = view
        self._accuracies: dict[int, float | None] = {}
        self._steps_lost = [0] * experiment.nodes  # of local steps that a crash undid
        self._steps_at_crash = [0] * experiment.nodes
        self._task = make_task(experiment.task)
        topology = make_topology(
            experiment.topology, n=experiment.nodes, seed=experiment.seed, mixing=experiment.mixing
        )
        check_ends(experiment, topology)
        parts = split(experiment, self._task)
        self.log = RunLog(folder, evaluated_nodes(experiment), experiment.tensorboard)
        describe_run(self.log, topology, self._task, parts)
        self.engine: Engine = make_engine(
            experiment, self._task, parts, folder, lambda: self.world.interrupted, self._note
        )
        self._chosen = coordinates(experiment.seed, self.engine.spec.numel)
        self.world = World(topology, setting_of(experiment, self.engine.spec.numel), self.engine, self)

    def report(self, time_s: float, node: int, event: str, round: int, numbers: Mapping[str, Any]) -> None:
        written = dict(numbers)
        if event == "merged":
            post = self.world.post
            written |= {"bytes_sent": post.bytes_sent[node], "messages_sent": post.messages_sent[node]}
        if event == "finished":
            self._accuracies[node] = written.get("accuracy")
        if event == "crashed":
            self._steps_at_crash[node] = self.world.places[node].node.steps
        if event == "restarted":
            self._steps_lost[node] += self._steps_at_crash[node] - self.world.places[node].node.steps
        self.log.write(time_s, node, event, round, written)
        if self._view is not None:
            self._view.report(time_s, node, event, round, written)

    def _note(self, text: str, warning: bool = False) -> None:
        """Tell whoever watches; where nobody does, warnings only."""
        tell = getattr(self._view, "note", None)
        if tell is not None:
            tell(f"warning: {text}" if warning else text)
        elif warning:
            warnings.warn(text, stacklevel=2)

    def sample(self, time_s: float, node: int, round: int) -> None:
        if self.world.places[node].node.config.evaluates:
            sample = take_sample(self.engine.spec, self.engine.vector(node), self._chosen)
            self.log.measure(time_s, node, round, sample)

    def failure(self, time_s: float, node: int, error: str) -> None:
        self.log.forget(time_s, node)
        if self._view is not None and node in self.world.failed:
            self._view.failure(node, error)

    def results(self) -> list[NodeResult]:
        """What each node came to."""
        return [
            NodeResult(
                node=i,
                error=place.error,
                digest=digest(self.engine.vector(i)),
                accuracy=self._accuracies.get(i),
                steps=place.node.steps + self._steps_lost[i],
                bytes_sent=self.world.post.bytes_sent[i],
                messages_sent=self.world.post.messages_sent[i],
                refused={str(reason): count for reason, count in place.node.refused.items()},
            )
            for i, place in enumerate(self.world.places)
        ]

    def together(self) -> dict[str, Any]:
        """The figures of all models together, of the nodes that finished."""
        vectors = (self.engine.vector(i) for i, place in enumerate(self.world.places) if place.error is None)
        return measure_together(
            vectors,
            lambda: make_model(self.experiment.model, self._task),
            self._task,
            pick_device(self.experiment.device),
        )


def setting_of(experiment: "Experiment", numel: int) -> Setting:
    """The world of an experiment whose model has `numel` numbers. Raises BadInput."""
    codec = make_codec(experiment.codec)
    payload = Payload(codec.name, codec.payload_bytes(numel), bytes(8))
    return Setting(
        conditions=conditions(experiment),
        parts=Parts(payload, experiment.push_bytes, experiment.chunk_bytes),
        seed=experiment.seed,
        cuts=experiment.cuts,
        times=Times(
            compute_s=experiment.compute_s,
            step_s=experiment.step_s,
            spread=experiment.spread,
            merge_s=experiment.merge_s,
            evaluate_s=experiment.evaluate_s,
            start_s=experiment.start_s,
        ),
        notice_s=experiment.notice_s,
        seconds=experiment.seconds,
        stop_on_failure=experiment.on_failure == "stop",
    )


def check_world(experiment: "Experiment") -> None:
    """Raise BadInput for a network or machines that cannot be; trains nothing."""
    topology = make_topology(experiment.topology, n=experiment.nodes, seed=experiment.seed, mixing=experiment.mixing)
    check_ends(experiment, topology)
    setting = setting_of(experiment, 1)
    network_of(topology, setting)
    node_speeds(setting.conditions.speed, topology, setting.seed)
    churns.make(setting.conditions.churn)


def check_ends(experiment: "Experiment", topology: Topology) -> None:
    """Raise BadInput where nodes would wait without end for neighbors that no message ever gets to."""
    if experiment.quorum == 0 or (experiment.quorum != "all" and experiment.patience != "learnt"):
        return
    shares = [link.get("drop_rate") for link in topology.edge_attributes.values()]
    if 1 in (conditions(experiment).drop_rate, *shares):
        raise BadInput(
            "network.drop_rate: got 1, but with exchange.quorum above 0 nodes wait for what always gets lost:"
            " use --quorum 0, or network.cuts for a link that is not there"
        )


def describe_run(log: RunLog, topology: Topology, task: Task, parts: list[Any]) -> None:
    """Write topology.json, and partition.json if the samples have classes."""
    log.write_topology(topology.to_dict())
    log.write_partition(class_counts(task.train.targets, parts))
