import pytest

from gossipnet.errors import BadInput
from gossipnet.topology import make_topology

nx = pytest.importorskip("networkx")


@pytest.mark.parametrize(
    ("text", "n", "expected"),
    [
        ("networkx.barbell_graph:m1=4,m2=2", None, nx.barbell_graph(4, 2)),
        ("networkx.watts_strogatz_graph:k=4,p=0.1", 12, nx.watts_strogatz_graph(12, 4, 0.1, seed=0)),
        ("networkx.wheel_graph:n=6", 6, nx.wheel_graph(6)),
        ("networkx.cycle_graph", 6, nx.cycle_graph(6)),
        ("networkx.complete_multipartite_graph:subset_sizes=2/3/4", None, nx.complete_multipartite_graph(2, 3, 4)),
        ("networkx.grid_graph:dim=2/3/4", 24, nx.grid_graph([2, 3, 4])),
        ("networkx.windmill_graph:n=3,k=4", None, nx.windmill_graph(3, 4)),
        ("networkx.complete_bipartite_graph:n1=3,n2=4", None, nx.complete_bipartite_graph(3, 4)),
        ("networkx.hypercube_graph:n=3", 8, nx.hypercube_graph(3)),
        ("networkx.random_internet_as_graph", 20, nx.random_internet_as_graph(20, seed=0)),
        ("networkx.circulant_graph:offsets=1/2", 9, nx.circulant_graph(9, [1, 2])),
    ],
)
def test_any_generator_by_name(text, n, expected):
    topology = make_topology(text, n)
    assert nx.is_isomorphic(nx.Graph(topology.edges), expected)
    assert topology.labels == tuple(map(str, expected))


def test_multiple_edges_and_loops_are_dropped():
    topology = make_topology("networkx.random_k_out_graph:k=3,alpha=1", 12)
    assert topology.directed
    assert all(i != j for i, j in topology.edges)
    assert len(set(topology.edges)) == len(topology.edges)


@pytest.mark.parametrize(
    ("text", "n", "says"),
    [
        ("networkx.barbel_graph:m1=4,m2=2", None, "did you mean barbell_graph"),
        ("networkx.zzz", None, "no networkx generator 'zzz'"),
        ("networkx.barbell_graph:m1=4", None, "needs m2: write networkx.barbell_graph:m1=4,m2=..."),
        ("networkx.barbell_graph:m1=4,m3=2", None, "known: m1, m2"),
        ("networkx.barbell_graph:m1=4,create_using=x", None, "create_using"),
        ("networkx.barbell_graph:m1=4,m2=2", 8, "has 10 nodes, but 8 were asked for"),
        ("networkx.barbell_graph:m1=1,m2=2", None, "networkx says"),
        ("networkx.barbell_graph:m1=four,m2=2", None, "networkx says"),
        ("networkx.hypercube_graph", 1000, "needs n"),
        ("networkx.wheel_graph:n=6", 7, "has 6 nodes, but 7 were asked for"),
        ("networkx.is_valid_joint_degree:joint_degrees=1", None, "networkx says|is made of"),
        ("networkx.number_of_nonisomorphic_trees:order=4", None, "is made of int"),
        ("networkx.empty_graph", 3, "not connected: 3 components, node '0' is on its own"),
        ("networkx.gn_graph", 5, "none of 100 draws is connected"),
        ("networkx.complete_multipartite_graph", None, "has no nodes"),
    ],
)
def test_bad_input(text, n, says):
    with pytest.raises(BadInput, match=says) as caught:
        make_topology(text, n)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
