"""A neighbor's state, and why it is not up."""

import pytest

from gossipnet.live.meeting import Card, Meetings
from gossipnet.live.status import Neighbor, Status, state_of
from gossipnet.wire import Iam, Message


def meetings(connected=True, answer=None):
    us = Meetings(Card(99, 1, b"our spec", "float32", 1000), 1)
    if connected:
        us.connected(1, 0.0)
        us.due(0.0)
    if answer is not None:
        us.answered(1, Message(7, 99, 1, answer))
    return us


def fits(known):
    return Iam(b"our spec", "float32", 1000, known)


@pytest.mark.parametrize(
    ("us", "up", "plugged", "state", "why"),
    [
        (meetings(answer=fits(1)), True, True, "up", ""),
        (meetings(connected=False), False, True, "down", "nobody listens there yet"),
        (meetings(), False, True, "down", "it does not answer"),
        (meetings(answer=fits(0)), False, True, "down", "does not list our endpoint"),
        (meetings(answer=Iam(b"its spec", "float32", 1, 1)), False, True, "refused", "another shape"),
        (meetings(answer=fits(1)), False, False, "down", "we are paused"),
    ],
)
def test_the_state_of_a_neighbor(us, up, plugged, state, why):
    found, said = state_of(us, 1, up, plugged)
    assert found == state
    assert why in said
    assert bool(said) == (state != "up")


def test_one_that_went_is_gone():
    us = meetings(answer=fits(1))
    us.disconnected(1)
    assert state_of(us, 1, True, True) == ("down", "it is gone")  # for a second the node takes it to be up


def test_it_reads_as_a_few_lines():
    up = Neighbor("tcp://b:1", "up", "", 5, 2, None)
    away = Neighbor("tcp://c:1", "down", "it is gone", 0, None, None)
    status = Status("tcp://a:1", True, False, 7, 140, 130, 3, 4, (up, away), {"stale": 2}, 1, 12345, 9)
    first, *rest = str(status).splitlines()
    assert first == "listening on tcp://a:1, round 7, 130 steps (age 140), 3 merges of 4 models, 12,345 bytes sent"
    assert rest[:3] == ["  tcp://b:1 up, 2 rounds behind", "  tcp://c:1 down: it is gone", "  refused: 2 stale"]
    assert rest[3].startswith("  1 strangers knock")
