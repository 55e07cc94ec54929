import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.errors import BadInput
from gossipnet.topology import from_graphs
from gossipnet.topology.check import is_connected
from gossipnet.topology.convert import from_networkx, to_networkx

nx = pytest.importorskip("networkx")


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 12), st.floats(0, 0.5), st.integers(0, 10**6), st.booleans())
def test_is_connected_is_what_networkx_says(n, p, seed, directed):
    graph = nx.gnp_random_graph(n, p, seed=seed, directed=directed)
    expected = nx.is_strongly_connected(graph) if directed else nx.is_connected(graph)
    assert is_connected(from_networkx("g", graph)) == expected


def test_a_period_counts_as_a_whole():
    halves = [nx.Graph([(0, 1), (2, 3)]), nx.Graph([(1, 2)])]
    halves[1].add_nodes_from(range(4))
    assert from_graphs("g", halves).period == 2
    with pytest.raises(BadInput, match="not connected over its 2 rounds: 2 components"):
        from_graphs("g", [halves[0], halves[0]])


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        (nx.Graph([("a", "b"), ("b", "c"), ("d", "e")]), "2 components, node 'd' is cut off with 1 other;"),
        (nx.disjoint_union(nx.path_graph(3), nx.empty_graph(2)), "3 components, node '3' is on its own"),
        (nx.DiGraph([("a", "b"), ("b", "a"), ("b", "c")]), "not strongly connected: 2 components, node 'c'"),
        (nx.Graph(), "no nodes"),
        (nx.Graph([(1, "1")]), "two nodes of the same name"),
        (nx.Graph([("", "a")]), "name is empty"),
        (nx.Graph([("a", "b", {"latency_s": -1})]), "edge 'a' - 'b': got latency_s=-1, expected seconds"),
        (nx.Graph([("a", "b", {"latency_s": "fast"})]), "expected seconds, at least 0"),
        (nx.Graph([("a", "b", {"latency_s": float("nan")})]), "expected seconds, at least 0"),
        (nx.Graph([("a", "b", {"bandwidth_bytes_per_s": 0})]), "expected bytes per second, above 0"),
        (nx.Graph([("a", "b", {"bandwidth_bytes_per_s": True})]), "expected bytes per second, above 0"),
        (nx.Graph([("a", "b", {"mixing_weight": 1.5})]), "mixing_weight=1.5, expected 0 to 1"),
        (nx.Graph([("a", "b", {"mixing_weight": "x"})]), "mixing_weight='x', expected 0 to 1"),
        (nx.Graph([("a", "b", {"mixing_weight": 0.5}), ("b", "c")]), "edge b - c has no mixing_weight"),
        (
            nx.Graph([("a", "b", {"mixing_weight": 0.6}), ("b", "c", {"mixing_weight": 0.6})]),
            "node 'b' gives its neighbors 1.2 in all",
        ),
    ],
)
def test_bad_graphs(graph, says):
    with pytest.raises(BadInput, match=says) as caught:
        from_graphs("g", graph)
    assert "\n" not in str(caught.value)


def test_node_attributes_are_text():
    graph = nx.path_graph(2)
    graph.nodes[1]["address"] = 7000
    with pytest.raises(BadInput, match="node '1': got address=7000, expected text"):
        from_graphs("g", graph)


def test_given_weights_replace_the_mixing():
    graph = nx.Graph([(0, 1, {"mixing_weight": 0.25}), (1, 2, {"mixing_weight": 0.75})])
    made = from_graphs("g", graph)
    assert made.matrix().tolist() == [[0.75, 0.25, 0], [0.25, 0, 0.75], [0, 0.75, 0.25]]
    assert made.link(0, 1) == {}
    assert to_networkx(made).edges["0", "1"] == {"mixing_weight": 0.25}
    with pytest.raises(BadInput, match="brings its own weights; leave out mixing 'lazy'"):
        from_graphs("g", graph, mixing="lazy")
