"""A local swarm: start one process per node, follow them to the end, write down what they say.

The launcher imports no torch and touches no model. It only starts processes, reads their channels and writes the run
folder, so that it is always quick to answer Ctrl-C, and a node that dies is noticed by the end of its channel.
"""

import contextlib
import math
import os
import selectors
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gossipnet.errors import BadInput, RunFailed, RunInterrupted, last_line
from gossipnet.live.channel import Channel, channel_pair
from gossipnet.live.endpoint import probe_port
from gossipnet.live.nursery import Forks, Interrupts, Spawns, open_nursery
from gossipnet.report.log import NodeResult, RunLog, Sample, Times
from gossipnet.report.summary import Summary
from gossipnet.run_folder import model_file
from gossipnet.streams import evaluated
from gossipnet.topology import Topology, make_topology

if TYPE_CHECKING:
    from gossipnet.config import Experiment

MEASURE = "measure"  # the name of the process that measures all models together


class View(Protocol):
    """What shows a run while it goes on."""

    def report(self, time_s: float, node: int | None, event: str, round: int, numbers: dict[str, Any]) -> None: ...

    def failure(self, node: int, error: str) -> None: ...


@dataclass(slots=True)
class Child:
    """A node's process, as the launcher sees it."""

    node: int
    channel: Channel
    result: NodeResult | None = None
    error: str | None = None
    bad_input: bool = False
    ended: bool = False
    began_s: float | None = None  # when it began to train

    @property
    def over(self) -> bool:
        return self.result is not None or self.error is not None


@dataclass(frozen=True)
class Addresses:
    """Where each node listens. `scratch` is a private folder for ipc sockets, removed at the end."""

    endpoints: list[str]
    scratch: Path | None = field(default=None)


class Launcher:
    """One run of a local swarm."""

    def __init__(self, experiment: "Experiment", folder: Path, view: View | None) -> None:
        self.experiment = experiment
        self.folder = folder
        self.epoch = time.monotonic()
        self.topology: Topology = make_topology(
            experiment.topology, n=experiment.nodes, seed=experiment.seed, mixing=experiment.mixing
        )
        self._view = view
        self._log = RunLog(
            folder, evaluated(experiment.seed, experiment.nodes, experiment.evaluate_nodes), experiment.tensorboard
        )
        self._children: dict[int, Child] = {}
        self._stopping = False
        self._together: dict[str, Any] = {}

    def now(self) -> float:
        return time.monotonic() - self.epoch

    def run(self, interrupts: Interrupts) -> Summary:
        """To the end. Raises BadInput before any node has trained, RunFailed and RunInterrupted with the summary."""
        wall_s = self._run(interrupts)
        return self._end(wall_s, interrupts.count)

    def _run(self, interrupts: Interrupts) -> float:
        """Start, follow and measure. Returns how long it took up to the end of the last node, in seconds."""
        with contextlib.ExitStack() as stack:
            addresses = _addresses(self.experiment)
            if addresses.scratch is not None:
                stack.callback(shutil.rmtree, addresses.scratch, ignore_errors=True)
            nursery = open_nursery(self.experiment.start, addresses.scratch)
            stack.callback(nursery.kill)
            if self._prepare(nursery, interrupts):
                self._start_nodes(nursery, addresses)
                self._follow(nursery, interrupts)
            wall_s = self.now()
            if interrupts.count < 2:
                self._measure_together(nursery, interrupts)
        return wall_s

    def _prepare(self, nursery: Forks | Spawns, interrupts: Interrupts) -> bool:
        """Load the data and note what is known before the start. False if that was interrupted."""
        try:
            with interrupts.raised(after=0):
                split = nursery.prepare(self.experiment.to_toml())
        except KeyboardInterrupt:
            return False
        except RuntimeError as error:
            raise RunFailed(f"loading the data failed: {error}") from error
        self._log.write_topology(self.topology.to_dict())
        self._log.write_partition(split)
        return True

    def _start_nodes(self, nursery: Forks | Spawns, addresses: Addresses) -> None:
        swarm = os.urandom(8)  # no message of another run, on the same ports even, is taken for ours
        config = self.experiment.to_toml()
        for node in range(self.experiment.nodes):
            neighborhood = self.topology.neighborhood(node)
            channel, end = channel_pair()
            nursery.start(str(node), end)
            channel.send(
                do="node",
                config=config,
                node=node,
                neighborhood=neighborhood.to_dict(),
                listen=addresses.endpoints[node],
                peers={peer: addresses.endpoints[peer] for peer in neighborhood.peers},
                device=self.topology.devices[node],
                speed=self.topology.speeds[node],
                swarm=swarm,
                epoch=self.epoch,
                folder=str(self.folder),
                log=str(self.folder / "nodes" / str(node) / "log.txt"),
            )
            self._children[node] = Child(node, channel)

    def _follow(self, nursery: Forks | Spawns, interrupts: Interrupts) -> None:
        """Until every node is over, or a second Ctrl-C."""
        selector = selectors.DefaultSelector()
        interrupts.register(selector)
        for source in (*nursery.sources(), *(child.channel for child in self._children.values())):
            selector.register(source, selectors.EVENT_READ)
        nodes = {child.channel: child for child in self._children.values()}
        while not all(child.over and child.ended for child in self._children.values()):
            for key, _ in selector.select(timeout=min(1.0, max(0.0, self._left_s()))):
                child = nodes.get(key.fileobj)  # type: ignore[call-overload]
                if child is not None and self._read(child):
                    selector.unregister(child.channel)
            interrupts.drain()
            if interrupts.count >= 2:
                break
            if interrupts.count or self._left_s() <= 0:
                self._stop()
            self._note_pids(nursery)
            for name, status in nursery.ended():
                self._ended(self._children[int(name)], status)
        selector.close()

    def _left_s(self) -> float:
        """Until the time of the run is up; infinite if there is no limit, and once all have been told to end."""
        children = self._children.values()
        limit_s = self.experiment.seconds
        if not limit_s or self._stopping or any(c.began_s is None and not c.over for c in children):
            return math.inf
        return max((c.began_s for c in children if c.began_s is not None), default=0.0) + limit_s - self.now()

    def _note_pids(self, nursery: Forks | Spawns) -> None:
        for name, pid in nursery.pids.items():
            file = self.folder / "nodes" / name / "pid"
            if name != MEASURE and not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(f"{pid}\n")

    def _read(self, child: Child) -> bool:
        """Take in what a node says. True if its channel is at its end."""
        for message in child.channel.receive():
            if "report" in message:
                self._report(child, *message["report"])
            elif "sample" in message:
                time_s, round, values, scale, variances = message["sample"]
                sample = Sample(np.frombuffer(values, np.float32), scale, variances)
                self._log.measure(time_s, child.node, round, sample)
            elif "result" in message:
                self._result(child, NodeResult(**message["result"]))
            elif "failed" in message:
                self._failed(child, message["failed"], message["bad_input"])
        if child.channel.closed and not child.over:
            self._tell_left(child)
        return child.channel.closed

    def _report(self, child: Child, time_s: float, event: str, round: int, numbers: dict[str, Any]) -> None:
        if event == "started":
            child.began_s = time_s
        self._log.write(time_s, child.node, event, round, numbers)
        if self._view is not None:
            self._view.report(time_s, child.node, event, round, numbers)

    def _result(self, child: Child, result: NodeResult) -> None:
        child.result = result
        if result.error is not None:
            self._failed(child, result.error, result.bad_input)

    def _failed(self, child: Child, error: str, bad_input: bool = False) -> None:
        child.error, child.bad_input = error, bad_input
        self._tell_left(child)
        if self._view is not None and not bad_input:
            self._view.failure(child.node, error)
        if self.experiment.on_failure == "stop" or bad_input:
            self._stop()

    def _ended(self, child: Child, status: int | None) -> None:
        child.ended = True
        self._read(child)  # what it said last may still be unread
        if not child.over:
            log = self.folder / "nodes" / str(child.node) / "log.txt"
            self._failed(child, f"the process {_how(status)} without a result; see {log}")

    def _tell_left(self, left: Child) -> None:
        """The neighbors need not find out by themselves."""
        self._log.forget(self.now(), left.node)
        for child in self._children.values():
            if child is not left and not child.over:
                child.channel.send(left=left.node)

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            for child in self._children.values():
                child.channel.send(stop=True)

    def _measure_together(self, nursery: Forks | Spawns, interrupts: Interrupts) -> None:
        """In a process of its own, for this one knows no torch. The next interrupt ends it."""
        nodes = [c.node for c in self._children.values() if c.result is not None and c.result.error is None]
        nodes = [n for n in nodes if model_file(self.folder, n).exists()]
        if not nodes:
            return
        channel, end = channel_pair()
        nursery.start(MEASURE, end)
        log = self.folder / "measure.txt"
        channel.send(do="measure", nodes=nodes, folder=str(self.folder), config=self.experiment.to_toml(), log=str(log))
        try:
            with interrupts.raised(after=interrupts.count):
                answer = channel.receive_one() or {}
        except KeyboardInterrupt:
            return
        self._together = answer.get("measured", {})
        if "failed" in answer and self._view is not None:
            self._view.failure(-1, answer["failed"])
        elif log.exists() and log.stat().st_size == 0:
            log.unlink()

    def _end(self, wall_s: float, interrupts: int) -> Summary:
        children = [self._children[node] for node in sorted(self._children)]
        wrong = next((c for c in children if c.bad_input), None)
        if wrong is not None and not any(c.began_s is not None and c.result and c.result.steps for c in children):
            raise BadInput(str(wrong.error))
        results = [self._result_of(node) for node in range(self.experiment.nodes)]
        began = [c.began_s for c in children if c.began_s is not None]
        times = Times(
            wall_s=wall_s,
            startup_s=max(began) if began else None,
            evaluation_s=max(r.evaluation_s for r in results),
        )
        summary = self._log.close(
            fixed_keys(self.experiment, "live", self.topology.spectral_gap),
            results,
            times,
            self._together.get("consensus_distance"),
            self._together.get("accuracy"),
        )
        if interrupts:
            raise RunInterrupted(summary)
        failed = [c for c in children if c.error is not None]
        if failed and (self.experiment.on_failure == "stop" or len(failed) == len(children)):
            raise RunFailed(f"node {failed[0].node} failed: {last_line(failed[0].error)}", summary)
        return summary

    def _result_of(self, node: int) -> NodeResult:
        child = self._children.get(node)
        if child is not None and child.result is not None:
            return child.result
        return NodeResult(node=node, error=(child and child.error) or "interrupted")


def _how(status: int | None) -> str:
    if status is None:
        return "was lost with the one that it was forked from,"
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"


def fixed_keys(experiment: "Experiment", world: str, spectral_gap: float) -> dict[str, Any]:
    """The keys of the summary that are known from the start."""
    return {
        "nodes": experiment.nodes,
        "rounds": experiment.rounds,
        "world": world,
        "topology": experiment.topology,
        "merge": experiment.merge,
        "spectral_gap": spectral_gap,
    }


def _addresses(experiment: "Experiment") -> Addresses:
    """Where the nodes of a local swarm listen. Raises BadInput if a port is taken."""
    nodes = range(experiment.nodes)
    if experiment.transport == "tcp":
        for node in nodes:
            check_port(experiment.host, experiment.port + node)
        return Addresses([f"tcp://{experiment.host}:{experiment.port + node}" for node in nodes])
    scratch = Path(tempfile.mkdtemp(prefix="gossipnet-"))  # mode 0700: nobody else connects
    return Addresses([f"ipc://{scratch}/{node}" for node in nodes], scratch)


def check_port(host: str, port: int) -> None:
    """Raise BadInput if nobody could listen there now."""
    try:
        probe_port(host.strip("[]"), port)
    except OSError as error:
        raise BadInput(
            f"cannot listen on {host}:{port}: {error.strerror or error}; set exchange.port or exchange.host"
        ) from None


def run_swarm(experiment: "Experiment", folder: Path, view: View | None = None) -> Summary:
    """Run `experiment` as a local swarm and write its run folder, which exists and holds config.toml.

    Raises BadInput before any node has trained; RunFailed if nodes failed (with `on_failure="stop"`, or all of them)
    and RunInterrupted after Ctrl-C, both after the summary is written.
    """
    with Interrupts() as interrupts:
        return Launcher(experiment, folder, view).run(interrupts)
