from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from gossipnet.data import Samples, Task, make_model, make_task, tasks
from gossipnet.data.task import as_task, classification, correct, cross_entropy
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
@pytest.mark.parametrize(
    "text", ["digits", "text:path=data/play.txt", "table:path=data/table.csv,target=y", "my.py:own"]
)
def test_making_a_task_runs_no_torch_op(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "play.txt").write_text("to be or not to be " * 100)
    (tmp_path / "data" / "table.csv").write_text("x,y\n1,2\n3,4\n5,6\n")
    (tmp_path / "my.py").write_text(SOURCE)
    assert isinstance(make_task(text), Task)


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


SOURCE = """\
import numpy as np
from torch import nn
from torch.nn import functional as f
from gossipnet.data.task import Samples, Task, classification

def accuracy(outputs, targets):
    return (outputs.argmax(1) == targets).float()

train = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 1]], np.array([0, 1, 2, 2, 1])
test = [(np.zeros(4, np.float32), 1)]

def own(width: int = 8):
    return lambda: nn.Linear(4, 3), f.cross_entropy, train, test, {"accuracy": accuracy}

def whole():
    samples = Samples(*train)
    return Task("mine", test, train, (4,), 3, "logistic", f.mse_loss, {})

def returns_a_list():
    return [1]

def returns_too_little():
    return 1, 2, 3

def no_module():
    return 3, f.cross_entropy, train, test, {}

def one_metric():
    return nn.Flatten, f.cross_entropy, train, test, accuracy

def no_data():
    return nn.Flatten, f.cross_entropy, None, test, {}

def fails():
    return train[0].nothing
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "my.py").write_text(SOURCE)
    return tmp_path / "my.py"


def test_five_things_are_a_task(file: Path) -> None:
    task = make_task(f"{file}:own")
    assert (len(task.train), len(task.test), task.outputs, task.train.shape) == (5, 1, 3, (4,))
    assert task.test.batch(np.array([0]))[1].tolist() == [1]
    inputs, targets = task.train.batch(np.arange(5))
    model = make_model("", task)
    assert isinstance(model, nn.Linear)
    assert task.loss(model(inputs), targets).shape == ()
    assert task.metrics["accuracy"](model(inputs), targets).shape == (5,)
    assert make_model("mlp", task)(inputs).shape == (5, 3)


def test_data_of_a_whole_task_becomes_samples(file: Path) -> None:
    task = make_task(f"{file}:whole")
    assert (task.name, len(task.train), len(task.test)) == ("mine", 1, 5)


def test_a_module_that_exists_is_copied_with_its_weights() -> None:
    module = nn.Linear(2, 2)
    task = as_task("own", (module, cross_entropy, ([[0.0, 1.0]], [1]), ([[0.0, 1.0]], [1]), {}))
    first, second = make_model("", task), make_model("", task)
    assert torch.equal(first.weight, module.weight)
    assert len({p.data_ptr() for p in (first.weight, second.weight, module.weight)}) == 3


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        ("returns_a_list", "my.py:19: got a list, expected a Task or \\(module, loss"),
        ("returns_too_little", "my.py:22: got a tuple of 3"),
        ("no_module", "my.py:25: got module 3 and loss"),
        ("one_metric", "my.py:28: got metrics .* expected functions by name"),
        ("no_data", "my.py:31: got a NoneType, expected arrays or a dataset"),
        ("fails", "my.py:35: AttributeError: "),
    ],
)
def test_what_is_wrong_with_a_users_task_is_said_with_its_line(file: Path, function: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint) as caught:
        make_task(f"{file}:{function}")
    assert "\n" not in str(caught.value)


def test_unknown_task_names_the_closest() -> None:
    with pytest.raises(BadInput, match="did you mean 'digits'"):
        make_task("digit")
