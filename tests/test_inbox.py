"""Which models may come in, and that they are bounded whatever comes."""

from fake_swarm import snapshot
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.events import Member
from gossipnet.inbox import Inbox
from gossipnet.wire import Reason

PEERS = 3
arrivals = st.lists(st.tuples(st.integers(0, PEERS - 1), st.integers(0, 12)), max_size=60)


@given(arrivals=arrivals, current=st.integers(1, 8), depth=st.integers(1, 3))
def test_in_step_it_holds_each_round_of_the_window_at_most_once(arrivals, current, depth) -> None:
    inbox = Inbox(in_step=True, depth=depth, max_age=0, rounds=100)
    for peer, round in arrivals:
        reason = inbox.fault(peer, round, 0, current, current - 1, ())
        assert (reason is None) == (current <= round < current + depth and not inbox.has(peer, round))
        if reason is None:
            assert inbox.put(peer, snapshot(round))
        if inbox.has(peer, round):
            assert not inbox.put(peer, snapshot(round, age=1))
    assert len(inbox) <= PEERS * depth
    assert all(model.age == 0 for _, model in inbox.models()), "the first stays"
    assert {(peer, model.round) for peer, model in inbox.models()} == {
        (peer, round) for peer in range(PEERS) for round in range(13) if inbox.has(peer, round)
    }
    taken = inbox.take(((0, 0.5), (2, 0.25)), current)
    assert [m.peer for m in taken] == sorted(m.peer for m in taken)
    assert all(m.snapshot.round == current for m in taken)
    inbox.forget_before(current + 1)
    assert not any(inbox.has(peer, current) for peer in range(PEERS))


@given(arrivals=arrivals)
def test_otherwise_it_holds_the_newest_of_each_peer(arrivals) -> None:
    inbox, newest = Inbox(in_step=False, depth=2, max_age=0, rounds=100), dict.fromkeys(range(PEERS), 0)
    for peer, round in arrivals:
        reason = inbox.fault(peer, round, newest[peer], 5, 4, ())
        assert (reason is None) == (round > newest[peer])
        if reason is None:
            newest[peer] = round
            assert inbox.put(peer, snapshot(round), now=float(round))
    assert len(inbox) <= PEERS
    taken = inbox.take([(peer, 0.1) for peer in range(PEERS)], 99)
    assert {m.peer: m.snapshot.round for m in taken} == {p: r for p, r in newest.items() if r}
    assert all(m.came_at == m.snapshot.round for m in taken)
    assert len(inbox) == 0


def test_reasons() -> None:
    inbox = Inbox(in_step=True, depth=2, max_age=0, rounds=100)
    merging = (Member(1, 0.5, snapshot(4)),)
    assert inbox.fault(0, 3, 0, 4, 3, ()) is Reason.STALE
    assert inbox.fault(0, 6, 0, 4, 3, ()) is Reason.AHEAD
    assert inbox.fault(1, 4, 0, 4, 3, merging) is Reason.DUPLICATE
    assert inbox.fault(0, 4, 0, 4, 4, ()) is Reason.STALE  # merged already
    assert inbox.fault(0, 6, 0, 4, 4, ()) is None
    free = Inbox(in_step=False, depth=2, max_age=2, rounds=100)
    assert free.fault(0, 7, 0, 9, 8, (), fallen=2) is None
    assert free.fault(0, 6, 0, 9, 8, (), fallen=3) is Reason.STALE


def test_a_peer_that_started_again_has_nothing_here() -> None:
    inbox = Inbox(in_step=True, depth=2, max_age=0, rounds=100)
    inbox.put(0, snapshot(1))
    inbox.put(1, snapshot(1))
    inbox.forget_peer(0)
    assert (inbox.has(0, 1), inbox.has(1, 1)) == (False, True)


@given(rounds=st.lists(st.integers(1, 10), min_size=1, max_size=20))
def test_the_model_of_the_last_round_stays_until_we_are_as_far(rounds) -> None:
    inbox = Inbox(in_step=False, depth=2, max_age=0, rounds=10)
    inbox.put(0, snapshot(10))
    inbox.put(1, snapshot(9))
    for i, round in enumerate(sorted(rounds)):
        taken = {m.peer: m.snapshot.round for m in inbox.take(((0, 0.5), (1, 0.5)), round)}
        assert taken == ({} if 10 in sorted(rounds)[:i] else {0: 10} | ({1: 9} if i == 0 else {}))
    assert len(inbox) == (0 if 10 in rounds else 1)
