"""Who is at which endpoint: two sides that ask and answer, in any order, and those who lie."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.live.meeting import ASK_EVERY_AT_MOST_S, MOST_STRANGERS, Card, Meetings
from gossipnet.wire import ANYBODY, Ask, Hello, Iam, Message, Offer, Reason, Refusal, Who

SPEC, OTHER = b"our spec", b"its spec"


def card(id, session=1, digest=SPEC, codec="float32", push_bytes=1000):
    return Card(id, session, digest, codec, push_bytes)


def told(sender, receiver, known=1, **options):
    """What somebody says at one of our endpoints."""
    c = card(sender, **options)
    return Message(c.id, receiver, c.session, Iam(c.digest, c.codec, c.push_bytes, known))


def met(n=2, **own):
    """Us, connected to n endpoints at time 0, all asked."""
    us = Meetings(card(99, **own), n)
    for number in us.links:
        us.connected(number, 0.0)
    us.due(0.0)
    return us


def test_two_nodes_meet_whoever_asks_first():
    for seed in range(50):
        rng, now = random.Random(seed), 0.0
        nodes = {11: Meetings(card(11), 1), 22: Meetings(card(22), 1)}
        other = {11: 22, 22: 11}
        starts = {id: rng.random() for id in nodes}
        while not all(node.ready(1) for node in nodes.values()):
            now += 0.01
            assert now < 10
            for id, node in nodes.items():
                if now >= starts[id] and now >= starts[other[id]] and not node.links[1].up:
                    node.connected(1, now)
                for number, question in node.due(now):
                    if rng.random() < 0.7:  # else it got lost
                        assert node.answered(number, nodes[other[id]].answer(question)) is None
        assert all(node.deadline is None for node in nodes.values())
        message = nodes[11].wire(Message(0, 1, 5, Ask(3)))
        assert (message.sender, message.receiver, message.session) == (11, 22, 1)
        assert nodes[22].local(message) == Message(1, 0, 1, Ask(3))


def test_it_asks_at_once_then_less_and_less_often_until_both_know():
    us = Meetings(card(99), 1)
    assert us.due(0.0) == []
    us.connected(1, 5.0)
    times, now = [], 5.0
    for _ in range(9):
        assert us.deadline is not None
        now = us.deadline
        assert us.due(now - 1e-9) == []
        assert us.due(now) == [(1, Message(99, ANYBODY, 1, Who()))]
        times.append(now)
    assert us.answered(1, told(7, 99, known=0)) is None
    assert us.deadline is not None  # it does not know us yet
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert gaps == sorted(gaps)
    assert max(gaps) == ASK_EVERY_AT_MOST_S
    us.due(now + 10)
    assert us.answered(1, told(7, 99)) is None
    assert us.ready(1)
    assert us.deadline is None
    us.disconnected(1)
    us.connected(1, 100.0)
    assert us.due(100.0)  # again, after every reconnect


def test_nobody_answers_a_question_that_was_not_asked():
    us = met(1)
    assert us.answered(1, told(7, 99)) is None
    for answer in (told(7, 99), told(8, 99), Message(7, 99, 1, Who()), Message(7, 99, 1, Ask(1))):
        refusal = us.answered(1, answer)
        assert isinstance(refusal, Refusal)
        assert refusal.reason is Reason.UNEXPECTED
    assert us.links[1].met == card(7)


def test_a_stranger_is_refused_until_it_is_met_at_a_listed_endpoint():
    us = met(1)
    for _ in range(3):
        refusal = us.local(Message(7, 99, 1, Ask(1)))
        assert isinstance(refusal, Refusal)
        assert refusal.reason is Reason.STRANGER
    assert us.strangers == 1
    assert us.answer(Message(7, ANYBODY, 1, Who())).body == Iam(SPEC, "float32", 1000, 0)
    us.answered(1, told(7, 99))
    assert us.strangers == 0
    assert us.local(Message(7, 99, 1, Ask(1))) == Message(1, 0, 1, Ask(1))
    assert us.answer(Message(7, ANYBODY, 1, Who())).body == Iam(SPEC, "float32", 1000, 1)


def test_strangers_take_a_bounded_amount_of_memory():
    us = met(1)
    for id in range(1000, 3000):
        us.local(Message(id, 99, 1, Ask(1)))
    assert us.strangers == MOST_STRANGERS


def test_a_restarted_neighbor_is_another_process_with_a_later_session_whatever_its_clock_says():
    us = met(1)
    us.answered(1, told(7, 99, session=1000))
    assert us.local(Message(7, 99, 1000, Ask(1))).session == 1
    us.disconnected(1)
    us.connected(1, 1.0)
    us.due(1.0)
    us.answered(1, told(8, 99, session=3))  # it has no clock that survives a power cut
    assert us.local(Message(8, 99, 3, Ask(1))).session == 2
    for late in (Message(7, 99, 1000, Ask(1)), Message(8, 99, 1000, Ask(1))):
        assert isinstance(us.local(late), Refusal)


@pytest.mark.parametrize(
    ("options", "said", "reason"),
    [
        ({"digest": OTHER}, "another shape", Reason.SPEC),
        ({"codec": "float16"}, "it uses codec 'float16', we use 'float32'", Reason.CODEC),
    ],
)
def test_a_neighbor_that_does_not_fit_is_known_and_refused(options, said, reason):
    us = met(1)
    us.answered(1, told(7, 99, **options))
    assert said in us.links[1].fault
    assert not us.ready(1)
    assert us.deadline is None  # nothing will change until it connects again
    refusal = us.local(Message(7, 99, 1, Ask(1)))
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.sender) == (reason, 1)
    us.connected(1, 1.0)
    us.due(1.0)
    us.answered(1, told(8, 99))
    assert us.ready(1)


def test_one_that_says_another_shape_later_is_refused_and_ends_nothing():
    us = met(1)
    us.answered(1, told(7, 99))
    refusal = us.local(Message(7, 99, 1, Hello(1, OTHER)))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.SPEC
    assert isinstance(us.local(Message(7, 99, 1, Hello(1, SPEC))), Message)


def test_our_own_endpoint_in_the_list_is_named_and_left_out():
    us = met(1)
    us.answered(1, us.answer(us.due(10.0)[0][1]))
    assert us.links[1].fault == "this is our own endpoint"
    assert isinstance(us.local(Message(99, 99, 1, Ask(1))), Refusal)


def test_one_node_at_two_endpoints_is_one_neighbor():
    us = met(2)
    us.answered(1, told(7, 99))
    us.answered(2, told(7, 99))
    assert us.ready(1)
    assert us.links[2].fault == "the same node as peer 1 of the list"
    assert us.local(Message(7, 99, 1, Ask(1))).sender == 1


def test_a_node_may_move_to_another_endpoint():
    us = met(2)
    us.answered(1, told(7, 99))
    us.disconnected(1)
    us.answered(2, told(7, 99))
    assert us.ready(2)
    assert us.local(Message(7, 99, 1, Ask(1))).sender == 2
    us.connected(1, 1.0)
    us.due(1.0)
    us.answered(1, told(8, 99))  # its place is another's now
    assert us.local(Message(7, 99, 1, Ask(1))).sender == 2
    assert us.local(Message(8, 99, 1, Ask(1))).sender == 1


def test_a_model_is_pushed_only_to_who_takes_one_so_large():
    us = met(2, push_bytes=500)
    us.answered(1, told(7, 99, push_bytes=100))
    us.answered(2, told(8, 99, push_bytes=1000))
    assert (us.takes_bytes(1), us.takes_bytes(2)) == (100, 500)


ids = st.sampled_from([7, 8, 9, 99])
events = st.one_of(
    st.tuples(st.just("connected"), st.integers(1, 3)),
    st.tuples(st.just("disconnected"), st.integers(1, 3)),
    st.tuples(
        st.just("answered"),
        st.integers(1, 3),
        st.builds(
            told, ids, st.just(99), st.integers(0, 1), session=st.integers(0, 2), digest=st.sampled_from([SPEC, OTHER])
        ),
    ),
    st.tuples(st.just("message"), ids, st.integers(0, 2)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(events, max_size=40))
def test_whatever_is_said_an_id_is_one_neighbor_and_sessions_never_go_back(story):
    us, sessions = Meetings(card(99), 3), {1: 0, 2: 0, 3: 0}
    for now, (kind, *rest) in enumerate(story):
        if kind == "message":
            found = us.local(Message(rest[0], 99, rest[1], Offer(1, 1, 1, SPEC)))
            if isinstance(found, Message):
                link = us.links[found.sender]
                assert link.met is not None
                assert (link.met.id, link.met.session) == tuple(rest)
                assert not link.fault
                assert rest[0] != 99
                assert found.session >= sessions[found.sender]
                sessions[found.sender] = found.session
        elif kind == "connected":
            us.connected(rest[0], float(now))
        elif kind == "disconnected":
            us.disconnected(rest[0])
        else:
            us.answered(*rest)
        us.due(float(now))
        ready = [link.met.id for n, link in us.links.items() if us.ready(n) and link.up]
        assert len(ready) == len(set(ready))
        assert 99 not in ready
        assert us.wire(Message(0, 1, 1, Ask(1))).sender == 99
