"""Running an experiment in either world, and what a run leaves: its folder, its summary, its models."""

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gossipnet.config import SIM_ONLY, Experiment, options
from gossipnet.errors import BadInput, unknown
from gossipnet.registry import split_name
from gossipnet.run_folder import CONFIG, check_free, claimed, default_folder, read_model
from gossipnet.settings import Registered, is_plain, registry

if TYPE_CHECKING:
    from torch import nn

    from gossipnet.report import Metrics, Summary

__all__ = ["Experiment", "Result", "check", "load", "options_table", "run"]
WORLDS = ("live", "sim")
_MADE_ALONE = {
    "merge": "merges",
    "codec": "codecs",
    "optimizer": "optimizers",
    "partition": "partitions",
    "schedule": "schedules",
}


class View(Protocol):
    """What shows a run while it goes on.

    One with a method `note(text)` is also told how the simulator trains, and what goes slower than it could.
    """

    def report(self, time_s: float, node: int | None, event: str, round: int, numbers: dict[str, Any]) -> None:
        """Take in one report: a line of metrics.jsonl."""

    def failure(self, node: int, error: str) -> None:
        """A node failed; the run goes on or ends, as the experiment says."""


@dataclass(frozen=True)
class Result:
    """A finished run: its folder, what it came to, and on demand its reports and models."""

    folder: Path
    summary: "Summary"

    def __str__(self) -> str:
        """The table that the command line prints, and where the page is."""
        from gossipnet.report import outcome

        return f"{outcome(self.summary, self.folder)}\n{self.folder / 'report.html'}"

    @functools.cached_property
    def metrics(self) -> "Metrics":
        """The reports of the run, read from its folder when first asked for."""
        from gossipnet.report import Metrics

        return Metrics.from_file(self.folder / "metrics.jsonl")

    def model(self, node: int) -> "nn.Module":
        """The final model of a node. Raises BadInput if it left none."""
        return load(self.folder, node)

    @property
    def models(self) -> "dict[int, nn.Module]":
        """Node -> its final model, of all nodes that finished."""
        return _load(self.folder, [node for node in range(self.summary.nodes) if node not in self.summary.left])


def run(
    experiment: Experiment,
    world: str = "live",
    out: str | Path | None = None,
    overwrite: bool = False,
    view: View | None = None,
) -> Result:
    """Run an experiment and wait for its end: `live` starts a process per node, `sim` simulates them.

    The run's files go to `out`, by default `runs/<name>-<time>`; `overwrite` replaces an earlier run there. `view`
    shows progress, as gossipnet.progress does. Raises BadInput, and then leaves everything as it was; and with the
    summary of what there is RunFailed, if nodes failed and `on_failure` is stop, and RunInterrupted, after Ctrl-C.
    """
    if world not in WORLDS:
        raise unknown("world", world, WORLDS)
    folder = default_folder(experiment.name) if out is None else Path(out)
    check_free(folder, overwrite)
    check(experiment)
    if world == "live":
        _check_found_by_nodes(experiment)
    drive = _driver(world)  # slow to import: whoever interrupts that has no run yet
    with claimed(folder, overwrite, experiment.to_toml()):
        return Result(folder, drive(experiment, folder, view))


def check(experiment: Experiment) -> None:
    """Raise BadInput for what no value alone can show, before anything starts: it makes what the names name."""
    from gossipnet.topology import make_topology

    for name, plural in _MADE_ALONE.items():
        if not is_plain(plural, text := getattr(experiment, name)):
            registry(plural).make(text)
    make_topology(experiment.topology, n=experiment.nodes, seed=experiment.seed, mixing=experiment.mixing)
    _check_device(experiment.device)
    if experiment.tensorboard:
        from gossipnet.report.tensorboard import require_tensorboard

        require_tensorboard()


def _check_found_by_nodes(experiment: Experiment) -> None:
    """Raise BadInput for a name that was registered in this program: nodes run in others, and would not find it."""
    for known in options():
        text = getattr(experiment, known.name)
        if not isinstance(known.check, Registered) or not text or is_plain(known.check.plural, text):
            continue
        names, name = registry(known.check.plural), split_name(text)[0]
        if name in names.names() and not names.is_installed(name):
            file = getattr(sys.modules.get(names.factory(name).__module__), "__file__", None)
            here = file is None or names.factory(name).__module__ == "__main__"
            raise BadInput(
                f"{known.dotted}: {name!r} is known in this program only, but nodes are programs of their own: "
                + (f"move it to a file and write 'FILE.py:{name}'" if here else f"write {f'{file}:{name}'!r}")
            )


def _check_device(device: str) -> None:
    """Raise BadInput for a kind of device that this torch cannot have; starts no CUDA, for nodes are yet to fork."""
    names = {name for name in device.split(",") if name not in ("auto", "cpu")}
    if not names:
        return
    import torch

    for name in sorted(names):
        if name.startswith("cuda") and not (torch.version.cuda or torch.version.hip):
            raise BadInput(f"swarm.device: got {name!r}, but this torch is built without CUDA: use cpu or auto")
        if name == "mps" and not torch.backends.mps.is_available():
            raise BadInput("swarm.device: got 'mps', but this machine has no Metal device: use cpu or auto")


def _driver(world: str) -> Callable[[Experiment, Path, View | None], "Summary"]:
    if world == "live":
        from gossipnet.live.launch import run_swarm

        return run_swarm
    from gossipnet.sim.run import run_sim

    return run_sim


def load(run: str | Path, node: int) -> "nn.Module":
    """The final model of a node of that run folder, on the CPU. Raises BadInput."""
    return _load(Path(run), [node])[node]


def _load(run: Path, nodes: Sequence[int]) -> "dict[int, nn.Module]":
    from gossipnet.data import make_model, make_task

    experiment = Experiment.from_toml(run / CONFIG)
    for node in nodes:
        if isinstance(node, bool) or not isinstance(node, int) or not 0 <= node < experiment.nodes:
            raise BadInput(f"no node {node!r} in {str(run)!r}: expected 0 to {experiment.nodes - 1}")
    task = make_task(experiment.task)
    models = {node: make_model(experiment.model, task) for node in nodes}
    for node, module in models.items():
        read_model(run, node, module)
    return models


def options_table() -> str:
    """Every option as a Markdown table: its switch, its place in a file, its default, its meaning and its values."""
    rows = ["| option | TOML key | default | meaning | values |", "|---|---|---|---|---|"]
    for known in options():
        switch = f"`{known.switch}`" if known.flag else f"`{known.switch}` (sim)" if known.name in SIM_ONLY else ""
        expected = known.check.expected.replace("|", "\\|")
        rows.append(f"| {switch} | `{known.dotted}` | `{known.literal}` | {known.help} | {expected} |")
    return "\n".join(rows)
