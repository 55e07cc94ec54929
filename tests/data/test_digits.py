import importlib.util

import numpy as np
import pytest
import torch

from gossipnet.data import digits as source
from gossipnet.data import make_task
from gossipnet.errors import BadInput


def test_digits_are_those_of_scikit_learn() -> None:
    """Training and test images together are load_digits(), each image once."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    task = make_task("digits")
    parts = [part.batch(np.arange(len(part))) for part in (task.train, task.test)]
    got = torch.cat([torch.cat([inputs.flatten(1) * 16, targets[:, None]], 1) for inputs, targets in parts])
    wanted = np.column_stack([pixels, labels])
    assert sorted(map(tuple, got.tolist())) == sorted(map(tuple, wanted.tolist()))


def test_sizes_and_shapes() -> None:
    task = make_task("digits")
    assert (len(task.train), len(task.test)) == (1437, 360)
    inputs, targets = task.test.batch(np.arange(360))
    assert inputs.shape == (360, *task.inputs) == (360, 1, 8, 8)
    assert (inputs.min(), inputs.max()) == (0, 1)
    assert set(targets.tolist()) == set(range(task.outputs))


def test_both_ways_to_read_the_images_agree() -> None:
    images, labels = source._load()
    rows = source._ask_sklearn()
    assert np.array_equal(images.reshape(-1, 64) * 16, rows[:, :-1])
    assert np.array_equal(labels, rows[:, -1])


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"pip install 'gossipnet\[demo\]'"):
        make_task("digits")
