"""docs/embedding.md and the README's five lines: the loop as it stands, and the table of arguments."""

import inspect
import re
from pathlib import Path

import pytest
import torch

import gossipnet

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "embedding.md").read_text()


@pytest.mark.parametrize(("page", "name"), [("README.md", "embed.py"), ("docs/embedding.md", "plain-loop.py")])
def test_the_loop_of_the_page_runs(page: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (ROOT / page).read_text().split(f"```python {name}\n")[1].split("```")[0]
    model, steps = torch.nn.Linear(2, 1), []
    names = {"gossipnet": gossipnet, "model": model, "loader": range(5), "train_step": lambda m, b: steps.append(b)}
    code = re.sub(r"tcp://\*:7000|tcp://127.0.0.1:7000", "tcp://127.0.0.1:0", code)  # a port that is free
    exec(code, names)
    assert steps == [0, 1, 2, 3, 4]
    assert names["gossip"].status().steps == 5
    assert names["gossip"].closed


def test_the_table_of_arguments_is_complete() -> None:
    section = PAGE.split("| argument |")[1].split("\n\n")[0]
    named = re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in section.splitlines()[2:]))
    assert sorted(named) == sorted(inspect.signature(gossipnet.join).parameters)
