from pathlib import Path

import numpy as np
import pytest
import torch

from gossipnet.data import make_model, make_task
from gossipnet.errors import BadInput

CONTENT = "To be, or not to be: thät is the question.\n" * 30


@pytest.fixture
def file(data_folder: Path) -> Path:
    (data_folder / "play.txt").write_text(CONTENT, encoding="utf-8")
    return data_folder / "play.txt"


@pytest.mark.usefixtures("file")
def test_samples_are_the_text_itself() -> None:
    task = make_task("text:path=play.txt,length=5")
    characters = sorted(set(CONTENT))
    assert task.inputs == (5, len(characters))
    assert task.outputs == len(characters)
    first_test = len(CONTENT) - len(CONTENT) // 10
    inputs, targets = task.train.batch(np.arange(len(task.train)))
    assert torch.equal(inputs.sum(2), torch.ones(len(task.train), 5))
    for i, (window, target) in enumerate(zip(inputs, targets, strict=True)):
        assert "".join(characters[c] for c in window.argmax(1)) == CONTENT[i : i + 5]
        assert characters[target] == CONTENT[i + 5]
    assert i + 6 == first_test
    inputs, targets = task.test.batch(np.arange(len(task.test)))
    for i, (window, target) in enumerate(zip(inputs, targets, strict=True)):
        start = first_test + 5 * i
        assert "".join(characters[c] for c in window.argmax(1)) == CONTENT[start : start + 5]
        assert characters[target] == CONTENT[start + 5]
    assert start + 10 >= len(CONTENT) - 5


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize("model", ["", "transformer:width=8,layers=1,heads=2", "logistic", "mlp"])
def test_models_predict_a_character(model: str) -> None:
    task = make_task("text:path=play.txt,length=8")
    inputs, targets = task.train.batch(np.array([0, 3]))
    outputs = make_model(model, task)(inputs)
    assert outputs.shape == (2, task.outputs)
    assert task.metrics["accuracy"](outputs, targets).shape == (2,)


@pytest.mark.usefixtures("file")
def test_the_default_model_learns_the_text() -> None:
    """A text that repeats itself is learnt by heart."""
    torch.manual_seed(0)
    task = make_task("text:path=play.txt,length=8")
    model, draw = make_model("", task), np.random.default_rng(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    for _ in range(80):
        inputs, targets = task.train.batch(draw.choice(len(task.train), 32))
        optimizer.zero_grad()
        task.loss(model(inputs), targets).backward()
        optimizer.step()
    inputs, targets = task.test.batch(np.arange(len(task.test)))
    assert task.metrics["accuracy"](model(inputs), targets).mean() > 0.8


def test_the_text_is_held_once(file: Path) -> None:
    """The windows are views: a million characters take megabytes, not `length` times as many."""
    file.write_text(CONTENT * 800)
    task = make_task("text:path=play.txt,length=100")
    assert len(task.train) > 900_000
    inputs = task.train._source.inputs
    assert inputs.strides == (2, 2)
    assert inputs.base is not None


@pytest.mark.parametrize(
    ("content", "text", "complaint"),
    [
        (b"abc", "text:path=play.txt", "has 3 characters, expected more than 330"),
        (b"abc" * 1000 + b"\xff", "text:path=play.txt", "no UTF-8 text .* at byte 3000"),
        ("".join(map(chr, range(100, 1000))).encode() * 2, "text:path=play.txt", "has 900 different characters"),
        (b"abc" * 1000, "text:path=nothing.txt", "no file 'nothing.txt'"),
        (b"abc" * 1000, "text", "write text:path=FILE"),
        (b"abc" * 1000, "text:path=play.txt,length=0", "length of 1 or more, got length=0"),
        (b"", "text:path=play.txt", "has 0 characters"),
    ],
)
def test_wrong_texts_are_refused(file: Path, content: bytes, text: str, complaint: str) -> None:
    file.write_bytes(content)
    with pytest.raises(BadInput, match=complaint):
        make_task(text)
