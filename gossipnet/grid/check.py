"""What can be known to go wrong in a cell before any cell runs: graphs, networks, splits, models are made once each."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gossipnet.config import fields_of
from gossipnet.errors import BadInput
from gossipnet.experiment import check
from gossipnet.grid.plan import Cell, cannot_run

if TYPE_CHECKING:
    from gossipnet.data import Task

_NAMED = ("topology", "nodes", "seed", "mixing", "merge", "codec", "optimizer", "partition", "schedule", "device")
_OF_WORLD = ("topology", "nodes", "seed", "mixing", "quorum", "patience", "local_steps")  # and all of [network]


def check_cells(cells: Sequence[Cell], name: Callable[[Cell, BadInput], BadInput] = cannot_run) -> None:
    """Raise BadInput that names the first cell that cannot run, in the words of `name`."""
    seen: set[tuple[object, ...]] = set()
    tasks: dict[str, Task] = {}
    for cell in cells:
        try:
            for work in (_check_names, _check_world, _check_data):
                work(cell, seen, tasks)
        except BadInput as error:
            raise name(cell, error) from error


def _check_names(cell: Cell, seen: set[tuple[object, ...]], tasks: "dict[str, Task]") -> None:
    key = tuple(getattr(cell.experiment, name) for name in _NAMED)
    if not cell.baseline and key not in seen:
        seen.add(key)
        check(cell.experiment)


def _check_world(cell: Cell, seen: set[tuple[object, ...]], tasks: "dict[str, Task]") -> None:
    from gossipnet.sim.simulation import check_world

    names = (*_OF_WORLD, *fields_of("network"))
    key = ("world", *(getattr(cell.experiment, name) for name in names))
    if cell.world == "sim" and not cell.baseline and key not in seen:
        seen.add(key)
        check_world(cell.experiment)


def _check_data(cell: Cell, seen: set[tuple[object, ...]], tasks: "dict[str, Task]") -> None:
    from gossipnet.data import make_model, make_task
    from gossipnet.training.build import split

    e = cell.experiment
    if e.task not in tasks:
        tasks[e.task] = make_task(e.task)
    model, parts = ("model", e.task, e.model), ("split", e.task, e.partition, e.nodes, e.seed)
    if model not in seen:
        seen.add(model)
        make_model(e.model, tasks[e.task])
    if parts not in seen:
        seen.add(parts)
        split(e, tasks[e.task])
