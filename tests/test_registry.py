import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gossipnet.errors import BadInput
from gossipnet.registry import Registry, convert, import_file, split_name, split_options, where_raised


@pytest.fixture
def rules() -> Registry[Any]:
    """Two rules: `plain`, and `full` with an option of every type."""
    registry: Registry[Any] = Registry("merge rule", "no_such_group")

    @registry.register("plain")
    def plain() -> str:
        """Takes nothing.

        More about it.
        """
        return "plain"

    @registry.register("full")
    def full(
        k: int = 1, trim: float = 0.5, keep: bool = False, mode: str = "a", limit: int | None = None, n: int | float = 0
    ) -> dict[str, Any]:
        return {"k": k, "trim": trim, "keep": keep, "mode": mode, "limit": limit, "n": n}

    return registry


def refused(make: Callable[[], Any], *words: str) -> None:
    """`make` raises a BadInput of one printable line in which all the words stand."""
    with pytest.raises(BadInput) as caught:
        make()
    message = str(caught.value)
    assert message.isprintable()
    assert [word for word in words if word not in message] == []


def test_a_name_alone_makes_the_thing_with_its_defaults(rules: Registry[Any]) -> None:
    assert rules.make("plain") == "plain"
    assert rules.make("full") == {"k": 1, "trim": 0.5, "keep": False, "mode": "a", "limit": None, "n": 0}


def test_options_become_what_the_annotations_say(rules: Registry[Any]) -> None:
    made = rules.make(" full : k = -3, trim=1e-3 ,keep=Yes,mode=x=y,limit=None,n=2.5, ")
    wanted = {"k": -3, "trim": 1e-3, "keep": True, "mode": "x=y", "limit": None, "n": 2.5}
    assert made == wanted
    assert {key: type(value) for key, value in made.items()} == {key: type(value) for key, value in wanted.items()}


def test_a_union_takes_the_first_type_that_fits(rules: Registry[Any]) -> None:
    assert [type(rules.make(f"full:n={text}")["n"]) for text in ("3", "3.0")] == [int, float]
    assert rules.make("full:limit=7")["limit"] == 7


def test_the_text_wins_over_what_the_program_gives(rules: Registry[Any]) -> None:
    """And what the program knows but the factory does not ask for is left out."""
    made = rules.make("full:k=5", k=3, mode="given", seed=1)
    assert (made["k"], made["mode"]) == (5, "given")
    assert rules.make("plain", seed=1) == "plain"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["no merge rule ''", "full, plain"]),
        ("plian", ["did you mean 'plain'"]),
        ("Plain", ["did you mean 'plain'"]),
        (":k=1", ["no merge rule ''"]),
        ("plain:k=1", ["no option", "'plain'", "'k'"]),
        ("full:trin=1", ["did you mean 'trim'"]),
        ("full:k", ["'k' is no option", "key=value"]),
        ("full:k=", ["'k=' is no option"]),
        ("full:=1", ["'=1' is no option"]),
        ("full:k=1,k=2", ["'k' is given twice"]),
        ("full:k=1.5", ["'k'", "got '1.5', expected int"]),
        ("full:k=\n", ["is no option"]),
        ("full:k=1\n2", ["got", "expected int"]),
        ("full:trim=nan", ["got 'nan', expected float"]),
        ("full:trim=-inf", ["expected float"]),
        ("full:trim=1e999", ["expected float"]),
        ("full:keep=maybe", ["expected bool"]),
        ("full:limit=many", ["expected int or NoneType"]),
        ("full:n=x", ["expected int or float"]),
        ("full:k=" + "9" * 5000, ["expected int"]),
    ],
)
def test_bad_text_is_refused_with_what_would_be_right(rules: Registry[Any], text: str, words: list[str]) -> None:
    refused(lambda: rules.make(text), *words)


@given(st.text() | st.lists(st.sampled_from(["full", "plain", "k", "keep", ":", "=", ",", "1", "\n"])).map("".join))
@example("full:k=\ud800")
@example("full:keep=\x00")
def test_any_text_makes_something_or_is_bad_input(text: str) -> None:
    registry: Registry[Any] = Registry("merge rule", "no_such_group")
    registry.register("plain")(lambda: 1)
    registry.register("full")(lambda k=1, keep=False: 1)
    try:
        made = registry.make(text)
    except BadInput:
        refused(lambda: registry.make(text))
    else:
        assert made == 1


def test_an_option_without_default_must_be_given() -> None:
    registry: Registry[Any] = Registry("codec", "no_such_group")

    @registry.register("top")
    def top(k: int, *rest: int, seed: int, **more: int) -> tuple[int, int]:
        return k, seed

    refused(lambda: registry.make("top", seed=1), "codec 'top'", "'k'", "top:k=")
    refused(lambda: registry.make("top:k=1"), "'seed'")
    assert registry.make("top:k=1", seed=2) == (1, 2)
    refused(lambda: registry.make("top:k=1,rest=3", seed=2), "'rest'")
    refused(lambda: registry.make("top:k=1,more=3", seed=2), "'more'")


def test_annotations_are_looked_at_only_for_options() -> None:
    """A user's file may annotate with names that exist for a type checker alone."""
    registry: Registry[Any] = Registry("codec", "no_such_group")

    @registry.register("odd")
    def odd(k: "Nowhere" = 1) -> int:  # noqa: F821
        return k

    assert registry.make("odd") == 1


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a,b", "a=b"])
def test_names_that_no_text_could_spell_are_refused(rules: Registry[Any], name: str) -> None:
    refused(lambda: rules.register(name), "merge rule", "letters, digits and dashes")


@given(st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True), st.dictionaries(st.sampled_from("abc"), st.integers()))
def test_whatever_is_registered_can_be_spelt(name: str, options: dict[str, int]) -> None:
    registry: Registry[Any] = Registry("codec", "no_such_group")

    @registry.register(name)
    def factory(a: int = 0, b: int = 0, c: int = 0) -> dict[str, int]:
        return {"a": a, "b": b, "c": c}

    text = f"{name}:" + ",".join(f"{key}={value}" for key, value in options.items())
    assert registry.make(text) == {"a": 0, "b": 0, "c": 0} | options
    assert registry.parse(text) == (name, options)


def test_registering_again_replaces(rules: Registry[Any]) -> None:
    rules.register("plain")(lambda: "newer")
    assert rules.make("plain") == "newer"
    assert rules.names() == ["full", "plain"]


def test_a_decorated_factory_stays_a_plain_function(rules: Registry[Any]) -> None:
    def factory() -> int:
        return 3

    assert rules.register("three")(factory) is factory


def test_a_description_is_the_first_line(rules: Registry[Any]) -> None:
    assert rules.describe() == {"full": "", "plain": "Takes nothing."}


def test_split_name_and_options() -> None:
    assert split_name("a:b:c=1") == ("a", "b:c=1")
    assert split_options("", "x") == {}
    assert split_options(" a = 1 , b = c d ,", "x") == {"a": "1", "b": "c d"}


@given(st.integers())
def test_convert_undoes_str_for_int(value: int) -> None:
    assert convert(str(value), int, "x") == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_convert_undoes_repr_for_float(value: float) -> None:
    assert convert(repr(value), float, "x") == value


# --- entry points ----------------------------------------------------------------------------------------------


def with_plugins(monkeypatch: pytest.MonkeyPatch, **loaders: Callable[[], Any]) -> list[str]:
    """Install pretended plug-ins of any group; returns the list of groups that were asked for."""
    asked = []

    def entry_points(group: str) -> list[Any]:
        asked.append(group)
        return [SimpleNamespace(name=name, value=f"package:{name}", load=load) for name, load in loaders.items()]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    return asked


def test_plugins_are_looked_for_once_and_only_if_a_name_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = with_plugins(monkeypatch, theirs=lambda: lambda: "theirs")
    registry: Registry[Any] = Registry("codec", "codec")
    registry.register("own")(lambda: "own")
    assert registry.make("own") == "own"
    assert asked == []
    assert registry.make("theirs") == "theirs"
    refused(lambda: registry.make("nobodys"), "own, theirs")
    assert asked == ["gossipnet.codec"]


def test_a_plugin_replaces_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    with_plugins(monkeypatch, own=lambda: lambda: "theirs")
    registry: Registry[Any] = Registry("codec", "codec")
    registry.register("own")(lambda: "own")
    assert registry.names() == ["own"]
    assert registry.make("own") == "own"


def test_a_broken_plugin_warns_and_the_others_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with_plugins(monkeypatch, broken=lambda: 1 / 0, whole=lambda: lambda: "whole")
    registry: Registry[Any] = Registry("codec", "codec")
    with pytest.warns(UserWarning, match=r"package:broken \(codec 'broken'\) is broken: division by zero"):
        assert registry.names() == ["whole"]
    assert registry.make("whole") == "whole"


# --- files of the user -----------------------------------------------------------------------------------------

shelf: Registry[Any] = Registry("merge rule", "no_such_group")  # what the files of these tests register with
FILE = """
from shelf_of_test_registry import shelf

@shelf.register({name!r})
def rule(window: int = 3) -> tuple:
    return ({name!r}, window)
"""


@pytest.fixture(autouse=True)
def _files_find_the_shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "shelf_of_test_registry", SimpleNamespace(shelf=shelf))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("gossipnet_user_"):
            del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_brings_its_own_rules(tmp_path: Path) -> None:
    path = write(tmp_path / "my_rules.py", FILE.format(name="median"))
    assert shelf.make(f"{path}:median:window=5") == ("median", 5)
    assert shelf.make(f"{path}:median") == ("median", 3)
    refused(lambda: shelf.make(f"{path}:medain"), "did you mean 'median'")


def test_a_file_is_imported_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    path = write(tmp_path / "counting.py", f"open({str(log)!r}, 'a').write('x')")
    assert import_file(str(path)) is import_file(str(path))
    assert log.read_text() == "x"


def test_two_files_are_two_modules_whatever_their_paths_have_in_common(tmp_path: Path) -> None:
    one = write(tmp_path / "my" / "rules.py", "which = 1")
    other = write(tmp_path / "my_rules.py", "which = 2")
    third = write(tmp_path / "my" / "my" / "rules.py", "which = 3")
    assert [import_file(str(path)).which for path in (one, other, third)] == [1, 2, 3]


def test_a_dataclass_in_a_file_works(tmp_path: Path) -> None:
    """dataclasses look their module up by its name."""
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 1"
    assert import_file(str(write(tmp_path / "values.py", text))).A().x == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\n1 / 0\n", [":2: ZeroDivisionError: division by zero"]),
        ("x = 1\ny = = 2\n", [":2: SyntaxError"]),
        ("\n\nimport nowhere_to_be_found\n", [":3: ModuleNotFoundError", "nowhere_to_be_found"]),
        ("def f():\n    raise ValueError('two\\nlines')\n\nf()\n", [":2: ValueError: two lines"]),
        ("import json\njson.loads('{')\n", [":2: JSONDecodeError"]),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, text: str, words: list[str]) -> None:
    path = write(tmp_path / "broken.py", text)
    refused(lambda: shelf.make(f"{path}:x"), str(path), *words)
    path.write_text("y = 1")  # repaired, it can be imported: nothing of the first try is left
    assert import_file(str(path)).y == 1


def test_a_syntax_error_in_a_file_that_it_imports_is_not_blamed_on_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "inner_of_test_registry.py", "\n" * 40 + "y = = 2")
    outer = write(tmp_path / "outer.py", "x = 1\nimport inner_of_test_registry")
    monkeypatch.syspath_prepend(tmp_path)
    refused(lambda: shelf.make(f"{outer}:x"), f"{outer}:2: SyntaxError", "inner_of_test_registry.py, line 41")


def test_a_file_that_is_not_there_or_names_nothing(tmp_path: Path) -> None:
    refused(lambda: shelf.make(f"{tmp_path}/none.py:x"), "no file", "none.py")
    refused(lambda: shelf.make(str(write(tmp_path / "a.py", ""))), "names no merge rule", "a.py:NAME")
    (tmp_path / "folder.py").mkdir()
    refused(lambda: shelf.make(f"{tmp_path}/folder.py:x"), "no file")


def test_where_raised_says_the_file_alone_if_no_line_is_known(tmp_path: Path) -> None:
    assert where_raised(ValueError("never raised"), tmp_path / "x.py") == str(tmp_path / "x.py")


def test_absolute_makes_only_paths_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shelf.absolute("rules.py:median:window=5") == f"{tmp_path}/rules.py:median:window=5"
    assert shelf.absolute("average") == "average"
    assert shelf.absolute("trimmed-mean:trim=2") == "trimmed-mean:trim=2"
