"""The checks of options: strict about types and ranges, and every refusal says what was expected."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.errors import BadInput
from gossipnet.settings import (
    PLAIN,
    REGISTRIES,
    Choice,
    Number,
    Registered,
    Several,
    Text,
    Whole,
    WordOr,
    YesNo,
    names,
    registry,
)

QUORUM = WordOr("all", Whole(0))
CHECKS = [
    YesNo(),
    Whole(1, 9),
    Number(0, above=True),
    Number(0),
    Choice(("same", "own")),
    QUORUM,
    Text("[a-z]+", "letters"),
]
ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


def refusal(call):
    try:
        call()
    except BadInput as error:
        return str(error)
    return None


@pytest.mark.parametrize("check", CHECKS, ids=repr)
@given(value=ANY_VALUE)
def test_any_value_is_admitted_as_itself_or_refused_in_one_line(check, value):
    said = refusal(lambda: check.admit(value))
    if said is None:
        assert check.admit(value) == value
    else:
        assert "\n" not in said
        assert len(said) < 300 or isinstance(value, str)


@pytest.mark.parametrize("check", [Whole(-5, 5), Number(-3), QUORUM, WordOr("learnt", Number(0, above=True))], ids=repr)
@given(value=st.integers(-9, 9) | st.floats() | st.sampled_from(["all", "learnt", "x"]))
def test_text_is_read_as_the_value_it_spells(check, value):
    """Text of a value is admitted exactly if the value is."""
    text = str(value)
    try:
        expected = check.admit(value)
    except BadInput:
        # 2.0 is no whole number, but it may be a number
        with pytest.raises(BadInput):
            check.admit(check.from_text(text))
    else:
        assert check.admit(check.from_text(text)) == expected


@pytest.mark.parametrize(
    "value", [0, 10, 8.0, "8", True, None, [8], math.nan, 10**400, pytest.param(1 << 20000, id="unprintable")]
)
def test_whole_refuses(value):
    with pytest.raises(BadInput, match="expected a whole number from 1 to 9"):
        Whole(1, 9).admit(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1, 0, 10**400, 2e9, "1", True, None])
def test_number_refuses(value):
    with pytest.raises(BadInput, match="expected"):
        Number(0, above=True).admit(value)


def test_numbers_of_numpy_are_numbers():
    assert type(Whole(1).admit(np.int64(3))) is int
    assert type(Number(0).admit(np.float32(0.5))) is float
    assert type(Number(0).admit(3)) is float


def test_a_word_or_a_value():
    assert QUORUM.admit("all") == "all"
    assert QUORUM.admit(QUORUM.from_text("2")) == 2
    with pytest.raises(BadInput, match="expected 'all' or a whole number >= 0"):
        QUORUM.admit(-1)


def test_a_wrong_choice_names_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'same'"):
        Choice(("same", "own")).admit("smae")


def test_a_list_checks_each_item():
    check = Several(Whole(1, 9), "a list of numbers")
    assert check.admit(check.from_text("1, 2,3")) == (1, 2, 3)
    assert check.admit(check.from_text(" [1, '2', \"3\"]")) == (1, 2, 3)
    assert check.admit([4]) == (4,)
    for wrong in ("1", [0], [[1]], 3):
        with pytest.raises(BadInput):
            check.admit(wrong)


@pytest.mark.parametrize("value", ["", " ", 3, None, ["float32"], "x" * 2000])
def test_a_registered_name_is_a_text_of_some_length(value):
    with pytest.raises(BadInput, match="gossipnet list codecs"):
        Registered("codecs").admit(value)


def test_a_registered_name_may_be_left_out_where_that_means_something():
    assert Registered("models", optional=True).admit("") == ""


def test_a_wrong_registered_name_names_the_nearest():
    with pytest.raises(BadInput, match="no codec 'flaot32'; did you mean 'float32'"):
        Registered("codecs").admit("flaot32")
    with pytest.raises(BadInput, match="no topology 'rign'; did you mean 'ring'"):
        Registered("topologies").admit("rign")


def test_a_topology_may_be_a_file_a_generator_or_of_the_catalogue(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check = Registered("topologies")
    assert check.admit("own.edges") == str(tmp_path / "own.edges")
    assert check.admit("networkx.barbell_graph:m1=4,m2=2") == "networkx.barbell_graph:m1=4,m2=2"
    assert check.admit("regular:d=4") == "regular:d=4"
    with pytest.raises(BadInput, match="expected int"):
        check.admit("regular:d=four")


def test_files_in_a_text_are_kept_with_their_whole_path(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from gossipnet.codec import codec, float32\n"
        "@codec('settings-test')\ndef mine(path: str = ''):\n    return float32()\n"
    )
    (tmp_path / "words.txt").write_text("words")
    monkeypatch.chdir(tmp_path)
    kept = Registered("codecs").admit("mine.py:settings-test:path=words.txt")
    assert kept == f"{tmp_path / 'mine.py'}:settings-test:path={tmp_path / 'words.txt'}"
    monkeypatch.chdir(Path("/"))
    assert Registered("codecs").admit(kept) == kept


@pytest.mark.parametrize(("plural", "name"), [(plural, name) for plural in PLAIN for name in sorted(PLAIN[plural])])
def test_a_plain_name_is_registered_and_needs_no_option(plural, name):
    """Plain names are admitted without a look; this is the look."""
    known = registry(plural)
    assert known.parse(name) == (name, {})
    if plural in ("merges", "codecs", "optimizers"):
        known.make(name)


@pytest.mark.parametrize("plural", REGISTRIES)
def test_every_registry_is_where_the_table_says(plural):
    assert registry(plural).names()


def test_names_are_those_of_the_registry_and_for_topologies_of_the_catalogue_too():
    assert names("codecs") == registry("codecs").names()
    assert {"ring", "karate-club"} <= set(names("topologies"))
