"""A grid that runs in a second, and the same once run: two topologies, two merges, two seeds, and all baselines."""

from pathlib import Path

import pytest

from gossipnet.grid.bench import Bench, bench, load

TASK = """
import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy


def points():
    # two blobs that a line parts
    draw = np.random.default_rng(0)
    targets = np.arange(240) % 2
    inputs = (draw.standard_normal((240, 2)) + 2.0 * targets[:, None]).astype(np.float32)

    def accuracy(outputs, targets):
        return (outputs.argmax(-1) == targets).float()

    train, test = (inputs[:200], targets[:200]), (inputs[200:], targets[200:])
    return (lambda: nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 2))), cross_entropy, train, test, {"accuracy": accuracy}


def diverging():
    module, loss, train, test, metrics = points()
    return module, lambda o, t: loss(o, t) * torch.tensor(float("inf")), train, test, metrics
"""

GRID = """
[grid]
about = "Four nodes and a line."
topologies = ["ring", "complete"]
merges = ["average", "variance-corrected"]
seeds = [0, 1]

[swarm]
nodes = 4

[task]
name = "{folder}/points.py:points"

[training]
rounds = 4
local_steps = 2
batch_size = 8
"""


class Quiet:
    """A view that notes what it is told."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self.told: list[tuple[str, str | None]] = []

    def begin(self, cells, over):
        self.begun.append((len(cells), over))

    def at(self, cell, round):
        pass

    def over(self, cell, error):
        self.told.append((str(cell), error))

    def tick(self):
        pass


@pytest.fixture
def view() -> Quiet:
    return Quiet()


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the task's file."""
    folder = tmp_path_factory.mktemp("grids")
    (folder / "points.py").write_text(TASK)
    (folder / "small.toml").write_text(GRID.format(folder=folder))
    return folder


@pytest.fixture(scope="session")
def done(desk: Path) -> Bench:
    """The small grid, run."""
    file = desk / "small.toml"
    return bench(load(str(file), "small", file.read_text()), file.read_text(), desk / "run", Quiet(), jobs=2)
