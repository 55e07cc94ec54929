import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.errors import BadInput
from gossipnet.topology import from_graphs, make_topology, save
from gossipnet.topology.files import load, same_graph

nx = pytest.importorskip("networkx")

NAMES = st.one_of(st.integers(0, 99).map(str), st.text(min_size=1, max_size=8))
PLAIN = st.one_of(st.integers(0, 99).map(str), st.from_regex(r"[A-Za-z][\w .\"#=,-]{0,6}", fullmatch=True))
VALUES = st.one_of(st.integers(-9, 9), st.floats(-1e9, 1e9), st.booleans(), st.text('ab 1.e#"', min_size=1))


@st.composite
def graphs(draw, names=NAMES):
    """Connected graphs with odd names in odd orders, some with attributes and weights of their own."""
    labels = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    n = len(labels)
    graph = nx.DiGraph() if draw(st.booleans()) else nx.Graph()
    graph.add_nodes_from(draw(st.permutations(labels)))
    edges = {(labels[i - 1], labels[i]) for i in range(1, n)} | ({(labels[-1], labels[0])} if n > 1 else set())
    graph.add_edges_from(sorted(edges))
    for edge in sorted(graph.edges):
        if draw(st.booleans()):
            graph.edges[edge].update(latency_s=draw(st.floats(0, 9)), bandwidth_bytes_per_s=draw(st.integers(1, 10**9)))
        if draw(st.booleans()):
            graph.edges[edge]["kind"] = draw(VALUES)
    for node in labels:
        if draw(st.booleans()):
            graph.nodes[node].update(address=draw(st.text("tcp:/.1 ", min_size=1)), rack=draw(VALUES))
    if draw(st.booleans()):
        nx.set_edge_attributes(graph, 1 / 16, "mixing_weight")
    return from_graphs("g", graph)


@pytest.mark.parametrize("suffix", [".edges", ".txt", ".csv", ".toml"])
@settings(max_examples=80, deadline=None)
@given(made=graphs())
def test_a_saved_topology_loads_again_identically(tmp_path_factory, suffix, made):
    path = tmp_path_factory.mktemp("saved") / f"g{suffix}"
    save(made, path)
    assert same_graph(make_topology(str(path)), made)


@settings(max_examples=80, deadline=None)
@given(made=graphs(PLAIN))
def test_graphml_too_unless_xml_cannot_hold_a_name(tmp_path_factory, made):
    path = tmp_path_factory.mktemp("saved") / "g.graphml"
    save(made, path)
    assert same_graph(make_topology(str(path)), made)


@pytest.mark.parametrize("text", ["one-peer-exponential", "random-matching:period=5", "base:k=2"])
def test_schedules_are_held_by_toml_alone(tmp_path, text):
    made = make_topology(text, 7)
    save(made, tmp_path / "g.toml")
    assert same_graph(make_topology(str(tmp_path / "g.toml"), 7), made)
    for suffix in (".edges", ".csv", ".graphml"):
        with pytest.raises(BadInput, match=r"save it as \.toml"):
            save(made, tmp_path / f"g{suffix}")
        assert not (tmp_path / f"g{suffix}").exists()


def test_what_a_format_cannot_hold_is_not_half_written(tmp_path):
    made = from_graphs("g", nx.Graph([("a\x00", "b")]))
    with pytest.raises(BadInput, match=r"save it as \.toml"):
        save(made, tmp_path / "g.graphml")
    assert not (tmp_path / "g.graphml").exists()


@pytest.mark.parametrize(
    ("name", "says"), [("g.png", "expected one of"), ("g", "expected one of"), ("no/such/g.edges", "cannot write")]
)
def test_bad_places(tmp_path, name, says):
    with pytest.raises(BadInput, match=says):
        save(make_topology("ring", 4), tmp_path / name)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("g.edges", b"\x80\x81\xff", "is no text file"),
        ("g.graphml", b"<graphml><oops>", "is no GraphML"),
        ("g.graphml", b"nothing", "is no GraphML"),
        ("g.graphml", b"", "is no GraphML"),
        ("g.graphml", b"<html></html>", "is no GraphML"),
        ("g.edges", b"", "has no nodes"),
        ("g.csv", b"", "has no nodes"),
        ("g.edges", b"0 1\n2 3\n", "not connected: 2 components"),
        ("g.edges", b"0 1\n1 2\nlonely\n", "node 'lonely' is on its own"),
        ("g.toml", b"n = 3\nedges = [[0, 1]]", "node '2' is on its own"),
    ],
)
def test_bad_files_are_named(tmp_path, name, data, says):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadInput, match=says) as caught:
        make_topology(str(tmp_path / name))
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "g.edges").mkdir()
    with pytest.raises(BadInput, match="cannot read"):
        load(str(tmp_path / "g.edges"))


def test_the_size_of_a_file_is_fixed(tmp_path):
    (tmp_path / "g.edges").write_text("0 1\n1 2\n")
    assert make_topology(str(tmp_path / "g.edges"), 3).n == 3
    with pytest.raises(BadInput, match=r"has 3 nodes, but 8 were asked for: use 3"):
        make_topology(str(tmp_path / "g.edges"), 8)


def test_files_of_networkx_are_read(tmp_path):
    graph = nx.les_miserables_graph()
    nx.write_edgelist(nx.karate_club_graph(), tmp_path / "k.edges")
    nx.write_graphml(graph, tmp_path / "m.graphml")
    assert len(make_topology(str(tmp_path / "k.edges")).edges) == 78
    made = make_topology(str(tmp_path / "m.graphml"))
    assert made.labels == tuple(graph)
    assert made.link(0, 1) == {"weight": 1}
