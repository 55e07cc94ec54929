import html

from hypothesis import given
from hypothesis import strategies as st

from gossipnet.report.markup import Markup, clean, element, escape, join, short


def test_children_and_values_are_escaped() -> None:
    made = element("p", "<b>", " & ", title='"quoted"')
    assert made == '<p title="&quot;quoted&quot;">&lt;b&gt; &amp; </p>'


def test_markup_is_not_escaped_again() -> None:
    assert element("p", element("b", "x")) == "<p><b>x</b></p>"


def test_names_of_attributes() -> None:
    assert element("path", class_="a", stroke_width=1, viewBox="0", d=None) == (
        '<path class="a" stroke-width="1" viewBox="0"/>'
    )


def test_an_empty_script_is_closed() -> None:
    assert element("script") == "<script></script>"


@given(st.text())
def test_escaped_text_cannot_open_a_tag_or_leave_an_attribute(text: str) -> None:
    made = escape(text)
    assert not set("<>\"'") & set(made)
    assert html.unescape(made) == clean(text)


@given(st.text(alphabet=st.characters(), max_size=50))
def test_clean_text_is_one_line_that_can_be_encoded(text: str) -> None:
    shown = clean(text)
    shown.encode()
    assert len(shown) == len(text)
    assert not set(shown) & set("\n\r\t\x00\x1b\u2028\u202e")


def test_clean_replaces_what_drives_a_terminal_or_turns_writing() -> None:
    assert clean("a\x1b[31m\u202eb\ud800\n c") == "a\ufffd[31m\ufffdb\ufffd  c"


def test_clean_cuts_to_the_limit() -> None:
    assert clean("x" * 10, 5) == "xxxx…"
    assert clean("x" * 5, 5) == "xxxxx"


def test_join_escapes_what_lies_between() -> None:
    assert join(["<", Markup("<i>")], "&") == "&lt;&amp;<i>"


def test_coordinates_are_short() -> None:
    assert [short(v) for v in (1.0, 1.25, -0.04, 0.0, 100.06)] == ["1", "1.2", "0", "0", "100.1"]
