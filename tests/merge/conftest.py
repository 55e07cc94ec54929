"""Specs and groups that the tests of merge rules share."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gossipnet.merge import Group
from gossipnet.model import Entry, ModelSpec

SHAPES = {"conv": (6, 3, 3, 3), "conv.bias": (6,), "fc": (20, 31), "scale": (), "fc.bias": (20,), "out": (4, 20)}


def spec_of(shapes: dict[str, tuple[int, ...]], buffers: tuple[str, ...] = ()) -> ModelSpec:
    entries, offset = [], 0
    for name, shape in shapes.items():
        numel = torch.Size(shape).numel()
        entries.append(Entry(name, shape, offset, numel, name in buffers))
        offset += numel
    return ModelSpec(tuple(entries))


def group_of(vectors: Tensor, weights: object = None, spec: ModelSpec | None = None) -> Group:
    """Even weights unless given, one 2-D tensor unless a spec is given, ages and samples as a driver gives them."""
    n = len(vectors)
    w = torch.full((n,), 1 / n) if weights is None else torch.as_tensor(weights, dtype=torch.float32)
    if spec is None:
        spec = spec_of({"weight": (1, vectors.shape[1])})
    return Group(vectors, w, spec, ages=torch.arange(n) + 10, samples=torch.full((n,), 100))


@pytest.fixture(name="make_spec")
def make_spec_fixture() -> Callable[..., ModelSpec]:
    return spec_of


@pytest.fixture(name="make_group")
def make_group_fixture() -> Callable[..., Group]:
    return group_of


@pytest.fixture
def spec() -> ModelSpec:
    """Tensors of all kinds: two, four, one and no dimensions, and a float buffer at the end."""
    return spec_of({**SHAPES, "running_mean": (6,)}, buffers=("running_mean",))
