"""The nodes of one worker: their Trainers, and the jobs that the simulator sends."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from gossipnet.codec import make_codec
from gossipnet.data.task import Task
from gossipnet.run_folder import model_file
from gossipnet.sim.channel import SharedModels
from gossipnet.sim.engine import told
from gossipnet.sim.loop import as_received
from gossipnet.training.build import build_trainer
from gossipnet.training.files import save_model
from gossipnet.training.merging import Incoming
from gossipnet.training.trainer import Trainer

if TYPE_CHECKING:
    from gossipnet.config import Experiment

Inputs = list[Any]  # of a merge: node, own weight, own age, [[row, weight, age, samples], ...]


class Share:
    """Trains as `LoopEngine` does, to the bit; models to and from others lie in `models`."""

    def __init__(
        self,
        experiment: "Experiment",
        task: Task,
        parts: Sequence[NDArray[Any]],
        nodes: Sequence[int],
        folder: str,
        models: SharedModels,
    ) -> None:
        self._folder, self._models = Path(folder), models
        self._codec = make_codec(experiment.codec)
        self._build: Callable[[int], Trainer] = lambda node: build_trainer(experiment, node, task, parts[node])
        self._trainers = {node: self._build(node) for node in nodes}
        self._failed: dict[int, Exception] = {}  # of nodes whose merge failed

    def do(self, kind: str, job: list[Any]) -> Any:
        """Carry out one job; its result can travel. Raises what fails."""
        work: dict[str, Callable[..., Any]] = {
            "train": self._train,
            "merge": self._merge,
            "evaluate": self._evaluate,
            "save": self._save,
            "vector": self._vector,
            "restart": self._restart,
        }
        return work[kind](*job)

    def _train(self, node: int, round: int, steps: int, row: int) -> tuple[int, float]:
        trainer = self._trainer(node)
        done = trainer.train(round, steps, lambda: self._models.stop)
        exact = self._codec.error == 0
        self._models.rows[row].copy_(trainer.vector if exact else as_received(trainer.vector, self._codec))
        return done

    def _trainer(self, node: int) -> Trainer:
        """Raises what its merge raised, for nobody has waited for that."""
        if node in self._failed:
            raise self._failed[node]
        return self._trainers[node]

    def _merge(self, merges: list[Inputs], measure: bool) -> list[tuple[bool, Any]]:
        """Of each whether it was done, and its numbers or the error's text."""
        return [self._merge_one(merge, measure) for merge in merges]

    def _merge_one(self, merge: Inputs, measure: bool) -> tuple[bool, Any]:
        node, weight, age, members = merge
        incoming = [Incoming(self._models.rows[row], *rest) for row, *rest in members]
        try:
            return True, self._trainers[node].merge(weight, age, incoming, measure)
        except Exception as error:
            self._failed[node] = error
            return False, told(error)

    def _evaluate(self, node: int, final: bool) -> dict[str, Any]:
        return self._trainer(node).evaluate(final)

    def _save(self, node: int) -> None:
        save_model(self._trainer(node).module, model_file(self._folder, node))

    def _restart(self, node: int) -> None:
        self._trainers[node] = self._build(node)
        self._failed.pop(node, None)

    def _vector(self, node: int, row: int) -> None:
        self._models.rows[row].copy_(self._trainers[node].vector)
