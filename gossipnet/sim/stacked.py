"""`--train stacked`: blocks of nodes train and merge at a time, as stacked tensors, on a CPU or a GPU.

A Train depends on nothing after its start. So when the first result is due, all that have started are trained, not
only those of one instant: links and machines of different speed would leave blocks of one. A merge that nobody
measures is put off until its node trains next (or is looked at), and so done with many others, too; one that fails is
then reported a little later than it was asked for.

The models are rows of an arena. A snapshot is the row in which its node trained: nothing is copied for it, for the
next merge writes to another row, and a model that was not merged is copied before it trains on.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from gossipnet.codec import make_codec
from gossipnet.data.task import Task
from gossipnet.events import Evaluate, Evaluated, Event, Failed, Merge, Merged, Save, Saved, Train, Trained
from gossipnet.merge import make_merge
from gossipnet.model import Snapshot
from gossipnet.run_folder import model_file
from gossipnet.sim.engine import Job, Note, told
from gossipnet.sim.memory import Blocks
from gossipnet.sim.rows import Arena, Row
from gossipnet.training.build import Known, evaluation_interval, node_config
from gossipnet.training.build_stacked import build_stacked
from gossipnet.training.files import save_state
from gossipnet.training.stacked_evaluation import StackedEvaluation
from gossipnet.training.stacked_merge import Groups, StackedMerge
from gossipnet.transfer import pack, unpack

if TYPE_CHECKING:
    from gossipnet.config import Experiment
    from gossipnet.node import NodeConfig


class StackedEngine:
    """All models of a run in one arena.

    `stop` says whether training is to end after the step under way; `note` tells what goes slower than it could.
    """

    def __init__(
        self,
        experiment: "Experiment",
        task: Task,
        parts: Sequence[NDArray[Any]],
        folder: Path,
        stop: Callable[[], bool],
        note: Note,
    ) -> None:
        self.evaluation_s = 0.0
        warn = partial(note, warning=True)
        self._experiment, self._folder, self._stop = experiment, folder, stop
        self._codec = make_codec(experiment.codec)
        self._trainer = trainer = build_stacked(experiment, task, parts)
        self.spec, nodes = trainer.spec, len(parts)
        self._blocks = Blocks.of(trainer)
        self._merge = StackedMerge(
            make_merge(experiment.merge), self.spec, experiment.buffers, nodes, trainer.streams, trainer.device, warn
        )
        self._evaluation = StackedEvaluation(trainer, warn)
        self._arena = Arena(3 * nodes + self._blocks.trained, self.spec.numel, trainer.device)
        self._rows = self._arena.take(nodes)  # of each node: its model
        for row, vector in zip(self._rows, trainer.first_vectors(), strict=True):
            row.vector.copy_(vector)
        self._every = evaluation_interval(experiment)
        self._sent = [False] * nodes  # whether the row is a snapshot, too
        self._ages = [0] * nodes
        self._started: dict[int, Train] = {}
        self._merging: dict[int, Merge] = {}
        self._done: dict[int, Event] = {}  # results that are not due yet
        self._failed: dict[int, Exception] = {}

    def config(self, node: int, session: int) -> "NodeConfig":
        return node_config(self._experiment, node, Known(self.spec, self._trainer.n_samples[node]), session)

    def vector(self, node: int) -> Tensor:
        self._finish_merges([node])
        return self._rows[node].vector

    def begin(self, node: int, work: Train) -> None:
        self._started[node] = work

    def lost(self, node: int, empty: bool) -> None:
        """Local steps that were done already stay done: they were so before anybody knew of the loss."""
        self._started.pop(node, None)
        self._done.pop(node, None)
        if empty:
            self._merging.pop(node, None)
            self._failed.pop(node, None)
            (row,) = self._arena.take(1)
            row.vector.copy_(self._trainer.restart(node))
            self._merge.restart(node)
            self._rows[node], self._sent[node], self._ages[node] = row, False, 0

    def close(self) -> None:
        """Nothing outlives the object."""

    def carry_out(self, jobs: Sequence[Job]) -> list[Event]:
        kinds = {Train: self._train, Merge: self._merge_jobs, Evaluate: self._evaluate, Save: self._save}
        return kinds[type(jobs[0].work)](jobs)

    # --- training ---------------------------------------------------------------------------------------------

    def _train(self, jobs: Sequence[Job]) -> list[Event]:
        if any(job.node not in self._done for job in jobs):
            self._started |= {node: work for node, work in jobs if isinstance(work, Train) and node not in self._done}
            self._finish_merges(list(self._merging))
            self._train_all()
        return [self._done.pop(job.node) for job in jobs]

    def _train_all(self) -> None:
        """All that have started, in blocks of rows that lie together."""
        started, self._started = self._started, {}
        for node in [node for node in started if node in self._failed]:
            self._done[node] = self._failure(node)
            del started[node]
        self._keep_sent(started)
        order = sorted(started, key=lambda node: (started[node].steps, self._rows[node].index))
        for steps, same in groupby(order, lambda node: started[node].steps):
            nodes = list(same)
            for first in range(0, len(nodes), self._blocks.trained):
                block = nodes[first : first + self._blocks.trained]
                self._train_block(block, [started[node].round for node in block], steps)

    def _keep_sent(self, nodes: Iterable[int]) -> None:
        """Give those whose model is a snapshot (nothing was merged since) a copy to train on."""
        sent = [node for node in nodes if self._sent[node]]
        for first in range(0, len(sent), self._blocks.trained):
            block = sent[first : first + self._blocks.trained]
            copies = self._arena.take(len(block))
            self._arena.copy([self._rows[node] for node in block], copies)
            for node, row in zip(block, copies, strict=True):
                self._rows[node], self._sent[node] = row, False

    def _train_block(self, nodes: list[int], rounds: list[int], steps: int) -> None:
        held = [self._rows[node] for node in nodes]
        rows, near = self._arena.of(held)
        try:
            done, losses, failed = self._trainer.train(nodes, rows, rounds, steps, self._stop)
        except Exception as error:  # what fails for all of a block
            done, losses, failed = 0, [0.0] * len(nodes), dict.fromkeys(nodes, error)
        if not near:
            self._arena.put(held, rows)
        self._failed |= failed
        for node, round, loss in zip(nodes, rounds, losses, strict=True):
            self._done[node] = self._failure(node) if node in self._failed else self._trained(node, round, done, loss)

    def _trained(self, node: int, round: int, steps: int, loss: float) -> Trained:
        self._ages[node] += steps
        samples = self._trainer.n_samples[node]
        storage = self._as_received(node)
        return Trained(Snapshot(self.spec.digest, round, self._ages[node], samples, storage), steps, loss)

    def _as_received(self, node: int) -> Row:
        """What neighbors get of a model: the row itself, or another with the losses of the codec."""
        if self._codec.error == 0:
            self._sent[node] = True
            return self._rows[node]
        (row,) = self._arena.take(1)
        row.vector.copy_(unpack(pack(self._rows[node].vector, self._codec), self.spec.numel, self._codec))
        return row

    # --- merging ----------------------------------------------------------------------------------------------

    def _merge_jobs(self, jobs: Sequence[Job]) -> list[Event]:
        """Those of a round whose merges are measured are done at once."""
        measured: list[int] = []
        for node, work in jobs:
            assert isinstance(work, Merge)
            self._merging[node] = work
            self._ages[node] = max([self._ages[node], *(member.snapshot.age for member in work.members)])
            if work.round % self._every == 0:
                measured.append(node)
        ratios = self._finish_merges(measured, measure=True)
        return [
            self._failure(job.node) if job.node in self._failed else Merged({"variance_ratio": ratios.get(job.node)})
            for job in jobs
        ]

    def _finish_merges(self, nodes: Iterable[int], measure: bool = False) -> dict[int, float | None]:
        """Do those merges that were put off; with `measure` the variance ratio of each."""
        works = {node: self._merging.pop(node) for node in nodes if node in self._merging}
        order = sorted(works, key=lambda node: (len(works[node].members), self._rows[node].index))
        ratios: dict[int, float | None] = {}
        for size, same in groupby(order, lambda node: len(works[node].members)):
            alike = list(same)
            most = self._blocks.merged(size + 1)
            for first in range(0, len(alike), most):
                block = {node: works[node] for node in alike[first : first + most]}
                ratios |= self._merge_block(block, measure)
        return ratios

    def _merge_block(self, works: dict[int, Merge], measure: bool) -> dict[int, float | None]:
        nodes = list(works)
        groups = self._groups(works)
        try:
            merged, failed = self._merge(groups)
            ratios = self._merge.ratios(groups, merged) if measure else []
        except Exception as error:  # what fails for all of a block
            self._failed |= dict.fromkeys(nodes, error)
            return {}
        self._failed |= failed
        rows = self._arena.take(len(nodes))
        self._arena.put(rows, merged)
        for node, row in zip(nodes, rows, strict=True):
            self._rows[node], self._sent[node] = row, False
        if self._experiment.after_merge == "reset":
            self._trainer.forget([node for node in nodes if node not in failed])
        return dict(zip(nodes, ratios, strict=True)) if measure else {}

    def _groups(self, works: dict[int, Merge]) -> Groups:
        device = self._trainer.device
        members = [(node, work, work.members) for node, work in works.items()]
        at = torch.tensor(
            [[self._rows[node].index, *(m.snapshot.storage.index for m in ms)] for node, _, ms in members],
            device=device,
        )
        return Groups(
            nodes=list(works),
            vectors=self._arena.gather(at),
            weights=torch.tensor([[w.own_weight, *(m.weight for m in ms)] for _, w, ms in members], device=device),
            ages=torch.tensor([[w.own_age, *(m.snapshot.age for m in ms)] for _, w, ms in members], device=device),
            samples=torch.tensor(
                [[self._trainer.n_samples[node], *(m.snapshot.samples for m in ms)] for node, _, ms in members],
                device=device,
            ),
        )

    # --- evaluating and saving --------------------------------------------------------------------------------

    def _evaluate(self, jobs: Sequence[Job]) -> list[Event]:
        begun = time.perf_counter()
        found: dict[int, dict[str, Any]] = {}
        nodes = [job.node for job in jobs]
        self._finish_merges(nodes)
        for final in (False, True):
            asked = [job.node for job in jobs if isinstance(job.work, Evaluate) and job.work.final == final]
            for first in range(0, len(asked), self._blocks.evaluated):
                block = asked[first : first + self._blocks.evaluated]
                rows, _ = self._arena.of([self._rows[node] for node in block])
                numbers, failed = self._evaluation(block, rows, final)
                self._failed |= failed
                found |= dict(zip(block, numbers, strict=True))
        self.evaluation_s += time.perf_counter() - begun
        return [self._failure(n) if n in self._failed else Evaluated(found[n]) for n in nodes]

    def _save(self, jobs: Sequence[Job]) -> list[Event]:
        self._finish_merges([job.node for job in jobs])
        return [self._save_one(job.node) for job in jobs]

    def _save_one(self, node: int) -> Event:
        if node in self._failed:
            return self._failure(node)
        try:
            file = model_file(self._folder, node)
            save_state(self._trainer.state(node, self.vector(node)), file)
        except Exception as error:
            self._failed[node] = error
            return self._failure(node)
        return Saved()

    def _failure(self, node: int) -> Failed:
        return Failed(told(self._failed[node]))
