import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.errors import BadInput
from gossipnet.topology import make_topology
from gossipnet.topology.named import most_square

nx = pytest.importorskip("networkx")


def degrees(topology):
    return [len(topology.row(i).targets) for i in range(topology.n)]


@given(st.integers(3, 40))
def test_fixed_shapes(n):
    assert degrees(make_topology("ring", n)) == [2] * n
    assert len(make_topology("path", n).edges) == n - 1
    assert degrees(make_topology("complete", n)) == [n - 1] * n
    assert degrees(make_topology("star", n)) == [n - 1] + [1] * (n - 1)
    assert len(make_topology("tree", n).edges) == n - 1
    assert max(degrees(make_topology("tree:children=3", n))) <= 4


@given(st.integers(3, 40))
def test_exponential(n):
    topology = make_topology("exponential", n)
    assert topology.directed
    count = (n - 1).bit_length()
    assert degrees(topology) == [count] * n
    assert topology.row(0).own == pytest.approx(1 / (count + 1))


@given(st.integers(4, 120))
def test_torus_is_the_most_square_rectangle_or_says_what_fits(n):
    rows = most_square(n)
    if not rows:
        with pytest.raises(BadInput, match=r"use \d+ \(\dx\d+\) or"):
            make_topology("torus", n)
        return
    topology = make_topology("torus", n)
    assert nx.is_isomorphic(nx.Graph(topology.edges), nx.grid_2d_graph(rows, n // rows, periodic=True))
    assert topology.labels == tuple(map(str, range(n)))


def test_torus_of_seven_names_sizes_that_fit():
    with pytest.raises(BadInput, match=r"7 fits none: use 6 \(2x3\) or 8 \(2x4\) or 9 \(3x3\)"):
        make_topology("torus", 7)


@given(st.integers(0, 6))
def test_hypercube_joins_numbers_that_differ_in_one_digit(k):
    edges = make_topology("hypercube", 2**k).edges
    assert set(edges) == {(i, i | 1 << b) for i in range(2**k) for b in range(k) if not i >> b & 1}


@settings(max_examples=50, deadline=None)
@given(st.integers(5, 30), st.integers(2, 4), st.integers(0, 99))
def test_random_ones(n, d, seed):
    if n * d % 2 == 0:
        assert degrees(make_topology(f"regular:d={d}", n, seed)) == [d] * n
    assert len(make_topology("small-world:k=4,p=0.5", n, seed).edges) == 2 * n
    assert len(make_topology(f"scale-free:m={d}", n, seed).edges) == d * (n - d)


def test_erdos_renyi_joins_about_that_share():
    assert 0.25 < len(make_topology("erdos-renyi:p=0.3", 100).edges) / 4950 < 0.35


def test_the_first_draw_is_networkx_with_that_seed():
    expected = sorted(tuple(sorted(e)) for e in nx.random_regular_graph(4, 32, seed=0).edges)
    assert list(make_topology("regular:d=4", 32, seed=0).edges) == expected


@pytest.mark.parametrize(
    ("text", "n", "says"),
    [
        ("star", 1, "at least 2"),
        ("regular:d=4", 4, "d from 1 to n - 1 = 3; got d=4"),
        ("regular:d=3", 7, "use d=2 or n=8"),
        ("regular:d=0", 7, "got d=0"),
        ("regular:d=1", 6, "none of 100 draws is connected"),
        ("random-regular:d=3", 7, "use d=2 or n=8"),
        ("small-world:k=8", 8, "an even k from 2 to 6 with n=8; got k=8"),
        ("small-world:k=3", 8, "got k=3"),
        ("small-world:k=4,p=1.5", 8, "probability from 0 to 1"),
        ("erdos-renyi:p=-0.1", 8, "probability from 0 to 1"),
        ("erdos-renyi:p=0.01", 50, "none of 100 draws is connected"),
        ("erdos-renyi:p=nan", 8, "expected float"),
        ("scale-free:m=8", 8, "m from 1 to 7"),
        ("tree:children=0", 8, "at least 1 child"),
        ("torus:rows=3", 8, "use rows=2 or 4"),
        ("torus:rows=1", 8, "use rows=2 or 4"),
        ("torus:rows=-2", 8, "use rows=2 or 4"),
        ("torus:rows=2", 7, "rows=2 and n=4"),
        ("grid", 5, r"use 4 \(2x2\) or 6 \(2x3\) or 8 \(2x4\)"),
        ("hypercube", 6, "use 4 or 8"),
        ("random-matching:period=0", 6, "at least 1 round"),
        ("base:k=0", 6, "k from 1 to n - 1 = 5"),
    ],
)
def test_what_does_not_fit_says_what_does(text, n, says):
    with pytest.raises(BadInput, match=says) as caught:
        make_topology(text, n)
    assert "\n" not in str(caught.value)
