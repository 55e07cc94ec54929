import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.topology import from_graphs, make_topology
from gossipnet.topology.convert import from_networkx, to_networkx
from gossipnet.topology.files import same_graph

nx = pytest.importorskip("networkx")


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 12), st.floats(0.1, 1), st.integers(0, 10**6), st.booleans())
def test_there_and_back(n, p, seed, directed):
    made = from_networkx("g", nx.gnp_random_graph(n, p, seed=seed, directed=directed))
    assert same_graph(from_networkx("g", to_networkx(made)), made)


def test_nodes_keep_the_order_of_the_graph_and_their_names():
    made = from_graphs("g", nx.Graph([("z", "a"), ("a", 3)]))
    assert made.labels == ("z", "a", "3")
    assert made.edges == ((0, 1), (1, 2))


def test_attributes_are_kept():
    graph = nx.Graph([("a", "b", {"latency_s": 0.1, "color": "red"})])
    graph.nodes["a"].update(address="tcp://10.0.0.1:7000", device="cpu")
    made = from_graphs("g", graph)
    assert made.link(1, 0) == {"latency_s": 0.1, "color": "red"}
    assert made.addresses == ("tcp://10.0.0.1:7000", None)
    assert made.devices == ("cpu", None)


def test_directed_links_differ_by_direction():
    graph = nx.DiGraph([(0, 1, {"latency_s": 0.1}), (1, 0, {"latency_s": 0.2})])
    made = from_graphs("g", graph)
    assert (made.link(0, 1)["latency_s"], made.link(1, 0)["latency_s"]) == (0.1, 0.2)


def test_loops_and_parallel_edges_are_dropped():
    made = from_graphs("g", nx.MultiGraph([(0, 1), (1, 0), (1, 1)]))
    assert made.edges == ((0, 1),)


def test_the_union_of_a_schedule():
    graph = to_networkx(make_topology("one-peer-exponential", 8))
    assert graph.number_of_edges() == 24
    assert graph.is_directed()
