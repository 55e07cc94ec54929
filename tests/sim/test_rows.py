import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.sim.rows import Arena

CPU = torch.device("cpu")


def test_a_row_is_free_when_nobody_holds_it():
    arena = Arena(4, 3, CPU)
    rows = arena.take(3)
    again = rows[1]
    kept = [row.index for row in rows]
    del rows
    assert sorted(arena.free) == [kept[0], kept[2]]
    assert [row.index for row in arena.take(2)] == [kept[0], kept[2]]
    assert again.index == kept[1]


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 9)), max_size=20))
def test_rows_keep_what_was_written(steps):
    """However rows are taken and let go, and however the arena grows."""
    arena = Arena(1, 2, CPU)
    held = []
    for number, (count, dropped) in enumerate(steps):
        rows = arena.take(count)
        arena.put(rows, torch.full((count, 2), float(number)))
        held += [(row, number) for row in rows]
        del held[:dropped], rows
        for row, expected in held:
            assert row.vector.tolist() == [expected] * 2
    assert len({row.index for row, _ in held}) == len(held)


def test_neighbors_are_a_view_and_others_a_copy():
    arena = Arena(6, 2, CPU)
    rows = arena.take(6)
    arena.rows[:] = torch.arange(12.0).view(6, 2)
    near, is_view = arena.of(rows[1:4])
    assert is_view
    near += 100
    assert rows[2].vector.tolist() == [104, 105]
    far, is_view = arena.of([rows[5], rows[0]])
    assert not is_view
    assert far.tolist() == [[10, 11], [0, 1]]
    arena.put([rows[5], rows[0]], far + 1)
    assert rows[0].vector.tolist() == [1, 2]


@pytest.mark.parametrize(("rows", "into"), [([1, 2], [4, 6]), ([1, 2], [3, 4]), ([6, 1], [4, 2]), ([0, 5], [2, 3])])
def test_models_are_copied_wherever_they_lie(rows, into):
    arena = Arena(7, 2, CPU)
    held = arena.take(7)
    arena.rows[:] = torch.arange(14.0).view(7, 2)
    arena.copy([held[i] for i in rows], [held[i] for i in into])
    assert [held[i].vector.tolist() for i in into] == [[2.0 * i, 2.0 * i + 1] for i in rows]
    assert [held[i].vector.tolist() for i in rows] == [[2.0 * i, 2.0 * i + 1] for i in rows]


def test_groups_are_gathered():
    arena = Arena(3, 2, CPU)
    arena.take(3)
    arena.rows[:] = torch.arange(6.0).view(3, 2)
    assert arena.gather(torch.tensor([[2, 0], [1, 1]])).tolist() == [[[4, 5], [0, 1]], [[2, 3], [2, 3]]]
    assert arena.gather(torch.tensor([[0]])).tolist() == [[[0, 1]]]


def test_memory_that_is_given_does_not_grow():
    arena = Arena(2, 3, CPU, torch.zeros(2, 3))
    held = arena.take(2)
    with pytest.raises(MemoryError, match="more than 2 models"):
        arena.take(1)
    assert len(held) == 2
