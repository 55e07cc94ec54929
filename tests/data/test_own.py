from pathlib import Path
from typing import Any

import pytest

from gossipnet.data.own import find, make
from gossipnet.errors import BadInput
from gossipnet.registry import Registry


@pytest.fixture
def registry() -> Registry[Any]:
    things: Registry[Any] = Registry("thing", "test_thing")

    @things.register("ours")
    def ours(given: int = 0, size: int = 1) -> tuple[int, int]:
        return given, size

    ours.__module__ = "gossipnet.pretended"

    @things.register("broken")
    def broken() -> None:
        raise ZeroDivisionError("a bug of ours")

    broken.__module__ = "gossipnet.pretended"
    return things


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a user's files, from which modules can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


SOURCE = """\
import functools

def plain(given, size: int = 1, name="x"):
    return given, size, name

def fails():
    numbers = [1, 2]
    return max(
        numbers[5], 1)

def needs(size: int):
    return size

def refuses():
    from gossipnet.errors import BadInput
    raise BadInput("no such\\nthing")

value = 3
"""


def test_names_in_the_registry(registry: Registry[Any]) -> None:
    assert make(registry, "ours:size=3", given=2, unused=1).value == (2, 3)
    assert make(registry, "ours").where == ""


def test_bugs_of_ours_stay_bugs(registry: Registry[Any]) -> None:
    with pytest.raises(ZeroDivisionError):
        make(registry, "broken")


@pytest.mark.parametrize("head", ["made.py", "./made.py", "made_too", "package.inner"])
def test_functions_in_files_and_modules(registry: Registry[Any], folder: Path, head: str) -> None:
    (folder / "package").mkdir()
    for name in ("made.py", "made_too.py", "package/inner.py"):
        (folder / name).write_text(SOURCE)
    made = make(registry, f"{head}:plain:size=4,name=y", given=7)
    assert made.value == (7, 4, "y")
    file = head if head.endswith(".py") else head.replace(".", "/") + ".py"
    assert made.where == f"{(folder / file).resolve()}:3"


def test_names_that_a_file_registers(registry: Registry[Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gossipnet.data.own.test_registry", registry, raising=False)
    (folder / "registers.py").write_text(
        "from gossipnet.data import own\n"
        "@own.test_registry.register('with-dash')\n"
        "def function(size: int = 1):\n    return size\n"
    )
    assert make(registry, "registers.py:with-dash:size=5").value == 5
    assert make(registry, "with-dash:size=6").value == 6


def test_finding_a_function_calls_nothing(registry: Registry[Any], folder: Path) -> None:
    (folder / "made.py").write_text(SOURCE)
    function, options = find(registry, "made.py:fails")
    assert (function.__name__, options) == ("fails", {})
    assert find(registry, "broken")[0].__name__ == "broken"
    assert find(registry, "ours:size=2")[1] == {"size": 2}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("wrong.py:fails", r"wrong\.py:9: IndexError: list index out of range$"),
        ("wrong.py:refuses", r"wrong\.py:16: no such thing$"),
        ("wrong.py:needs", r"wrong\.py:11: needs needs 'size': write wrong.py:needs:size=VALUE"),
        ("wrong.py:plain:sise=3", "did you mean 'size'"),
        ("wrong.py:plain:size=big", "option 'size': got 'big', expected int"),
        ("wrong.py:value", r"wrong\.py: no thing and no function 'value'"),
        ("wrong.py:missing", r"wrong\.py: no thing and no function 'missing'"),
        ("wrong.py", r"names no thing: write wrong\.py:NAME"),
        ("nowhere.py:plain", r"no file 'nowhere\.py'"),
        ("nowhere:plain", "no thing 'nowhere'"),
        ("oures", "did you mean 'ours'"),
        ("syntax.py:plain", r"syntax\.py:2: SyntaxError"),
        ("raises:plain", r"raises\.py:1: ModuleNotFoundError"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(registry: Registry[Any], folder: Path, text: str, complaint: str) -> None:
    (folder / "wrong.py").write_text(SOURCE)
    (folder / "syntax.py").write_text("x = 1\ny = = 2\n")
    (folder / "raises.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(BadInput, match=complaint) as caught:
        make(registry, text, given=1)
    assert "\n" not in str(caught.value)
