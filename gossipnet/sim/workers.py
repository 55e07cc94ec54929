"""`--train workers`: the nodes are shared out over one-thread processes, which train and merge at the same time.

For what does not gain from stacking: convolutions on a CPU, and whatever vmap refuses. Every node has a Trainer of its
own there, so a run in step ends with the same bits as `loop`. A node's Train is sent off when it starts, all merges of
an instant in one message to each worker, which nobody waits for unless they are measured. Results are dealt with one by
one while the workers go on. Models to and from neighbors are rows of shared memory.
"""

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
            self._pool.results([self._pool.send(node, ["restart", node])])
            self._ages[node] = 0

    def close(self) -> None:
        self._pool.close()

    def vector(self, node: int) -> Tensor:
        (row,) = self._arena.take(1)
        self._pool.results([self._pool.send(node, ["vector", node, row.index])])
        return row.vector.clone()

    def begin(self, node: int, work: Train) -> None:
        (row,) = self._arena.take(1)
        self._started[node] = self._pool.send(node, ["train", node, work.round, work.steps, row.index]), row

    def carry_out(self, jobs: Sequence[Job]) -> Iterable[Event]:
        kinds: Mapping[type[Any], Callable[[Sequence[Job]], Iterable[Event]]] = {
            Train: self._train,
            Merge: self._merge,
            Evaluate: self._evaluate,
            Save: self._save,
        }
        return kinds[type(jobs[0].work)](jobs)

    def _train(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """One by one: what the first results lead to is done while the workers are at the last ones."""
        under_way = [self._started.pop(job.node) for job in jobs]
        for (node, work), (number, row) in zip(jobs, under_way, strict=True):
            ((done, result),) = self._pool.results([number])
            yield self._trained(node, work.round, row, result) if done else Failed(result)

    def _trained(self, node: int, round: int, row: Row, result: tuple[int, float]) -> Trained:
        steps, loss = result
        self._ages[node] += steps
        return Trained(Snapshot(self.spec.digest, round, self._ages[node], self._samples[node], row), steps, loss)

    def _merge(self, jobs: Sequence[Job]) -> list[Event]:
        """A merge that nobody measures is not waited for; if it fails, so does what its node is asked for next."""
        measured: dict[int, Merge] = {}
        others: dict[int, Merge] = {}
        for node, work in jobs:
            assert isinstance(work, Merge)
            self._ages[node] = max([self._ages[node], *(member.snapshot.age for member in work.members)])
            (others if work.round % self._every else measured)[node] = work
        self._send_merges(others, measure=False)
        found = self._measured(measured) | dict.fromkeys(others, Merged({"variance_ratio": None}))
        return [found[job.node] for job in jobs]

    def _measured(self, works: Mapping[int, Merge]) -> dict[int, Event]:
        found: dict[int, Event] = {}
        for nodes, number in self._send_merges(works, measure=True):
            ((done, result),) = self._pool.results([number])
            outcomes = result if done else [(False, result)] * len(nodes)
            for node, (merged, numbers) in zip(nodes, outcomes, strict=True):
                found[node] = Merged(numbers) if merged else Failed(numbers)
        return found

    def _send_merges(self, works: Mapping[int, Merge], measure: bool) -> list[tuple[list[int], int]]:
        """Those of each worker's nodes together: the nodes, and the number of the job."""
        sent = []
        for nodes in self._pool.shares(works):
            merges = [[node, *_inputs(works[node])] for node in nodes]
            held = [works[node] for node in nodes]
            sent.append((nodes, self._pool.send(nodes[0], ["merge", merges, measure], held, answer=measure)))
        return sent

    def _evaluate(self, jobs: Sequence[Job]) -> list[Event]:
        begun = time.perf_counter()
        sent = [self._pool.send(node, ["evaluate", node, getattr(work, "final", False)]) for node, work in jobs]
        found: list[Event] = [
            Evaluated(result) if done else Failed(result) for done, result in self._pool.results(sent)
        ]
        self.evaluation_s += time.perf_counter() - begun
        return found

    def _save(self, jobs: Sequence[Job]) -> list[Event]:
        sent = [self._pool.send(job.node, ["save", job.node]) for job in jobs]
        return [Saved() if done else Failed(result) for done, result in self._pool.results(sent)]


def _inputs(work: Merge) -> list[Any]:
    members = [[m.snapshot.storage.index, m.weight, m.snapshot.age, m.snapshot.samples] for m in work.members]
    return [work.own_weight, work.own_age, members]


class Pending(NamedTuple):
    """A job under way."""

    channel: Channel  # of the worker that does it
    needs: Any  # what is held until it is done
    answer: bool  # whether somebody will ask for its result


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
        self._under_way: dict[int, Pending] = {}  # by the number of the job
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

    def shares(self, nodes: Iterable[int]) -> list[list[int]]:
        """Those nodes, by worker; workers that have none of them are left out."""
        shares: dict[int, list[int]] = {}
        for node in nodes:
            shares.setdefault(node % len(self._channels), []).append(node)
        return [*shares.values()]

    def send(self, node: int, job: list[Any], needs: Any = None, answer: bool = True) -> int:
        """Have that node's worker do a job, `needs` held until it is done; the number to ask its result by, if any."""
        self._number += 1
        channel = self._channels[node % len(self._channels)]
        self._under_way[self._number] = Pending(channel, needs, answer)
        channel.send([self._number, *job])
        return self._number

    def results(self, numbers: Sequence[int]) -> list[tuple[bool, Any]]:
        """Of each job whether it was done, and its result or the error's text. Waits for them."""
        while any(number not in self._results for number in numbers):
            if self._stop():
                self.models.ask_to_stop()
            for channel in self._readable([c for c in self._channels if not c.closed]):
                for number, done, result in channel.receive():
                    self._take(number, done, result)
            if any(channel.closed for channel in self._channels):
                self._give_up_on_lost()
        return [self._results.pop(number) for number in numbers]

    def _take(self, number: int, done: bool, result: Any) -> None:
        if self._under_way.pop(number).answer:
            self._results[number] = done, result

    def _readable(self, channels: list[Channel]) -> list[Channel]:
        kept = [channel.flush() for channel in self._channels]
        if not channels:
            return []
        return select.select(channels, [], [], _LOOK_S / 50 if any(kept) else _LOOK_S)[0]

    def _give_up_on_lost(self) -> None:
        for number, pending in [*self._under_way.items()]:
            if pending.channel.closed:
                self._take(number, False, "RuntimeError: the worker process of this node is gone (out of memory?)")

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
