"""How good many models are: loss and metrics of a block of nodes at a time, on the same samples."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, vmap

from gossipnet.model import bind
from gossipnet.training.evaluation import BATCH, evaluate
from gossipnet.training.stacked import Errors, Rows, StackedTrainer, line


class StackedEvaluation:
    """`Trainer.evaluate` of all nodes of `trainer`. A task that vmap refuses is measured node by node.

    `warn` is told so once.
    """

    def __init__(self, trainer: StackedTrainer, warn: Callable[[str], None]) -> None:
        self._trainer, self._task, self._warn = trainer, trainer.task, warn
        self._module = trainer.init.make().to(trainer.device).eval()
        self._vector = bind(self._module)
        self._alone = False

    def __call__(self, nodes: Sequence[int], rows: Tensor, final: bool) -> tuple[list[dict[str, Any]], Errors]:
        """The numbers of each node with its model in `rows` (b, d); those of a node that failed are empty."""
        errors: Errors = {}
        found = self._tested(nodes, rows, final, errors)
        for i, node in enumerate(nodes):
            if len(self._trainer.held[node]) and node not in errors:
                found[i] |= self._validated(node, rows[i], errors)
        return found, errors

    def _tested(self, nodes: Sequence[int], rows: Tensor, final: bool, errors: Errors) -> list[dict[str, Any]]:
        size = len(self._task.test) if final else min(self._trainer.config.evaluate_samples, len(self._task.test))
        if not self._alone:
            try:
                return self._together(nodes, rows, size)
            except Exception as error:
                self._alone = True
                self._warn(f"task {self._task.name!r} is measured node by node, torch.vmap refuses it: {line(error)}")
        return [self._one(n, row, self._task.test, np.arange(size), errors) for n, row in zip(nodes, rows, strict=True)]

    def _together(self, nodes: Sequence[int], rows: Tensor, size: int) -> list[dict[str, Any]]:
        at = Rows(nodes)
        held = {**self._trainer.spec.views(rows), **{k: at.of(v) for k, v in self._trainer.locals.items()}}
        totals = torch.zeros(1 + len(self._task.metrics), len(nodes), dtype=torch.float64)
        with torch.no_grad():
            for first in range(0, size, BATCH):
                batch = self._task.test.batch(np.arange(first, min(first + BATCH, size)))
                inputs, targets = (part.to(self._trainer.device) for part in batch)
                means = vmap(self._means, (0, None, None))(held, inputs, targets)
                totals += torch.stack([mean.double().cpu() for mean in means]) * len(inputs)
        names = ["loss", *self._task.metrics]
        return [{**dict(zip(names, each, strict=True)), "samples": size} for each in (totals / size).T.tolist()]

    def _means(self, held: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> list[Tensor]:
        outputs = functional_call(self._module, held, (inputs,))
        means = [metric(outputs, targets).double().mean() for metric in self._task.metrics.values()]
        return [self._task.loss(outputs, targets), *means]

    def _validated(self, node: int, row: Tensor, errors: Errors) -> dict[str, Any]:
        found = self._one(node, row, self._task.train, self._trainer.held[node], errors)
        return {f"validation_{name}": value for name, value in found.items() if name != "samples"}

    def _one(self, node: int, row: Tensor, samples: Any, indices: Any, errors: Errors) -> dict[str, Any]:
        self._vector.copy_(row)
        for name, values in self._trainer.locals.items():
            self._module.get_buffer(name).copy_(values[node])
        try:
            with self._trainer.streams[node](keep=False):
                return evaluate(self._module, self._task, samples, indices, self._trainer.device)
        except Exception as error:
            errors[node] = error
            return {}
