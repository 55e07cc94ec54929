"""When a wait is over, for whom it is, and until when: against what the state of each neighbor says by itself."""

import pytest
from fake_swarm import DIGEST, snapshot
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.inbox import Inbox
from gossipnet.peer import Peer
from gossipnet.wait import Wait
from gossipnet.wire import Message, Offer

ROUND = 3
# what a source is: its model is here, it is there, gone, done before, done after, or left this round out
STATES = {
    "here": Peer(up=True, session=1),
    "there": Peer(up=True, session=1),
    "gone": Peer(expected=False, session=1),
    "ended": Peer(up=True, session=1, last=ROUND - 1),
    "ends later": Peer(up=True, session=1, last=ROUND),
    "left out": Peer(up=True, session=1, awaited_from=ROUND + 1),
}
AWAITED = {"there", "ends later"}
states = st.lists(st.sampled_from(sorted(STATES)), min_size=1, max_size=5)


def begun(found: list[str], quorum: int | None = None, patience_s: float | None = None) -> tuple[Wait, Inbox]:
    """A wait of round 3 since second 10 for sources in these states, and the inbox that it looks at."""
    inbox = Inbox(quorum is None, depth=2, max_age=0, rounds=9)
    for number, state in enumerate(found):
        if state == "here":
            inbox.put(number, snapshot(ROUND))
    wait = Wait(quorum, patience_s, dict(enumerate(STATES[state] for state in found)), inbox)
    wait.begin([(number, 0.1) for number in range(len(found))], ROUND, 1.0, 10.0)
    return wait, inbox


@given(states)
def test_in_step_it_is_for_each_source_that_can_still_send_its_model(found) -> None:
    wait, inbox = begun(found)
    missing = [number for number, state in enumerate(found) if state in AWAITED]
    assert wait.missing() == wait.silent() == missing
    assert wait.until(10.0) is None
    for number in missing:
        assert not wait.is_over(99.0)
        assert wait.is_for_word()
        inbox.put(number, snapshot(ROUND))
    assert wait.is_over(10.0)


@given(states, st.integers(0, 5))
def test_with_a_quorum_it_is_for_so_many_or_for_all_that_can_come_or_for_a_time(found, quorum) -> None:
    wait, _ = begun(found, quorum, patience_s=2.0)
    can_come = [n for n, state in enumerate(found) if state in AWAITED | {"left out"}]  # nothing is left out here
    assert wait.missing() == can_come
    enough = found.count("here") >= quorum or not can_come
    assert [wait.is_over(at) for at in (10.0, 11.9, 12.0)] == [enough, enough, True]
    assert wait.until(11.0) == 12.0


def test_nobody_loses_patience_with_a_neighbor_that_was_never_there() -> None:
    peers = {0: Peer(up=True, session=1), 1: Peer()}
    wait = Wait(2, None, peers, Inbox(False, depth=2, max_age=0, rounds=9))
    wait.begin([(0, 0.1), (1, 0.1)], 1, 1.0, 10.0)
    assert wait.until(10.0) is None
    assert not wait.is_over(1e9)
    peers[1].session = 1
    until = wait.until(10.0)
    assert until is not None
    assert [wait.is_over(at) for at in (until - 0.01, until)] == [False, True]


@pytest.mark.parametrize(("round", "silent"), [(ROUND, []), (ROUND - 1, [0])])
def test_a_source_whose_model_is_on_its_way_is_not_silent(round, silent) -> None:
    message = Message(0, 1, 1, Offer(round, 5, 1, DIGEST))
    peers = {0: Peer(up=True, session=1, fetching=message)}
    wait = Wait(None, None, peers, Inbox(True, depth=2, max_age=0, rounds=9))
    wait.begin([(0, 0.5)], ROUND, 1.0, 10.0)
    assert not wait.is_over(10.0)
    assert wait.missing() == [0]
    assert wait.silent() == silent
    assert wait.is_for_word() == bool(silent)
