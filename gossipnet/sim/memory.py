"""How much memory a simulation takes, how much there is, and in what blocks it works so that it does not take more."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gossipnet.data.task import Task
from gossipnet.errors import BadInput
from gossipnet.machine import available_bytes
from gossipnet.model import ModelSpec
from gossipnet.training.evaluation import BATCH
from gossipnet.training.stacked import StackedTrainer

if TYPE_CHECKING:
    from gossipnet.config import Experiment

CPU_BLOCK_BYTES = 16 << 20  # what a block works on stays in a third-level cache, or near it
CUDA_BLOCK_BYTES = 1 << 30
NODE_BYTES = 40_000  # a node's state, its messages and reports
MODULE_BYTES = 60_000  # a module, its optimizer and random numbers, beside the tensors


@dataclass(frozen=True)
class Blocks:
    """How many nodes go through each kind of work at a time."""

    trained: int
    evaluated: int
    bytes: int
    model_bytes: int

    @classmethod
    def of(cls, trainer: StackedTrainer) -> "Blocks":
        """Blocks for that trainer's models, batches and device."""
        most = CUDA_BLOCK_BYTES if trainer.device.type == "cuda" else CPU_BLOCK_BYTES
        model = 4 * trainer.spec.numel
        inputs, outputs = sample_bytes(trainer.module, trainer.task)
        memory = 3 + 2 * trainer.memories
        step = trainer.config.batch_size * (inputs + 2 * outputs) + memory * model
        return cls(max(1, most // step), max(1, most // (model + BATCH * outputs)), most, model)

    def merged(self, size: int) -> int:
        """Nodes whose groups have `size` models."""
        return max(1, self.bytes // ((size + 2) * self.model_bytes))


def sample_bytes(module: nn.Module, task: Task) -> tuple[int, int]:
    """Bytes of one sample's inputs, and of all that the module's layers make of it."""
    device = next(module.parameters()).device
    inputs = task.test.batch(torch.zeros(1, dtype=torch.int64).numpy())[0].to(device)
    made = 0

    def count(_: nn.Module, given: tuple[object, ...], output: object) -> None:
        nonlocal made
        held = {tensor.data_ptr() for tensor in given if isinstance(tensor, Tensor)}
        if isinstance(output, Tensor) and output.data_ptr() not in held:  # a view of what came in costs nothing
            made += output.numel() * output.element_size()

    leaves = [part for part in module.modules() if not any(part.children())]
    hooks = [leaf.register_forward_hook(count) for leaf in leaves]
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            module.eval()(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return inputs.numel() * 4, made


def free_bytes(device: torch.device) -> int | None:
    """Memory that is free on the device, as far as the system tells; on a CPU what a container allows counts, too."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    known = [free for free in (_machine_bytes(), _container_bytes()) if free is not None]
    return min(known, default=None)


def _machine_bytes() -> int | None:
    free = available_bytes()
    if free is not None:
        return free
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def _container_bytes() -> int | None:
    """What the control group (version 2) leaves us; None without a limit."""
    here = Path("/sys/fs/cgroup")
    try:
        limit, used = ((here / name).read_text().strip() for name in ("memory.max", "memory.current"))
        stat = (here / "memory.stat").read_text().splitlines()
        cache = next(int(line.split()[1]) for line in stat if line.startswith("inactive_file "))
        return None if limit == "max" else max(0, int(limit) - int(used) + cache)
    except (OSError, StopIteration, ValueError):
        return None


def check_memory(experiment: "Experiment", engine: str, task: Task, module: nn.Module, device: torch.device) -> None:
    """Raise BadInput, saying how many nodes would fit, if the run would need more memory than is free."""
    free = free_bytes(device)
    if free is None:
        return
    fixed, each = needed_bytes(experiment, engine, task, module, device)
    if fixed + experiment.nodes * each <= free:
        return
    fit = max(0, int((free - fixed) // each))
    fix = f"at most {fit:,} nodes fit" if fit else "use a smaller model or batch"
    raise BadInput(
        f"swarm.nodes: {experiment.nodes:,} nodes of this model need about {_gib(fixed + experiment.nodes * each)}"
        f" with --train {engine}, {_gib(free)} are free on {device}: {fix}"
    )


def needed_bytes(
    experiment: "Experiment", engine: str, task: Task, module: nn.Module, device: torch.device
) -> tuple[int, int]:
    """Bytes that a run takes whatever the number of its nodes, and for each of them; estimates."""
    spec = ModelSpec.of(module)
    model = 4 * spec.numel
    optimizer = {"sgd": 1 if "momentum" in experiment.optimizer else 0}.get(experiment.optimizer.split(":")[0], 2)
    snapshots = experiment.depth + 1  # that each node keeps, and the one in the making
    inputs, outputs = sample_bytes(module, task)
    batch = experiment.batch_size * (inputs + 2 * outputs)
    evaluation = BATCH * (inputs + outputs)
    if engine == "stacked":  # the model itself is one of the snapshots
        most = CUDA_BLOCK_BYTES if device.type == "cuda" else CPU_BLOCK_BYTES
        return 4 * most + batch + evaluation, (snapshots + optimizer) * model + NODE_BYTES
    own = 2 * model  # values and gradients
    return 2 * model + batch + evaluation, own + (snapshots + optimizer) * model + NODE_BYTES + MODULE_BYTES


def _gib(count: int) -> str:
    return f"{count / (1 << 30):.3g} GiB"
