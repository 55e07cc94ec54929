import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.errors import BadInput, LocalError, RunFailed, RunInterrupted, last_line, unknown


def test_the_closest_name_and_all_names_stand_in_the_message() -> None:
    message = str(unknown("merge rule", "avrage", ["average", "sign-aligned", "age-weighted"]))
    assert message == "no merge rule 'avrage'; did you mean 'average'? known: age-weighted, average, sign-aligned"


def test_nothing_is_guessed_where_nothing_is_close() -> None:
    assert "mean" not in str(unknown("codec", "zzz", ["float32"]))
    assert str(unknown("codec", "x", [])) == "no codec 'x'; known: none"


@given(st.text(), st.sets(st.sampled_from(["ring", "torus", "small-world", "star", "x"])))
def test_any_input_gives_one_line_that_a_terminal_can_show(got: str, known: set[str]) -> None:
    message = str(unknown("task", got, iter(known)))
    assert message.isprintable()
    assert all(name in message for name in known)


def test_who_is_to_blame_decides_who_catches_it() -> None:
    """A user's input is a ValueError; a driver's mistake must not pass for one; Ctrl-C passes `except Exception`."""
    assert issubclass(BadInput, ValueError)
    assert not issubclass(LocalError, ValueError)
    assert not issubclass(RunFailed, BadInput)
    assert not issubclass(RunInterrupted, Exception)


@pytest.mark.parametrize("error", [RunFailed("node 3 failed", {"rounds": 2}), RunInterrupted({"rounds": 2})])
def test_an_early_end_brings_its_summary(error: RunFailed | RunInterrupted) -> None:
    assert error.summary == {"rounds": 2}


@pytest.mark.parametrize(
    ("text", "line"),
    [("Traceback:\n  a\nValueError: b\n\n", "ValueError: b"), ("one", "one"), (" \n", "for no known reason")],
)
def test_what_an_error_comes_down_to(text: str, line: str) -> None:
    assert last_line(ValueError(text)) == line
