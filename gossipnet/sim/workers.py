"""`--train workers`: the nodes are shared out over one-thread processes, which train and merge at the same time.

For what does not gain from stacking: convolutions on a CPU, and whatever vmap refuses. Every node has a Trainer of its
own there, so a run in step ends with the same bits as `loop`. A node's Train is sent off when it starts, and together
with the merge before it, which nobody waits for; models to and from neighbors are rows of shared memory.
"""

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from gossipnet.errors import BadInput, last_line
from gossipnet.events import Evaluate, Evaluated, Event, Failed, Merge, Merged, Save, Saved, Train, Trained
from gossipnet.model import ModelSpec, Snapshot
from gossipnet.sim.channel import Channel, SharedModels, nameless_file
from gossipnet.sim.engine import Job
from gossipnet.sim.rows import Arena, Row
from gossipnet.streams import generator
from gossipnet.training.batches import hold_out
from gossipnet.training.build import Known, evaluation_interval, node_config

if TYPE_CHECKING:
    from gossipnet.config import Experiment
    from gossipnet.node import NodeConfig

_ROWS = 16  # of shared memory for each node; those that are never used cost nothing
_LOOK_S = 0.1  # how often we look whether to stop, while nothing arrives


class WorkersEngine:
    """`count` processes that have the models. Raises BadInput if they cannot make what the experiment names."""

    def __init__(
        self,
        experiment: "Experiment",
        spec: ModelSpec,
        parts: Sequence[NDArray[Any]],
        folder: Path,
        stop: Callable[[], bool],
        count: int,
    ) -> None:
        self.spec, self.evaluation_s = spec, 0.0
        self._experiment, self._stop = experiment, stop
        self._samples = [self._kept(node, part) for node, part in enumerate(parts)]
        self._every = evaluation_interval(experiment)
        self._ages = [0] * len(parts)
        self._pool = Pool(experiment, folder, spec.numel, count, stop)
        self._arena = Arena(0, spec.numel, torch.device("cpu"), self._pool.models.rows)
        self._merging: dict[int, Merge] = {}
        self._started: dict[int, tuple[int, Row]] = {}  # node -> its job under way, and where its model will be

    def _kept(self, node: int, part: NDArray[Any]) -> int:
        held = self._experiment.validation
        return len(hold_out(part, held, generator(self._experiment.seed, node, "validation"))[0])

    def config(self, node: int, session: int) -> "NodeConfig":
        return node_config(self._experiment, node, Known(self.spec, self._samples[node]), session)

    def lost(self, node: int, empty: bool) -> None:
        """Local steps that were done already stay done: they were so before anybody knew of the loss."""
        under_way = self._started.pop(node, None)
        if under_way is not None:
            self._pool.results([under_way[0]])  # its row is written to until then
        if empty:
            self._merging.pop(node, None)
            self._pool.results([self._pool.send(node, ["restart", node])])
            self._ages[node] = 0

    def close(self) -> None:
        self._pool.close()

    def vector(self, node: int) -> Tensor:
        self._finish_merges([node])
        (row,) = self._arena.take(1)
        self._pool.results([self._pool.send(node, ["vector", node, row.index])])
        return row.vector.clone()

    def begin(self, node: int, work: Train) -> None:
        (row,) = self._arena.take(1)
        merge = self._merging.pop(node, None)
        job = ["train", node, work.round, work.steps, row.index, _inputs(merge) if merge else None]
        self._started[node] = self._pool.send(node, job, merge), row

    def carry_out(self, jobs: Sequence[Job]) -> list[Event]:
        kinds = {Train: self._train, Merge: self._merge, Evaluate: self._evaluate, Save: self._save}
        return kinds[type(jobs[0].work)](jobs)

    def _train(self, jobs: Sequence[Job]) -> list[Event]:
        under_way = [self._started.pop(job.node) for job in jobs]
        found = self._pool.results([number for number, _ in under_way])
        return [
            self._trained(node, work.round, row, result) if done else Failed(result)
            for (node, work), (_, row), (done, result) in zip(jobs, under_way, found, strict=True)
        ]

    def _trained(self, node: int, round: int, row: Row, result: tuple[int, float]) -> Trained:
        steps, loss = result
        self._ages[node] += steps
        return Trained(Snapshot(self.spec.digest, round, self._ages[node], self._samples[node], row), steps, loss)

    def _merge(self, jobs: Sequence[Job]) -> list[Event]:
        """Merges are put off until the node trains or is looked at, but for those of a round that is measured."""
        found: dict[int, Event] = {}
        for node, work in jobs:
            assert isinstance(work, Merge)
            self._ages[node] = max([self._ages[node], *(member.snapshot.age for member in work.members)])
            self._merging[node] = work
            found[node] = Merged({"variance_ratio": None})
        measured = [job.node for job in jobs if job.work.round % self._every == 0]
        found |= self._finish_merges(measured, measure=True)
        return [found[job.node] for job in jobs]

    def _finish_merges(self, nodes: Iterable[int], measure: bool = False) -> dict[int, Event]:
        works = {node: self._merging.pop(node) for node in nodes if node in self._merging}
        sent = [self._pool.send(n, ["merge", n, _inputs(work), measure], work) for n, work in works.items()]
        found = zip(works, self._pool.results(sent), strict=True)
        return {node: Merged(result) if done else Failed(result) for node, (done, result) in found}

    def _evaluate(self, jobs: Sequence[Job]) -> list[Event]:
        begun = time.perf_counter()
        self._finish_merges([job.node for job in jobs])
        sent = [self._pool.send(node, ["evaluate", node, getattr(work, "final", False)]) for node, work in jobs]
        found: list[Event] = [
            Evaluated(result) if done else Failed(result) for done, result in self._pool.results(sent)
        ]
        self.evaluation_s += time.perf_counter() - begun
        return found

    def _save(self, jobs: Sequence[Job]) -> list[Event]:
        self._finish_merges([job.node for job in jobs])
        sent = [self._pool.send(job.node, ["save", job.node]) for job in jobs]
        return [Saved() if done else Failed(result) for done, result in self._pool.results(sent)]


def _inputs(work: Merge) -> list[Any]:
    members = [[m.snapshot.storage.index, m.weight, m.snapshot.age, m.snapshot.samples] for m in work.members]
    return [work.own_weight, work.own_age, members]


class Pool:
    """The worker processes. Node i belongs to worker i modulo their number."""

    def __init__(
        self, experiment: "Experiment", folder: Path, numel: int, count: int, stop: Callable[[], bool]
    ) -> None:
        size = _ROWS * experiment.nodes
        memory = nameless_file(size, numel)
        self.models = SharedModels(memory, size, numel)
        self._stop = stop
        self._number = 0
        self._under_way: dict[int, tuple[Channel, Any]] = {}  # job -> who does it, and what it needs until then
        self._results: dict[int, tuple[bool, Any]] = {}
        pairs = [socket.socketpair() for _ in range(count)]
        watched, self._liveness = os.pipe()
        theirs = [other.fileno() for _, other in pairs]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gossipnet.sim.worker", *map(str, [watched, memory, *theirs])],
            pass_fds=[watched, memory, *theirs],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is ours to hear
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
        )
        for descriptor in (watched, memory):
            os.close(descriptor)
        self._channels = [Channel(mine) for mine, _ in pairs]
        for mine, other in pairs:
            other.close()
            mine.setblocking(False)
        setting = {"config": experiment.to_toml(), "size": size, "numel": numel, "folder": str(folder.absolute())}
        self._channels[0].send(setting)
        try:
            self._await_ready()
        except BaseException:
            self.close()
            raise

    def _await_ready(self) -> None:
        waiting = set(self._channels)
        while waiting:
            for channel in self._readable(list(waiting)):
                for message in channel.receive():
                    if "failed" in message:
                        raise BadInput(
                            f"a worker process cannot do this run, use --train loop: {last_line(message['failed'])}"
                        )
                    waiting.discard(channel)
                if channel.closed:
                    raise BadInput("a worker process ended before it began (out of memory?): use --train loop")

    def send(self, node: int, job: list[Any], needs: Any = None) -> int:
        """Have that node's worker do a job; its number."""
        self._number += 1
        channel = self._channels[node % len(self._channels)]
        self._under_way[self._number] = channel, needs
        channel.send([self._number, *job])
        return self._number

    def results(self, numbers: Sequence[int]) -> list[tuple[bool, Any]]:
        """Of each job whether it was done, and its result or the error's text. Waits for them."""
        while any(number not in self._results for number in numbers):
            if self._stop():
                self.models.ask_to_stop()
            for channel in self._readable([c for c in self._channels if not c.closed]):
                for number, done, result in channel.receive():
                    self._results[number] = done, result
                    del self._under_way[number]
            self._give_up_on_lost()
        return [self._results.pop(number) for number in numbers]

    def _readable(self, channels: list[Channel]) -> list[Channel]:
        kept = [channel.flush() for channel in self._channels]
        if not channels:
            return []
        return select.select(channels, [], [], _LOOK_S / 50 if any(kept) else _LOOK_S)[0]

    def _give_up_on_lost(self) -> None:
        for number, (channel, _) in [*self._under_way.items()]:
            if channel.closed:
                del self._under_way[number]
                self._results[number] = False, "RuntimeError: the worker process of this node is gone (out of memory?)"

    def close(self) -> None:
        """End the processes, in the middle of their work if need be."""
        for channel in self._channels:
            channel.close()
        os.close(self._liveness)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
