import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.report.layout import circle, hops, hub_of, positions, same_for_all, spread


def edges(*pairs: tuple[int, int]) -> np.ndarray:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def ring(n: int) -> np.ndarray:
    return edges(*((i, (i + 1) % n) for i in range(n)))


def path(n: int) -> np.ndarray:
    return edges(*((i, i + 1) for i in range(n - 1)))


def nearest(at: np.ndarray) -> float:
    apart = np.linalg.norm(at[:, None] - at[None], axis=2) + 9 * np.eye(len(at))
    return float(apart.min())


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.data())
def test_any_graph_gets_finite_places_in_the_frame_with_no_two_alike(n: int, data: st.DataObject) -> None:
    pair = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))
    at = positions(n, edges(*data.draw(st.lists(pair, max_size=60))))
    assert at.shape == (n, 2)
    assert np.isfinite(at).all()
    assert np.abs(at).max(initial=0) <= 1 + 1e-9
    if n > 1:
        assert nearest(at) > 1e-6


def test_one_graph_always_gives_one_picture() -> None:
    np.testing.assert_array_equal(positions(9, path(9)), positions(9, path(9)))


def test_graphs_that_look_the_same_from_everywhere_are_on_the_circle() -> None:
    complete = edges(*((a, b) for a in range(7) for b in range(a)))
    exponential = edges(*((a, (a + s) % 8) for a in range(8) for s in (1, 2, 4)))
    for n, links in ((7, ring(7)), (7, complete), (8, exponential)):
        assert same_for_all(n, links)
        np.testing.assert_allclose(positions(n, links), circle(n))
    assert not same_for_all(7, path(7))


def test_a_star_has_its_hub_in_the_middle() -> None:
    links = edges(*((3, i) for i in range(9) if i != 3))
    assert hub_of(9, links) == 3
    at = positions(9, links)
    np.testing.assert_allclose(np.linalg.norm(at, axis=1), [0.0 if i == 3 else 1.0 for i in range(9)], atol=1e-9)
    assert hub_of(7, path(7)) is None


def test_hops_are_shortest_paths() -> None:
    found = hops(5, path(5))
    np.testing.assert_array_equal(found, np.abs(np.subtract.outer(np.arange(5), np.arange(5))))
    parted = hops(4, edges((0, 1), (2, 3)))
    assert parted[0, 2] > parted[0, 1]


def test_a_path_is_drawn_as_a_line_with_equal_steps() -> None:
    at = spread(hops(6, path(6)))
    steps = np.linalg.norm(np.diff(at, axis=0), axis=1)
    assert steps.max() / steps.min() < 1.1


def test_neighbors_are_drawn_nearer_than_others() -> None:
    grid = edges(*((r * 5 + c, r * 5 + c + 1) for r in range(5) for c in range(4)), *((i, i + 5) for i in range(20)))
    at = positions(25, grid)
    apart = np.linalg.norm(at[:, None] - at[None], axis=2)
    near = np.array([apart[a, b] for a, b in grid])
    assert near.max() < np.median(apart[np.triu_indices(25, 1)])


@pytest.mark.parametrize("n", [2000, 5000])
def test_huge_graphs_take_the_circle(n: int) -> None:
    np.testing.assert_allclose(positions(n, path(n)), circle(n))
