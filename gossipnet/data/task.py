"""A task is what the nodes learn: samples for training and for testing, a loss, metrics, and the model that suits it.

Making a task runs numpy only, never a torch op: the data is loaded once, in the process from which the nodes fork.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from gossipnet.data.own import make
from gossipnet.data.samples import Samples as Samples
from gossipnet.data.samples import as_samples
from gossipnet.errors import BadInput
from gossipnet.registry import Registry

Measure = Callable[[Tensor, Tensor], Tensor]  # (outputs, targets) -> a number, or one per sample
OWN_MODEL = "own"


@dataclass(frozen=True)
class Task:
    """Data, loss and metrics of one learning problem, and the model it is usually learnt with."""

    name: str
    train: Samples
    test: Samples
    inputs: tuple[int, ...]  # shape of one input; () where nobody has looked yet
    outputs: int  # classes, or numbers predicted; 0 = unknown
    model: str  # the default, as text for make_model
    loss: Measure  # (outputs, targets) -> (), mean over the batch
    metrics: Mapping[str, Measure]  # (outputs, targets) -> (B,); reported as means
    module: Callable[[], nn.Module] | None = None  # makes the task's own model, the one that `model` then names


tasks: Registry[Task] = Registry("task", "task")
task = tasks.register


def make_task(text: str) -> Task:
    """The task that `text` describes, with its data loaded.

    `text` is the name of a task and its options, or a function of the user's, as `"file.py:function"` or
    `"module:function"`, that returns a Task or (module, loss, train, test, metrics). Raises BadInput.
    """
    made = make(tasks, text)
    if not made.where:
        ours: Task = made.value
        return ours
    try:
        return as_task(text, made.value)
    except BadInput as error:
        raise BadInput(f"{made.where}: {error}") from error


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


def as_task(name: str, made: Any) -> Task:
    """What a user's function returned, as a Task. Raises BadInput."""
    if isinstance(made, Task):
        return replace(made, train=as_samples(made.train), test=as_samples(made.test))
    if not isinstance(made, tuple) or len(made) != 5:
        got = f"a tuple of {len(made)}" if isinstance(made, tuple) else f"a {type(made).__name__}"
        raise BadInput(f"got {got}, expected a Task or (module, loss, train, test, metrics)")
    module, loss, train, test, metrics = made
    if not callable(module) or not callable(loss):
        raise BadInput(f"got module {module!r} and loss {loss!r}, expected a module or what makes one, and a function")
    if not isinstance(metrics, Mapping) or not all(map(callable, metrics.values())):
        raise BadInput(f"got metrics {metrics!r}, expected functions by name, as in {{'accuracy': accuracy}}")
    train = as_samples(train)
    labels = train.targets
    return Task(
        name=name,
        train=train,
        test=as_samples(test),
        inputs=(),
        outputs=0 if labels is None else int(labels.max()) + 1,
        model=OWN_MODEL,
        loss=loss,
        metrics=dict(metrics),
        # A module that exists already is copied, weights and all; one that is made draws its weights on the node.
        module=partial(copy.deepcopy, module) if isinstance(module, nn.Module) else module,
    )
