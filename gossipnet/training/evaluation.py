"""How good a model is: its loss and its task's metrics on given samples."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gossipnet.data.task import Samples, Task

BATCH = 1000


def evaluate(
    module: nn.Module, task: Task, samples: Samples, indices: NDArray[np.int64], device: torch.device
) -> dict[str, Any]:
    """`loss`, the task's metrics, each a mean over `samples[indices]`, and `samples`, how many these are.

    Leaves the module in evaluation mode.
    """
    module.eval()
    totals: dict[str, float] = dict.fromkeys(["loss", *task.metrics], 0.0)
    with torch.inference_mode():
        for first in range(0, len(indices), BATCH):
            inputs, targets = (part.to(device) for part in samples.batch(indices[first : first + BATCH]))
            outputs = module(inputs)
            totals["loss"] += float(task.loss(outputs, targets)) * len(inputs)
            for name, metric in task.metrics.items():
                # the mean over the batch: a metric may give several values per sample (one per character)
                totals[name] += float(metric(outputs, targets).double().mean()) * len(inputs)
    return {name: total / len(indices) for name, total in totals.items()} | {"samples": len(indices)}
