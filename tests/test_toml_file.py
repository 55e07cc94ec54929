"""Files of sections and keys: the line of each, and a refusal for whatever is no such file."""

from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.errors import BadInput
from gossipnet.toml_file import is_path, read

KEY = st.text("abcdefgh_", min_size=1)
VALUE = st.integers(-9, 9) | st.booleans() | st.text() | st.lists(st.integers(0, 9))
TABLES = st.dictionaries(KEY, st.dictionaries(KEY, VALUE))


def places(source):
    return {(g.section, g.key): g.place for g in read(source)}


@given(tables=TABLES)
def test_reads_what_was_written_with_the_line_of_each_key(tables):
    text = "# head\n" + tomli_w.dumps(tables)
    given_values = list(read(text))
    assert {(g.section, g.key): g.value for g in given_values if g.key} == {
        (section, key): value for section, table in tables.items() for key, value in table.items()
    }
    assert {g.section for g in given_values if not g.key} == set(tables)
    lines = text.split("\n")
    for g in given_values:
        if g.place:
            line = lines[int(g.place.removeprefix("line ").removesuffix(": ")) - 1]
            assert line.startswith(g.key) if g.key else line == f"[{g.section}]"


def test_lines_of_the_forms_that_toml_allows():
    text = 'x = 1\nswarm.nodes = 2\nexchange = {port = 3}\n\n[ "task" ] # why\n  name=4\n[a.b]\nc = 5\n[[d]]\n'
    found = places(text)
    assert found["", "x"] == "line 1: "
    assert found["swarm", "nodes"] == "line 2: "
    assert found["exchange", "port"] == "line 3: "
    assert found["task", "name"] == "line 6: "


def test_a_file_is_named_in_every_place(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text("\ufeff[swarm]\r\nnodes = 8\r\n", encoding="utf-8")
    assert places(file) == {("swarm", ""): f"{file}:1: ", ("swarm", "nodes"): f"{file}:2: "}


def test_what_is_a_path():
    assert is_path("experiment.toml")
    assert is_path(Path("a=b.toml"))
    assert not is_path("a = 1")
    assert not is_path("[swarm]\n")


def write(folder, content):
    file = folder / "e.toml"
    file.write_bytes(content)
    return file


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x89PNG\xff\xfe", "is not UTF-8 text"),
        (b"[swarm", "not valid TOML"),
        (b"a = 1\na = 2", "not valid TOML"),
        (b"x = " + b"[" * 100_000, "nested too deeply"),
        (b"x = " + b"9" * 5000, "not valid TOML"),
        (b"#" * (2 << 20), "larger than 1 MiB"),
        (b"a = \x00", "not valid TOML"),
    ],
)
def test_a_file_of_something_else_is_refused_in_one_line(tmp_path, content, said):
    with pytest.raises(BadInput, match=said) as caught:
        list(read(write(tmp_path, content)))
    assert "\n" not in str(caught.value)
    assert "e.toml" in str(caught.value)


@given(content=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    file = write(tmp_path_factory.mktemp("any"), content)
    try:
        said = repr([g.dotted for g in read(file)])
    except BadInput as error:
        said = str(error)
    assert "\n" not in said


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no file"):
        list(read(tmp_path / "missing.toml"))
    with pytest.raises(BadInput, match="is a folder"):
        list(read(tmp_path))
    (tmp_path / "config.toml").write_text("")
    with pytest.raises(BadInput, match=r"did you mean '.*config.toml'"):
        list(read(tmp_path))
    with pytest.raises(BadInput, match="cannot be read"):
        list(read("a\0b"))
    with pytest.raises(BadInput, match="larger than"):
        list(read(Path("/dev/zero")))
