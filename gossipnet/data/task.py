"""A task is what the nodes learn: samples for training and for testing, a loss, metrics, and the model that suits it.

Making a task runs numpy only, never a torch op: the data is loaded once, in the process from which the nodes fork.
Torch first works on the samples in `Samples.batch`, and on a model in `gossipnet.data.models.make_model`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from gossipnet.errors import BadInput
from gossipnet.registry import Registry

Prepare = Callable[[Tensor], Tensor]


class Samples:
    """Inputs and what they should give, as numpy arrays; row i of both is sample i.

    `inputs` (n, ...) stay as they are in memory; `prepare` turns a batch of them into float32. Without one, uint8 is
    scaled to [0, 1] by 255 and anything else becomes float32. `targets` (n, ...): class labels are integers, (n,).
    """

    def __init__(self, inputs: NDArray[Any], targets: NDArray[Any], prepare: Prepare | None = None) -> None:
        if len(inputs) != len(targets) or not len(inputs):
            raise BadInput(f"{len(inputs)} inputs and {len(targets)} targets: expected as many of each, at least one")
        self._inputs = inputs
        self._targets = targets
        self._prepare = prepare or as_float

    def __len__(self) -> int:
        return len(self._inputs)

    @property
    def targets(self) -> NDArray[np.int64] | None:
        """The class label of each sample, (n,) int64, by which data is split; None where there are no classes."""
        if self._targets.ndim != 1 or self._targets.dtype.kind not in "iu":
            return None
        return self._targets.astype(np.int64)

    def batch(self, indices: NDArray[Any]) -> tuple[Tensor, Tensor]:
        """The samples `indices` (B,): inputs (B, ...) float32, targets (B,) int64 or (B, ...) float32; on the CPU."""
        inputs = self._prepare(torch.from_numpy(self._inputs[indices]))
        wanted = self._targets[indices]
        exact = np.int64 if wanted.dtype.kind in "iu" else np.float32
        return inputs, torch.from_numpy(wanted.astype(exact))


def as_float(batch: Tensor) -> Tensor:
    """Any numbers as float32; uint8 is taken for pixels, and scaled to [0, 1]."""
    return batch.float().div_(255) if batch.dtype == torch.uint8 else batch.float()


@dataclass(frozen=True)
class Task:
    """Data, loss and metrics of one learning problem, and the model it is usually learnt with."""

    name: str
    train: Samples
    test: Samples
    inputs: tuple[int, ...]  # shape of one input
    outputs: int  # classes, or numbers predicted
    model: str  # the default, as text for make_model
    loss: Callable[[Tensor, Tensor], Tensor]  # (outputs, targets) -> (), mean over the batch
    metrics: Mapping[str, Callable[[Tensor, Tensor], Tensor]]  # (outputs, targets) -> (B,); reported as means
    module: Callable[[], nn.Module] | None = None  # makes the task's own model, which needs no text


tasks: Registry[Task] = Registry("task", "task")
task = tasks.register


def make_task(text: str) -> Task:
    """The task that `text` describes, with its data loaded. Raises BadInput."""
    made: Task = tasks.make(text)
    return made


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean over the batch; outputs (B, classes), targets (B,) int64."""
    return functional.cross_entropy(outputs, targets)


def correct(outputs: Tensor, targets: Tensor) -> Tensor:
    """1 where the largest of outputs (B, classes) is that of targets (B,), else 0; its mean is the accuracy."""
    return (outputs.argmax(-1) == targets).float()


def classification(
    name: str, train: Samples, test: Samples, *, inputs: tuple[int, ...], outputs: int, model: str
) -> Task:
    """A task with cross-entropy as loss and accuracy as metric."""
    return Task(name, train, test, inputs, outputs, model, cross_entropy, {"accuracy": correct})
