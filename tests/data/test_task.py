from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gossipnet.data import Samples, Task, make_model, make_task, tasks
from gossipnet.data.task import classification, correct, cross_entropy
from gossipnet.errors import BadInput


class NoTorchOps(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"a torch op ran: {func}")


@pytest.fixture
def no_torch_ops() -> Iterator[None]:
    with NoTorchOps():
        yield


@pytest.mark.usefixtures("no_torch_ops")
def test_the_guard_catches_torch_ops() -> None:
    with pytest.raises(AssertionError, match="a torch op ran"):
        torch.zeros(1)


@pytest.mark.usefixtures("no_torch_ops")
def test_making_a_task_runs_no_torch_op() -> None:
    assert isinstance(make_task("digits"), Task)


def test_pixels_stay_bytes_in_memory_and_are_scaled_in_a_batch() -> None:
    pixels = np.array([[0, 51], [255, 102], [1, 2]], dtype=np.uint8)
    samples = Samples(pixels, np.array([2, 0, 1], dtype=np.uint8))
    inputs, targets = samples.batch(np.array([1, 0, 1]))
    assert torch.equal(inputs, torch.tensor([[1.0, 0.4], [0.0, 0.2], [1.0, 0.4]]))
    assert inputs.dtype == torch.float32
    assert targets.tolist() == [0, 2, 0]
    assert targets.dtype == torch.int64
    assert pixels.tolist() == [[0, 51], [255, 102], [1, 2]]


def test_a_batch_is_a_copy() -> None:
    numbers = np.zeros((3, 2), dtype=np.float32)
    samples = Samples(numbers, np.zeros(3, dtype=np.float32))
    for tensor in samples.batch(np.arange(3)):
        tensor.add_(1)
    assert all(tensor.sum() == 0 for tensor in samples.batch(np.arange(3)))


def test_real_targets_are_no_classes() -> None:
    samples = Samples(np.zeros((2, 3)), np.array([0.5, 1.5]))
    assert samples.targets is None
    inputs, targets = samples.batch(np.array([1]))
    assert (inputs.dtype, targets.dtype) == (torch.float32, torch.float32)
    assert targets.tolist() == [1.5]


def test_labels_are_the_classes() -> None:
    samples = Samples(np.zeros((3, 1)), np.array([4, 5, 6], dtype=np.uint8))
    assert samples.targets is not None
    assert samples.targets.dtype == np.int64
    assert samples.targets.tolist() == [4, 5, 6]


def test_inputs_are_prepared_batch_by_batch() -> None:
    samples = Samples(np.array([[1], [2]]), np.array([0, 1]), prepare=lambda batch: batch.float() * 10)
    assert samples.batch(np.array([1, 0]))[0].tolist() == [[20.0], [10.0]]


@pytest.mark.parametrize(("n_inputs", "n_targets"), [(2, 3), (0, 0)])
def test_samples_come_in_pairs(n_inputs: int, n_targets: int) -> None:
    with pytest.raises(BadInput, match=f"{n_inputs} inputs and {n_targets} targets"):
        Samples(np.zeros((n_inputs, 1)), np.zeros(n_targets))


def test_accuracy_is_the_mean_of_correct() -> None:
    outputs = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    assert correct(outputs, torch.tensor([1, 1, 1])).tolist() == [1.0, 0.0, 1.0]


def test_cross_entropy_is_the_mean_negative_log_probability() -> None:
    outputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    targets = torch.tensor([0, 2, 1, 1, 0])
    probabilities = outputs.exp() / outputs.exp().sum(1, keepdim=True)
    by_hand = -torch.stack([probabilities[i, t].log() for i, t in enumerate(targets)]).mean()
    assert torch.allclose(cross_entropy(outputs, targets), by_hand)


def test_a_classification_learns() -> None:
    """A hundred steps of plain SGD on digits leave half of the loss, at the most."""
    task = make_task("digits")
    torch.manual_seed(0)
    model = make_model("", task)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    draw = np.random.default_rng(0)
    losses = []
    for _ in range(100):
        inputs, targets = task.train.batch(draw.choice(len(task.train), 64))
        loss = task.loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    outputs = model(task.test.batch(np.arange(len(task.test)))[0])
    assert task.metrics["accuracy"](outputs, task.test.batch(np.arange(len(task.test)))[1]).mean() > 0.7


def test_users_register_tasks_of_their_own() -> None:
    samples = Samples(np.zeros((4, 2), dtype=np.float32), np.array([0, 1, 0, 1]))

    @tasks.register("test-own")
    def own(classes: int = 2) -> Task:
        """Nothing to learn."""
        return classification("test-own", samples, samples, inputs=(2,), outputs=classes, model="logistic")

    try:
        assert make_task("test-own:classes=3").outputs == 3
        assert tasks.describe()["test-own"] == "Nothing to learn."
    finally:
        del tasks._factories["test-own"]


def test_unknown_task_names_the_closest() -> None:
    with pytest.raises(BadInput, match="did you mean 'digits'"):
        make_task("digit")
