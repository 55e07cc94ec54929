"""`--train probe`: every way to train that this experiment allows is tried for a moment, and the fastest is taken."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from gossipnet.data.task import Task
from gossipnet.machine import processors
from gossipnet.training.build import build_trainer
from gossipnet.training.randomness import seeded_process

if TYPE_CHECKING:
    from gossipnet.config import Experiment

_TRIED_S = 0.5
_AT_A_TIME = 128  # nodes of the stacked trial, at most
_SHARE = 0.9  # of a processor that a worker has for its nodes: what the simulator itself takes is not theirs


def probe(experiment: "Experiment", task: Task, parts: Sequence[NDArray[Any]], unstacked: str) -> tuple[str, str]:
    """The fastest engine, and the local steps per second of each. The workers' figure is the loop's on each processor.

    `unstacked` is what models are trained by that cannot be stacked.
    """
    with seeded_process(experiment.seed, 0):
        rates = {"loop": _loop_rate(experiment, task, parts)}
        if unstacked == "workers":
            rates["workers"] = rates["loop"] * max(1.0, _SHARE * min(processors(), experiment.nodes))
        stacked = _stacked_rate(experiment, task, parts)
        if stacked is not None:
            rates["stacked"] = stacked
    found = ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
    return max(rates, key=lambda name: rates[name]), f"the fastest in local steps per second: {found}"


def _loop_rate(experiment: "Experiment", task: Task, parts: Sequence[NDArray[Any]]) -> float:
    trainer = build_trainer(experiment, 0, task, parts[0])
    return _rate(lambda: trainer.train(1, 1))


def _stacked_rate(experiment: "Experiment", task: Task, parts: Sequence[NDArray[Any]]) -> float | None:
    import torch

    from gossipnet.sim.memory import Blocks
    from gossipnet.training.build_stacked import build_stacked, obstacle

    if obstacle(experiment, task, parts) is not None:
        return None
    some = parts[:_AT_A_TIME]
    trainer = build_stacked(experiment, task, some)
    block = min(len(some), Blocks.of(trainer).trained)
    rows = torch.stack(list(trainer.first_vectors()))[:block].clone()
    return block * _rate(lambda: trainer.train(range(block), rows, [1] * block, 1, lambda: False))


def _rate(work: Callable[[], object]) -> float:
    """How often in a second; a model that diverges tells as much."""
    done, begun = -1, 0.0
    while done < 2 or time.perf_counter() - begun < _TRIED_S:
        with suppress(RuntimeError):
            work()
        done += 1
        if done == 0:  # the first warms up
            begun = time.perf_counter()
    return done / (time.perf_counter() - begun)
