import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.errors import BadInput
from gossipnet.topology.edgelist import parse_csv, parse_words, read_value, write_value

WORDS = """\
# office network
# directed: true
% so do others write comments
lab address=tcp://10.0.0.1:7000 device=cuda:0 speed=0.5
"the roof" address="tcp://10.0.0.7:7000"   # trailing comment
lab "the roof" latency_s=0.02 bandwidth_bytes_per_s=1e6
"the roof",lab

garage lab 3.5
lab garage {'weight': 4, 'kind': 'wire'}
"""


def test_words():
    made = parse_words("g.edges", WORDS)
    assert made.directed
    assert made.labels == ("lab", "the roof", "garage")
    assert made.addresses == ("tcp://10.0.0.1:7000", "tcp://10.0.0.7:7000", None)
    assert made.devices == ("cuda:0", None, None)
    assert made.speeds == (0.5, 1.0, 1.0)
    assert made.link(0, 1) == {"latency_s": 0.02, "bandwidth_bytes_per_s": 1e6}
    assert made.link(1, 0) == {}
    assert made.link(2, 0) == {"weight": 3.5}
    assert made.link(0, 2) == {"weight": 4, "kind": "wire"}


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("10 2\n2 1", ("1", "2", "10")),
        ("b a\na c", ("b", "a", "c")),
        ("2\n1\n2 1\n1 3", ("2", "1", "3")),
        ("1 x\nx 0", ("1", "x", "0")),
        ("0 1 {}\n", ("0", "1")),
    ],
)
def test_the_order_of_nodes(text, labels):
    assert parse_words("g.txt", text).labels == labels


def test_csv_with_and_without_a_header():
    made = parse_csv("g.csv", 'Source,Target,latency_s,kind\na,b,0.1,\nb,"c, d",,wire\n')
    assert made.labels == ("a", "b", "c, d")
    assert (made.link(0, 1), made.link(1, 2)) == ({"latency_s": 0.1}, {"kind": "wire"})
    assert parse_csv("g.csv", "# directed: true\n1,2\n2,3,0.5\n").edge_attributes == {(1, 2): {"weight": 0.5}}
    assert parse_csv("g.csv", "from;to\na;b\n").labels == ("a", "b")
    assert parse_csv("g.csv", "a\tb\n").labels == ("a", "b")


@pytest.mark.parametrize(
    ("parse", "text", "says"),
    [
        (parse_words, "0 1\n1 2 x=1 y\n", "g, line 2: cannot read 'y'"),
        (parse_words, "0 1 two\n", "line 1: cannot read 'two'"),
        (parse_words, "0 1 {'a': __import__('os')}\n", "line 1: cannot read .*expected key=value"),
        (parse_words, "0 1 {3}\n", "line 1: cannot read"),
        (parse_csv, "a\n", "row 1: got"),
        (parse_csv, "a," + "b" * 200_000, "is no CSV"),
    ],
)
def test_bad_lines_are_named(parse, text, says):
    with pytest.raises(BadInput, match=says):
        parse("g", text)


@given(st.one_of(st.integers(), st.booleans(), st.floats(allow_nan=False), st.text(min_size=1)))
def test_values_come_back_with_their_type(value):
    back = read_value(write_value(value))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("parse", [parse_words, parse_csv])
@given(st.text())
def test_any_text_is_a_graph_or_bad_input(parse, text):
    with contextlib.suppress(BadInput):
        made = parse("g", text)
        assert all(i < j for i, j in made.edges) or made.directed
