"""A trial of a user's task and model on two samples, before anything is trained: they may not fit each other.

What fails here would fail in the first local step, with a traceback in every node; here it is one line.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from gossipnet.data.own import said
from gossipnet.data.task import Task
from gossipnet.errors import BadInput


def try_out(task: Task, module: nn.Module, indices: Any, device: torch.device) -> None:
    """Give the training samples `indices` to the module, its outputs to loss and metrics. Draws no random number.

    Raises BadInput that names the task, and where in the user's file it failed.
    """
    try:
        inputs, targets = (t.to(device) for t in task.train.batch(indices))
    except Exception:
        return  # a damaged sample says nothing about the rest: the node that draws it fails
    with torch.random.fork_rng(devices=[]), _evaluating(module):
        outputs = _call(task, f"the model, given inputs {_shown(inputs)},", module, inputs)
        if not isinstance(outputs, Tensor) or outputs.shape[:1] != inputs.shape[:1]:
            raise _wrong(task, "the model", outputs, f"one row of outputs for each of {len(inputs)} inputs")
        given = f"given outputs {_shown(outputs)} and targets {_shown(targets)},"
        loss = _call(task, f"the loss, {given}", task.loss, outputs, targets)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise _wrong(task, "the loss", loss, "one number, the mean over the batch")
        if not loss.requires_grad:
            raise BadInput(f"task {task.name!r}: the loss does not depend on any parameter of the model")
        for name, metric in task.metrics.items():
            found = _call(task, f"the metric {name!r}, {given}", metric, outputs.detach(), targets)
            if not isinstance(found, Tensor) or not found.numel():
                raise _wrong(task, f"the metric {name!r}", found, "a tensor with a number for each sample")


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Inside, dropout passes everything and batch norm takes in nothing."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _call(task: Task, what: str, function: Callable[..., Any], *arguments: Tensor) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        raise BadInput(f"task {task.name!r}: {what} raised {said(error)}") from error


def _wrong(task: Task, what: str, got: Any, expected: str) -> BadInput:
    shown = f"a tensor {_shown(got)}" if isinstance(got, Tensor) else f"a {type(got).__name__}"
    return BadInput(f"task {task.name!r}: {what} gave {shown}, expected {expected}")


def _shown(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
