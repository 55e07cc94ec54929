import pytest

from gossipnet.errors import BadInput
from gossipnet.topology.files import same_graph
from gossipnet.topology.toml import format_toml, parse_toml

SHORT = """
nodes = ["lab", {name = "roof", address = "tcp://10.0.0.7:7000", device = "cpu"}, "garage"]
edges = [["lab", "roof", {latency_s = 0.02}], ["roof", "garage"]]
"""
LONG = """
[[nodes]]
name = "lab"
[[nodes]]
name = "roof"
address = "tcp://10.0.0.7:7000"
device = "cpu"
[[nodes]]
name = "garage"
[[edges]]
from = "lab"
to = "roof"
latency_s = 0.02
[[edges]]
from = "roof"
to = "garage"
"""


def test_two_spellings_of_one_graph():
    made = parse_toml("g.toml", SHORT)
    assert same_graph(made, parse_toml("g.toml", LONG))
    assert made.labels == ("lab", "roof", "garage")
    assert made.link(0, 1) == {"latency_s": 0.02}
    assert made.addresses[1] == "tcp://10.0.0.7:7000"
    assert same_graph(parse_toml("g.toml", format_toml(made)), made)


def test_numbers_without_names_and_rounds():
    made = parse_toml("g.toml", "n = 4\ndirected = true\nrounds = [[[0, 1], [2, 3]], [[1, 2], [3, 0]]]")
    assert (made.n, made.period, made.directed) == (4, 2, True)
    assert made.rounds == (((0, 1), (2, 3)), ((1, 2), (3, 0)))
    assert "n = 4" in format_toml(made)


def test_nodes_may_be_left_out():
    assert parse_toml("g.toml", "edges = [[10, 9], [9, 8]]").labels == ("8", "9", "10")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("edges = [[0, 1", "is no TOML"),
        ("n = 3", "expected either edges"),
        ("edges = []\nrounds = []", "expected either edges"),
        ("egdes = [[0, 1]]", "did you mean 'edges'"),
        ("edges = [[0]]", r"cannot read the edge \[0\]"),
        ("edges = [[0, 1, 2]]", r"cannot read the edge \[0, 1, 2\]"),
        ("edges = [[0, true]]", "True is no node name"),
        ("edges = 3", "g.toml: "),
        ("nodes = [1.5]\nedges = [[0, 1]]", "1.5 is no node name"),
        ("nodes = [{address = 'x'}]\nedges = []", "None is no node name"),
        ("nodes = ['a', 'a']\nedges = []", "named twice"),
        ("nodes = ['a', 'b']\nedges = [['a', 'c']]", "names node 'c', which is not among the nodes"),
        ("n = 2\nedges = [[0, 2]]", "names node '2'"),
        ("n = 'two'\nedges = [[0, 1]]", "g.toml: "),
        ("directed = 'yes'\nedges = [[0, 1]]", "expected true or false"),
    ],
)
def test_bad_files(text, says):
    with pytest.raises(BadInput, match=says) as caught:
        parse_toml("g.toml", text)
    assert "\n" not in str(caught.value)
