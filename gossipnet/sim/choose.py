"""Which engine trains the simulated nodes: `--train auto` by a fixed rule, `probe` by trying them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import nn

from gossipnet.data.models import make_model
from gossipnet.data.task import Task
from gossipnet.errors import BadInput
from gossipnet.machine import processors
from gossipnet.model import ModelSpec
from gossipnet.run_folder import CONFIG
from gossipnet.sim.engine import Engine, Note
from gossipnet.sim.loop import LoopEngine
from gossipnet.sim.memory import check_memory
from gossipnet.sim.workers import WorkersEngine
from gossipnet.training.build import init_seed, pick_device, try_own
from gossipnet.training.norms import BatchNorm
from gossipnet.training.randomness import OwnRandomness

if TYPE_CHECKING:
    from gossipnet.config import Experiment

LOOP_BELOW = 64  # nodes: a swarm that one would also spawn is trained as it would be there, bit for bit
SMALL = 1 << 18  # numbers: a dense model up to this size gains from stacking on a CPU
_DENSE = (nn.Linear, nn.Bilinear, nn.Embedding, nn.LayerNorm, BatchNorm)


def make_engine(
    experiment: "Experiment",
    task: Task,
    parts: Sequence[NDArray[Any]],
    folder: Path,
    stop: Callable[[], bool],
    note: Note,
) -> Engine:
    """The engine that the experiment asks for, or the one chosen, which then stands in the folder's config.toml.

    Raises BadInput for one that cannot be, and if there is not the memory for it.
    """
    with OwnRandomness(0, torch.device("cpu"))():
        torch.manual_seed(init_seed(experiment, 0))
        module = make_model(experiment.model, task)
    try_own(experiment, task, module, parts[0], torch.device("cpu"))  # a user's that does not fit is told so first
    name, why = choose(experiment, task, parts, module, note)
    check_memory(experiment, name, task, module, pick_device(experiment.device))
    if name != experiment.train:
        (folder / CONFIG).write_text(experiment.replace(train=name).to_toml(), encoding="utf-8")
    note(f"training: {name}, {why}")
    if name == "stacked":
        from gossipnet.sim.stacked import StackedEngine  # torch.func: seconds

        return StackedEngine(experiment, task, parts, folder, stop, note)
    if name == "workers":
        return WorkersEngine(experiment, ModelSpec.of(module), parts, folder, stop, min(processors(), experiment.nodes))
    return LoopEngine(experiment, task, parts, folder, stop)


def choose(
    experiment: "Experiment", task: Task, parts: Sequence[NDArray[Any]], module: nn.Module, note: Note
) -> tuple[str, str]:
    """The name of the engine, and why that one."""
    device = pick_device(experiment.device)
    name, why = experiment.train, "as asked for"
    if "," in experiment.device and name != "loop":
        if name == "auto":
            return "loop", "on several devices"
        if name != "stacked":
            raise BadInput(f"training.train: {name} trains on one device, got {experiment.device!r}: use loop, or one")
        note(f"stacked trains on one device, the first of {experiment.device}: {device}", warning=True)
        experiment = experiment.replace(device=str(device))
    if name == "probe":
        from gossipnet.sim.probe import probe

        return probe(experiment, task, parts, _unstacked(experiment, device))
    if name == "auto":
        name, why = rule(module, device, experiment.nodes)
    if name == "workers" and device.type != "cpu":
        raise BadInput(f"training.train: workers share out a CPU, but nodes train on {device}: use stacked, or cpu")
    if name == "stacked":
        from gossipnet.training.build_stacked import obstacle

        reason = obstacle(experiment, task, parts)
        if reason:
            note(f"the models cannot be stacked: {reason}", warning=True)
            return _unstacked(experiment, device), "for the models cannot be stacked"
    return name, why


def rule(module: nn.Module, device: torch.device, nodes: int) -> tuple[str, str]:
    """What `auto` is: by the kind of the model, the device and the number of nodes; and why."""
    if device.type != "cpu":
        return ("stacked", f"on {device}") if nodes > 1 else ("loop", "one node")
    if nodes < LOOP_BELOW:
        return "loop", f"fewer than {LOOP_BELOW} nodes, to the bit as in the live world"
    if _dense(module):
        return "stacked", "small dense models"
    if processors() > 1:
        return "workers", f"{processors()} processes, for models that gain nothing from stacking on a CPU"
    return "loop", "one processor, and models that gain nothing from stacking on it"


def _dense(module: nn.Module) -> bool:
    held = [part for part in module.modules() if any(True for _ in part.parameters(recurse=False))]
    return all(isinstance(part, _DENSE) for part in held) and sum(p.numel() for p in module.parameters()) <= SMALL


def _unstacked(experiment: "Experiment", device: torch.device) -> str:
    many = device.type == "cpu" and experiment.nodes >= LOOP_BELOW and processors() > 1
    return "workers" if many else "loop"
