"""Which of our models are kept, for whom, and which targets hold us back: by what peers have shown."""

import random

import pytest
from fake_swarm import snapshot
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.outbox import PULLED_S, Outbox
from gossipnet.peer import Peer
from gossipnet.topology import Neighborhood, Row
from gossipnet.wire import Pull

PEERS = (1, 2, 3)
EVERYBODY = Neighborhood(0, (Row(targets=PEERS),))
IN_TURN = Neighborhood(0, (Row(targets=(1,)), Row(targets=(2, 3))))  # odd rounds, even rounds


def made(
    neighborhood: Neighborhood = EVERYBODY, in_step: bool = False, depth: int = 2
) -> tuple[Outbox, dict[int, Peer]]:
    peers = {number: Peer(up=True, session=1) for number in neighborhood.peers}
    return Outbox(neighborhood, in_step, depth, peers), peers


def kept(outbox: Outbox) -> list[int]:
    return [round for round in range(100) if round in outbox]


def fill(outbox: Outbox, *rounds: int, now: float = 0.0) -> list[bool]:
    return [outbox.keep(round, snapshot(round), now) for round in rounds]


acts = st.one_of(
    st.just("keep"), st.tuples(st.sampled_from(["pull", "serve"]), st.sampled_from(PEERS), st.integers(1, 9))
)


@given(acts=st.lists(acts, max_size=60), depth=st.integers(1, 3))
def test_free_running_what_is_fetched_is_kept_and_all_else_makes_room(acts, depth) -> None:
    outbox, _ = made(depth=depth)
    newest, fetched, served = 0, {}, dict.fromkeys(PEERS, 0)
    for act in acts:
        before = kept(outbox)
        if act == "keep":
            newest += 1
            room = len(before) < depth or {*before} - {*fetched.values()}
            assert outbox.keep(newest, snapshot(newest), 0.0) == bool(room)
            free = [round for round in before if round not in fetched.values()]
            gone = free[:1] if room and len(before) == depth else []
            assert kept(outbox) == [r for r in before if r not in gone] + [newest] * bool(room)
        elif act[0] == "pull":
            _, peer, round = act
            found = outbox.pull(peer, round, 0.0)
            assert (found and found.round) == (round if round in before else None)
            if found and round > served[peer] and round >= fetched.get(peer, 0):
                fetched[peer] = round
        elif fetched.get(act[1]) == act[2]:
            outbox.left(act[1], Pull(act[2], 0, 4, 1024), 4, 4)
            served[act[1]] = fetched.pop(act[1])
        assert len(outbox) <= depth
        assert outbox.newest == max(kept(outbox), default=0)


def test_it_is_fetched_until_all_has_left_or_the_peer_is_silent_or_gone() -> None:
    outbox, peers = made(depth=1)
    fill(outbox, 1)
    assert outbox.pull(2, 1, 50.0) is outbox[1]
    assert fill(outbox, 2, now=49.0 + PULLED_S) == [False]
    peers[2].went_down()
    assert fill(outbox, 2) == [True]
    peers[2].came_up(2)
    outbox.pull(2, 2, 50.0)
    assert fill(outbox, 3, now=50.0) == [False]
    assert fill(outbox, 3, now=50.0 + PULLED_S) == [True]
    outbox.pull(2, 3, 300.0)
    outbox.left(2, Pull(3, 0, 4, 1024), 4, 4)
    assert fill(outbox, 4, now=300.0) == [True]


def test_another_process_of_a_peer_keeps_what_it_fetches_whatever_the_last_one_got() -> None:
    outbox, _ = made(depth=1)
    fill(outbox, 1)
    outbox.pull(2, 1, 0.0)
    outbox.forget(2)
    assert fill(outbox, 2) == [True], "nobody fetches it any more"
    outbox.pull(2, 2, 0.0)
    outbox.left(2, Pull(2, 0, 4, 1024), 4, 4)
    outbox.forget(2)
    outbox.pull(2, 2, 0.0)
    assert fill(outbox, 3) == [False]


def serve(outbox: Outbox, peer: int, pull: Pull, n_sent: int, n_chunks: int) -> bool:
    """One Pull from beginning to end; whether nothing is kept for that peer any more."""
    assert outbox.pull(peer, pull.round, 0.0) is not None
    outbox.left(peer, pull, n_sent, n_chunks)
    return outbox._pulls[peer].served


@given(n=st.integers(1, 60), window=st.integers(1, 16), seed=st.integers(0, 2**32))
def test_a_model_is_served_once_all_its_chunks_have_left_and_not_before(n: int, window: int, seed: int) -> None:
    """Chunks are asked for in their order, those that the link did not take again at any time."""
    outbox, _ = made(depth=1)
    fill(outbox, 3)
    absent, unasked, chance = {*range(n)}, 0, random.Random(seed)
    while absent:
        again = [index for index in absent if index < unasked]
        first = chance.choice([*again, unasked] if unasked < n else again)
        count = next(k for k in range(chance.randint(1, window), 0, -1) if {*range(first, min(first + k, n))} <= absent)
        pull, wanted = Pull(3, first, count, 1024), range(first, min(first + count, n))
        unasked = max(unasked, wanted.stop)
        n_sent = chance.randint(0, len(wanted))
        absent -= {*wanted[:n_sent]}
        assert serve(outbox, 1, pull, n_sent, n) == (not absent)
    assert serve(outbox, 1, pull, 0, n), "asked for again: it is late"


def test_what_of_one_model_was_cut_off_holds_up_no_other() -> None:
    outbox, _ = made(depth=3)
    fill(outbox, 2, 3, 4)
    assert not serve(outbox, 1, Pull(3, 0, 16, 1024), 4, 20)
    assert serve(outbox, 2, Pull(3, 16, 4, 1024), 4, 20)
    assert not serve(outbox, 1, Pull(2, 0, 16, 1024), 16, 16), "it is late"
    assert not serve(outbox, 1, Pull(3, 16, 4, 1024), 4, 20)
    assert serve(outbox, 1, Pull(4, 16, 4, 1024), 4, 20)


def test_a_model_is_for_the_targets_of_its_round() -> None:
    outbox, _ = made(IN_TURN)
    fill(outbox, 1, 2)
    for peer, rounds in ((1, [1]), (2, [2]), (3, [2]), (7, [])):
        assert [round for round in range(4) if outbox.has_for(peer, round)] == rounds
        assert [round for round in range(4) if outbox.pull(peer, round, 0.0)] == rounds


def test_who_has_not_asked_for_the_newest_may_not_know_of_it() -> None:
    outbox, _ = made()
    fill(outbox, 1, 2)
    outbox.pull(1, 2, 0.0), outbox.pull(2, 1, 0.0)
    assert outbox.uninformed() == [2, 3]


def test_the_newest_is_set_aside_as_if_it_had_been_asked_for() -> None:
    outbox, _ = made(depth=1)
    assert outbox.set_aside(1, 0.0) is None
    fill(outbox, 4)
    assert outbox.set_aside(1, 0.0) == 4
    assert fill(outbox, 5) == [False]
    turns, _ = made(IN_TURN)
    fill(turns, 1, 2)
    assert [turns.set_aside(peer, 0.0) for peer in (1, 2)] == [None, 2]


def test_a_late_pull_of_an_older_model_does_not_end_the_fetch_of_a_newer_one() -> None:
    outbox, _ = made()
    fill(outbox, 1, 2)
    outbox.pull(1, 2, 0.0), outbox.pull(1, 1, 1.0)
    assert fill(outbox, 3) == [True]
    assert kept(outbox) == [2, 3]


def test_free_running_a_peer_that_comes_needs_the_newest() -> None:
    outbox, _ = made(IN_TURN)
    assert outbox.needed_by(1) == []
    fill(outbox, 1, 2)
    assert [outbox.needed_by(peer) for peer in (1, 2)] == [[], [2]]


def test_in_step_a_peer_that_comes_needs_all_that_it_waits_for() -> None:
    outbox, peers = made(in_step=True, depth=3)
    fill(outbox, 5, 6, 7)
    peers[1].works_on(6)
    peers[2].awaited_from = 7
    assert [outbox.needed_by(peer) for peer in PEERS] == [[6, 7], [7], [5, 6, 7]]


@pytest.mark.parametrize("neighborhood", [EVERYBODY, IN_TURN])
@given(
    merged=st.lists(st.integers(0, 6), min_size=3, max_size=3),
    gone=st.sets(st.sampled_from(PEERS)),
    round=st.integers(1, 7),
    depth=st.integers(1, 3),
)
def test_in_step_targets_hold_us_back_until_they_have_merged_what_makes_room(
    neighborhood, merged, gone, round, depth
) -> None:
    outbox, peers = made(neighborhood, in_step=True, depth=depth)
    for number, done in zip(PEERS, merged, strict=True):
        peers[number].merged = done
        if number in gone:
            peers[number].went_down()
    there = [number for number in PEERS if number not in gone]
    oldest = round - depth
    owed = {*neighborhood.at(round).targets, *neighborhood.at(max(1, oldest)).targets}
    late = [number for number in there if number in owed and peers[number].merged < oldest]
    assert outbox.full(round) == (late if oldest >= 1 else [])
    assert outbox.needing(round) == [number for number in there if peers[number].merged < round]


def test_in_step_the_oldest_makes_room_and_otherwise_nobody_is_waited_for() -> None:
    outbox, _ = made(in_step=True)
    fill(outbox, 1)
    outbox.pull(1, 1, 0.0)
    assert fill(outbox, 2, 3) == [True, True]
    assert kept(outbox) == [2, 3]
    outbox.clear()
    assert len(outbox) == 0
    free, _ = made()
    assert free.full(9) == free.needing(9) == []
