"""One node of a deployment: `gossipnet node FILE --id N`, started by itself on its own machine.

There is no launcher. The node keeps a run folder of its own, talks on stderr, prints where its page is in the end, and
takes Ctrl-C itself.
"""

import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gossipnet.errors import BadInput
from gossipnet.live.driver import Place
from gossipnet.live.endpoint import refuse_open, refuse_taken
from gossipnet.live.process import Materials
from gossipnet.live.run import run_node
from gossipnet.report.log import NodeResult, RunLog, Sample, Times
from gossipnet.run_folder import claimed, default_folder
from gossipnet.topology import Neighborhood, Topology, make_topology
from gossipnet.training.build import on_device

if TYPE_CHECKING:
    from gossipnet.config import Experiment


class FolderOutlet:
    """A node's outlet to its own run folder and to stderr. A signal becomes a command."""

    def __init__(self, node: int, rounds: int, log: RunLog, seconds: float = 0.0) -> None:
        self._node, self._rounds, self._log, self._seconds = node, rounds, log, seconds
        self._read, self._write = os.pipe()
        self.interrupts = 0
        self.began_s: float | None = None

    def fileno(self) -> int:
        return self._read

    def interrupt(self, *_: object) -> None:
        """A signal handler: the first ends the node in good order, the second at once."""
        self.interrupts += 1
        if self.interrupts > 1:
            os._exit(130)
        self.stop()

    def stop(self) -> None:
        os.write(self._write, b"s")

    def commands(self) -> list[Mapping[str, Any]]:
        os.read(self._read, 1)
        return [{"stop": True}]

    def report(self, time_s: float, event: str, round: int, numbers: Mapping[str, Any]) -> None:
        if event == "started":
            self.began_s = time_s
            self._limit_time()
        self._log.write(time_s, self._node, event, round, numbers)
        line = self._line(event, round, numbers)
        if line:
            print(f"node {self._node}: {line}", file=sys.stderr, flush=True)

    def _limit_time(self) -> None:
        """Nobody knows here when all nodes began: the time is this node's own."""
        if self._seconds:
            timer = threading.Timer(self._seconds, self.stop)
            timer.daemon = True
            timer.start()

    def measured(self, time_s: float, round: int, sample: Sample) -> None:
        """Alone, a node has nothing to compare its vector with."""

    def _line(self, event: str, round: int, numbers: Mapping[str, Any]) -> str:
        match event:
            case "merged":
                return f"round {round}/{self._rounds} loss {numbers['loss']:.4f} merged {numbers['merged']} models"
            case "evaluated" | "finished":
                shown = (f"{k} {v:.4f}" for k, v in numbers.items() if isinstance(v, float))
                return f"{event} after round {round}: {', '.join(shown)}"
            case "spec_mismatch":
                return f"node {numbers['peer']} runs a model of another shape: nothing of it is merged"
            case "peer_up" | "peer_down":
                return f"node {numbers['peer']} is {event.removeprefix('peer_')}"
            case "refused":
                return f"refused {numbers['count']} messages so far: {numbers['reason']}"
            case _:
                return ""


def run_node_command(experiment: "Experiment", node: int, out: Path | None, insecure: bool) -> int:
    """Run node number `node` to its end. Returns the exit status. Raises BadInput."""
    topology = make_topology(experiment.topology, n=experiment.nodes, seed=experiment.seed, mixing=experiment.mixing)
    endpoints = addresses(experiment, topology)
    listen = listening(endpoints[node], insecure)
    neighborhood = topology.neighborhood(node)
    experiment = on_device(experiment, topology.devices[node])
    materials = Materials(experiment.to_toml())
    folder = out or default_folder(f"{experiment.name}-node{node}")
    with claimed(folder, overwrite=False, config=experiment.to_toml()):
        log = RunLog(folder, [], experiment.tensorboard)
        outlet = FolderOutlet(node, experiment.rounds, log, experiment.seconds)
        epoch = time.monotonic()
        place = Place(node, listen, {p: endpoints[p] for p in neighborhood.peers}, swarm_token(experiment), epoch)
        print(f"node {node}: listening on {listen}, {_awaited(neighborhood)}", file=sys.stderr, flush=True)
        torch.set_num_threads(1)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, outlet.interrupt)
        part, speed = materials.parts[node], topology.speeds[node]
        result = run_node(experiment, place, neighborhood, materials.task, part, folder, outlet, speed)
        _write_summary(log, experiment, result, outlet, time.monotonic() - epoch)
        status = _status(result, outlet)
    print(folder / "report.html")
    return status


def _status(result: NodeResult, outlet: FolderOutlet) -> int:
    if result.error is not None and result.bad_input:
        raise BadInput(result.error)
    if result.error is not None:
        print(result.error, file=sys.stderr)
        return 1
    return 130 if outlet.interrupts else 0


def _write_summary(
    log: RunLog, experiment: "Experiment", result: NodeResult, outlet: FolderOutlet, wall_s: float
) -> None:
    fixed = {
        "nodes": experiment.nodes,
        "rounds": experiment.rounds,
        "world": "live",
        "topology": experiment.topology,
        "merge": experiment.merge,
    }
    times = Times(wall_s=wall_s, startup_s=outlet.began_s, evaluation_s=result.evaluation_s)
    log.close(fixed, [result], times, consensus_distance=None, mean_model_accuracy=None)


def _awaited(neighborhood: Neighborhood) -> str:
    peers = ", ".join(map(str, neighborhood.peers))
    return f"neighbors {peers}" if peers else "no neighbors"


def addresses(experiment: "Experiment", topology: Topology) -> list[str]:
    """The endpoint of every node: as listed, else those of the topology's file, else tcp at host, port + i.

    Raises BadInput if the file has some, but not of all nodes, or one that is no endpoint.
    """
    given = tuple(a for a in topology.addresses if a is not None)
    if given and not experiment.addresses:
        if len(given) < experiment.nodes:
            raise BadInput(
                f"{topology.name}: has {len(given)} addresses for {experiment.nodes} nodes, expected all or none"
            )
        experiment = experiment.replace(addresses=given)
    if experiment.addresses:
        return list(experiment.addresses)
    return [f"tcp://{experiment.host}:{experiment.port + node}" for node in range(experiment.nodes)]


def listening(endpoint: str, insecure: bool) -> str:
    """The endpoint, if it is safe to listen on: there are no keys yet, so only this machine's own addresses are.

    Raises BadInput for any other, unless `insecure`, and for a port that is taken: before the data is loaded.
    """
    refuse_open(endpoint, insecure, "--insecure")
    refuse_taken(endpoint, "set exchange.port or exchange.host")
    return endpoint


def swarm_token(experiment: "Experiment") -> bytes:
    """8 bytes that the nodes of one deployment share: no secret, it keeps neighboring experiments apart."""
    identity = f"{experiment.name}|{experiment.nodes}|{experiment.topology}|{experiment.seed}"
    return hashlib.blake2b(identity.encode(), digest_size=8).digest()
