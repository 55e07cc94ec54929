"""What is measured of a model, and of all models of a run together."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from torch import Tensor, nn

from gossipnet.data.task import Task
from gossipnet.merge.blocks import scoped_entries
from gossipnet.merge.moments import variances as variances_of
from gossipnet.model import ModelSpec, bind
from gossipnet.report.log import Sample, Spread
from gossipnet.streams import SWARM, generator
from gossipnet.training.evaluation import evaluate

SAMPLED = 1_000_000  # coordinates that a node hands in for the consensus curve; all of them up to this size


def digest(vector: Tensor) -> str:
    """Hex of xxh3_128 over the bytes of a vector: equal for two runs that agree in every bit."""
    return xxhash.xxh3_128_hexdigest(vector.detach().cpu().contiguous().numpy().data)


def variances(spec: ModelSpec, vector: Tensor) -> dict[str, float]:
    """Population variance of each weight tensor (two dimensions or more), by name."""
    found = variances_of(spec, vector.unsqueeze(0))[0]
    return {e.name: float(v) for e, v in zip(scoped_entries(spec), found, strict=True)}


def coordinates(seed: int, numel: int) -> NDArray[np.int64] | None:
    """Which coordinates a sample has: the same for all nodes, at most `SAMPLED`; None means all."""
    if numel <= SAMPLED:
        return None
    return np.sort(generator(seed, SWARM, "coordinates").choice(numel, SAMPLED, replace=False, shuffle=False))


def take_sample(spec: ModelSpec, vector: Tensor, chosen: NDArray[np.int64] | None) -> Sample:
    """What a node hands in when it is evaluated; a copy, on the CPU."""
    values = vector.detach().cpu().numpy()
    part = values.copy() if chosen is None else values[chosen]
    return Sample(part, spec.numel / len(part), variances(spec, vector))


def measure_together(
    vectors: Iterable[Tensor], make: Callable[[], nn.Module], task: Task, device: torch.device
) -> dict[str, Any]:
    """`consensus_distance` of the vectors, and the `accuracy` (if the task has it) of their mean on the test set."""
    spread = Spread()
    for vector in vectors:
        spread.add(vector.detach().cpu().numpy())
    if not spread.n:
        return {"consensus_distance": None, "accuracy": None}
    module = make().to(device)
    bind(module).copy_(torch.from_numpy(spread.mean()))
    accuracy = evaluate(module, task, task.test, np.arange(len(task.test)), device).get("accuracy")
    return {"consensus_distance": spread.distance(), "accuracy": accuracy}
