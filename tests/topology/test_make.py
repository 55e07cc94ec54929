import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.errors import BadInput
from gossipnet.topology import absolute, known_topologies, make_topology, topologies, topology
from gossipnet.topology.check import is_connected

OWN = '''
import networkx as nx
from gossipnet.topology import topology

@topology("{name}")
def two_rings(n: int, seed: int, bridges: int = 1):
    """Two rings with a few bridges."""
    half = n // 2
    graph = nx.disjoint_union(nx.cycle_graph(half), nx.cycle_graph(n - half))
    graph.add_edges_from((i, half + i) for i in range(bridges))
    return graph
'''


@pytest.fixture
def registered():
    """Forget what the test registers."""
    before = dict(topologies._factories)
    yield
    topologies._factories.clear()
    topologies._factories.update(before)


@pytest.mark.parametrize("name", topologies.names())
@pytest.mark.parametrize("n", [4, 16])
def test_every_registered_topology_is_fit_to_run(name, n):
    made = (
        make_topology(name if (name, n) != ("regular", 4) and name != "random-regular" else f"{name}:d=3", n)
        if (name != "small-world" or n > 4)
        else make_topology("small-world:k=2", n)
    )
    assert made.n == n
    assert made.labels == tuple(map(str, range(n)))
    assert is_connected(made)
    assert 0 < made.spectral_gap <= 1


@pytest.mark.parametrize("text", ["ring:n=6", "regular:d=3,n=6", "karate-club:n=34", "networkx.cycle_graph:n=6"])
def test_the_text_may_give_the_size(text):
    size = 34 if "karate" in text else 6
    assert make_topology(text).n == make_topology(text, size).n == size
    with pytest.raises(BadInput, match=rf"{size} nodes, but 9 were asked for"):
        make_topology(text, 9)


def test_the_catalogue_decides_its_size():
    assert make_topology("karate-club").n == 34
    with pytest.raises(BadInput, match=r"has 34 nodes, but 8 were asked for: use 34"):
        make_topology("karate-club", 8)


@pytest.mark.parametrize(
    ("text", "n", "says"),
    [
        ("", 4, "no topology ''"),
        ("rng", 4, "did you mean 'ring'"),
        ("karateclub", None, "did you mean 'karate-club'"),
        ("ring", None, "needs n: write ring:n=8"),
        ("regular:d=4", None, "needs n: write regular:d=4,n=8"),
        ("ring", 0, "at least 1 node; got n=0"),
        ("ring", -3, "at least 1 node; got n=-3"),
        ("ring:n=0", None, "at least 1 node"),
        ("ring:n=-2", None, "at least 1 node"),
        ("ring:n=x", None, "expected int"),
        ("ring:d=2", 4, "known: n"),
        ("ring:n", 4, "is no option"),
        ("karate-club:p=2", None, "has no option 'p'"),
        ("karate-club:n=x", None, "expected a whole number"),
        ("nowhere.edges", None, "no file 'nowhere.edges'"),
        ("nowhere.py:ring", 4, "no file 'nowhere.py'"),
    ],
)
def test_bad_input(text, n, says):
    with pytest.raises(BadInput, match=says) as caught:
        make_topology(text, n)
    assert "\n" not in str(caught.value)


def test_seeds_are_not_negative():
    with pytest.raises(BadInput, match="0 or more"):
        make_topology("regular", 8, seed=-1)


@settings(max_examples=40, deadline=None)
@given(st.integers(8, 14), st.integers(0, 10**6))
def test_random_graphs_are_drawn_until_connected(n, seed):
    """Half or more of the first draws at this density are not connected."""
    made = make_topology("erdos-renyi:p=0.25", n, seed)
    assert is_connected(made)
    assert made == make_topology("erdos-renyi:p=0.25", n, seed)


def test_your_own_by_decorator_in_a_file(tmp_path, registered):
    file = tmp_path / "mine.py"
    file.write_text(OWN.format(name="two-rings-in-a-file"))
    made = make_topology(f"{file}:two-rings-in-a-file:bridges=2", 10)
    assert (made.n, len(made.edges)) == (10, 12)
    assert made.rounds == make_topology("two-rings-in-a-file:bridges=2,n=10").rounds
    assert known_topologies()["two-rings-in-a-file"] == "Two rings with a few bridges."
    with pytest.raises(BadInput, match="known: bridges, n, seed"):
        make_topology("two-rings-in-a-file:brigdes_=2", 10)


def test_your_own_may_change_every_round_and_be_directed(registered):
    import networkx as nx

    @topology("turns-for-a-test")
    def turns(n: int):
        return [nx.DiGraph([(i, (i + k) % n) for i in range(n)]) for k in (1, 2)]

    made = make_topology("turns-for-a-test", 5)
    assert (made.period, made.directed) == (2, True)
    assert made.neighborhood(0).at(2).targets == (2,)


def raises(n: int):
    return [][n]


def returns_a_number(n: int):
    return n


def returns_nothing(n: int):
    return []


def changes_nodes(n: int):
    import networkx as nx

    return [nx.path_graph(n), nx.path_graph(n + 1)]


def is_in_two(n: int):
    import networkx as nx

    return nx.disjoint_union(nx.path_graph(n - 1), nx.path_graph(1))


def is_too_large(n: int):
    import networkx as nx

    return nx.path_graph(n + 1)


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        (raises, r"test_make\.py:\d+: IndexError"),
        (returns_a_number, "is made of int; expected a networkx graph"),
        (returns_nothing, "is made of list; expected a networkx graph"),
        (changes_nodes, "changes its nodes"),
        (is_in_two, "2 components, node '3' is on its own"),
        (is_too_large, "has 5 nodes, but 4 were asked for"),
    ],
)
def test_your_own_that_is_wrong_is_named(registered, factory, says):
    topology("wrong-for-a-test")(factory)
    with pytest.raises(BadInput, match=says) as caught:
        make_topology("wrong-for-a-test", 4)
    assert "\n" not in str(caught.value)


def test_absolute_paths_work_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g.edges").write_text("0 1\n")
    text = absolute("g.edges")
    own = absolute("mine.py:name:k=1")
    monkeypatch.chdir("/")
    assert make_topology(text).n == 2
    assert own == f"{tmp_path.resolve() / 'mine.py'}:name:k=1"
    assert absolute("ring:n=4") == "ring:n=4"
