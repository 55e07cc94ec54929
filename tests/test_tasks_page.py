"""What docs/tasks.md says is so: its code runs, its tables are complete and its texts make what they say."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gossipnet.codec import codecs, make_codec
from gossipnet.data import make_model, make_task, models, tasks

PAGE = (Path(__file__).parents[1] / "docs" / "tasks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python ?(\S*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
OUR_TASKS, OUR_MODELS, OUR_CODECS = (set(registry.names()) for registry in (tasks, models, codecs))


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_column(title: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)`", section(title), re.MULTILINE)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the page, as the working directory."""
    monkeypatch.chdir(tmp_path)
    for name, code in BLOCKS:
        if name:
            with open(tmp_path / name, "a", encoding="utf-8") as file:
                file.write(code)
    return tmp_path


@pytest.mark.usefixtures("written")
def test_the_codes_of_the_page_run() -> None:
    names: dict[str, Any] = {}
    try:
        for name, code in BLOCKS:
            if not name:
                exec(compile(code, "docs/tasks.md", "exec"), names)
        assert len(names["payload"]) == 3000
        assert (names["decoded"] - names["vector"]).norm() > 0
    finally:
        codecs._factories.pop("float24", None)


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize("text", ["rings", "rings:n=500,noise=0.3", "corners"])
@pytest.mark.parametrize("model", ["", "logistic"])
def test_the_tasks_of_the_page_train(text: str, model: str) -> None:
    task = make_task(f"my_tasks.py:{text}")
    torch.manual_seed(0)
    module = make_model(model, task)
    inputs, targets = task.train.batch(np.arange(200))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    before = task.loss(module(inputs), targets)
    for _ in range(50):
        optimizer.zero_grad()
        task.loss(module(inputs), targets).backward()
        optimizer.step()
    assert task.loss(module(inputs), targets) < before
    assert task.metrics["accuracy"](module(inputs), targets).shape == (200,)
    assert task.train.targets is not None


@pytest.mark.usefixtures("written")
def test_the_model_of_the_page_is_a_model() -> None:
    model = make_model("my_models.py:wide:hidden=100", make_task("digits"))
    assert sum(p.numel() for p in model.parameters()) == 65 * 100 + 101 * 10


def test_the_tables_are_complete() -> None:
    assert {text.partition(":")[0] for text in first_column("Tasks")} == OUR_TASKS
    assert {text.partition(":")[0] for text in first_column("Models")} == OUR_MODELS
    assert set(first_column("Codecs")) == OUR_CODECS


@pytest.mark.parametrize("text", first_column("Models"))
def test_the_defaults_of_the_models_are_as_the_table_says(text: str) -> None:
    name, options = models.parse(text)
    torch.manual_seed(0)
    stated = models.make(text, inputs=(1, 16, 16), outputs=3)
    torch.manual_seed(0)
    default = models.make(name, inputs=(1, 16, 16), outputs=3)
    assert all(map(torch.equal, stated.parameters(), default.parameters()))
    assert set(options) <= set(models.factory(name).__annotations__)


@pytest.mark.parametrize("name", first_column("Codecs"))
def test_the_bytes_of_the_codecs_are_as_the_table_says(name: str) -> None:
    stated = re.search(rf"^\| `{name}` \| (\d)", section("Codecs"), re.MULTILINE)
    assert stated
    assert make_codec(name).payload_bytes(100) == 100 * int(stated[1])
