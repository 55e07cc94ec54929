import gc
import threading

import numpy as np
import torch

from gossipnet.arena import LEAST, Arena


def address(loan: np.ndarray) -> int:
    return loan.__array_interface__["data"][0]


def test_what_is_given_back_is_lent_again() -> None:
    arena = Arena(1)
    first = arena.take(LEAST)
    was = address(first)
    first[:] = 7
    del first
    again = arena.take(LEAST)
    assert (address(again), again.shape, again.dtype) == (was, (LEAST,), np.uint8)
    assert again.flags.writeable


def test_no_two_loans_overlap() -> None:
    arena = Arena(2)
    loans = [arena.take(LEAST) for _ in range(4)]
    for i, loan in enumerate(loans):
        loan[:] = i
    assert [int(loan.min()) for loan in loans] == [0, 1, 2, 3] == [int(loan.max()) for loan in loans]


def views(loan: np.ndarray) -> list[object]:
    """All the ways in which a model is held on its way: by zmq, by the inbox, by a merge."""
    tensor = torch.from_numpy(loan)
    return [
        memoryview(loan)[10:20],
        loan.data[5:],
        loan[3:9][1:],
        tensor,
        tensor.view(torch.float32)[2:].view(2, -1)[0],
        tensor[8:].numpy()[4:].data,
        np.frombuffer(loan.data[1:], np.uint8),
    ]


def test_whatever_sees_a_part_of_a_loan_keeps_it() -> None:
    for i in range(7):
        arena = Arena(4)
        loan = arena.take(LEAST + 16)
        held, was = views(loan)[i], address(loan)
        del loan
        gc.collect()
        other = arena.take(LEAST + 16)
        assert address(other) != was, f"view {i} was overwritten"
        del held, other
        gc.collect()
        assert was in {address(loan) for loan in [arena.take(LEAST + 16), arena.take(LEAST + 16)]}


def test_no_more_is_kept_than_said_and_nothing_of_another_size() -> None:
    arena = Arena(2)
    loans = [arena.take(LEAST) for _ in range(5)]
    kept = {address(loan) for loan in loans[3:]}
    while loans:
        loans.pop(0)
    assert len(arena._free) == 2
    odd = arena.take(LEAST + 1)  # held: given back, it would take a place
    assert len(odd) == LEAST + 1
    assert {address(loan) for loan in [arena.take(LEAST), arena.take(LEAST)]} == kept


def test_small_loans_are_left_to_the_c_library() -> None:
    arena = Arena(2)
    arena.take(LEAST - 1)
    assert not arena._free


def test_threads_may_share_it() -> None:
    arena, wrong = Arena(3), []

    def work(number: int) -> None:
        for _ in range(300):
            loan = arena.take(LEAST)
            loan[:8] = number
            if loan[:8].tolist() != [number] * 8:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(arena._free) <= 3


def test_new_memory_can_be_of_another_kind() -> None:
    arena = Arena(2)
    was = address(arena.take(LEAST))
    arena.renew(lambda size: np.full(size, 7, np.uint8))
    other = arena.take(LEAST)
    assert other.min() == 7
    assert address(other) != was or not arena._free  # what lay idle is gone
    del other
    arena.renew(arena._fresh)  # no other kind: what lies idle may stay
    assert len(arena._free) == 1
