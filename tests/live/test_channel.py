import os
import select
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.live.channel import Channel, channel_pair

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MAPS = st.dictionaries(st.text(min_size=1, max_size=8), VALUES, max_size=4)


@pytest.fixture
def pair():
    ours, theirs = channel_pair()
    theirs = Channel(theirs)
    yield ours, theirs
    ours.close()
    theirs.close()


@given(st.lists(MAPS, max_size=5))
def test_what_is_sent_comes_in_in_order(maps):
    ours, end = channel_pair()
    theirs = Channel(end)
    for fields in maps:
        ours.send(**fields)
    assert theirs.receive() == maps
    ours.close()
    theirs.close()


def test_nothing_there_is_no_wait(pair):
    assert pair[1].receive() == []
    assert not pair[1].closed


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_map_in_two_parts_is_one_map(cut):
    raw, end = socket.socketpair()
    whole = b"\x0a\0\0\0\x81\xa4long\xa3yes"
    assert len(whole) == 15 - 1
    theirs = Channel(end)
    raw.sendall(whole[:cut])
    assert theirs.receive() == []
    raw.sendall(whole[cut:])
    assert theirs.receive() == [{"long": "yes"}]
    raw.close()
    theirs.close()


def test_after_one_map_a_selector_still_tells_of_the_next(pair):
    """A node waits for its order, then for commands: one that came with the order must not be held back."""
    ours, theirs = pair
    ours.send(do="node", more="x" * 100_000)
    ours.send(stop=True)
    assert theirs.receive_one()["do"] == "node"
    assert select.select([theirs], [], [], 0)[0] == [theirs]
    assert theirs.receive() == [{"stop": True}]
    assert not select.select([theirs], [], [], 0)[0]


def test_the_end_comes_after_what_was_sent(pair):
    ours, theirs = pair
    ours.send(last=1)
    ours.close()
    assert theirs.receive() == [{"last": 1}]
    assert theirs.closed
    assert theirs.receive() == []
    assert theirs.receive_one() is None


def test_an_end_with_unread_messages_is_an_end_too(pair):
    """The system says that the connection was reset."""
    ours, theirs = pair
    theirs.send(unread=True)
    ours.close()
    assert theirs.receive_one() is None
    assert theirs.closed


def test_an_end_where_a_descriptor_was_awaited(pair):
    ours, theirs = pair
    theirs.send(unread=True)
    ours.close()
    assert theirs.receive_descriptor() == (None, None)
    assert theirs.closed


def test_sending_to_nobody_is_noted(pair):
    ours, theirs = pair
    theirs.close()
    ours.send(lost=True)
    assert ours.closed


def test_descriptors_come_with_their_maps(pair):
    ours, theirs = pair
    pipes = [os.pipe() for _ in range(3)]
    for i, (read, _) in enumerate(pipes):
        ours.send_descriptor(read, number=i)
    ours.send(number=3)
    for i, (read, write) in enumerate(pipes):
        fields, descriptor = theirs.receive_descriptor()
        os.write(write, b"%d" % i)
        assert (fields, os.read(descriptor, 9)) == ({"number": i}, b"%d" % i)
        for end in (read, write, descriptor):
            os.close(end)
    assert theirs.receive_descriptor() == ({"number": 3}, None)
