"""The test is libzmq here: it accepts connections, reads from them, and tells the door what came out."""

import contextlib
import os
import socket
from typing import NamedTuple

import pytest

from gossipnet.live.door import FRAME_BYTES, MOST_REFUSED, MOST_STRANGERS, STRANGER_S, Door
from gossipnet.wire import Reason

MOST = 10_000  # bytes of a neighbor's largest message
QUEUE = 8


class Listener(NamedTuple):
    socket: socket.socket
    stack: contextlib.ExitStack


@pytest.fixture
def listener():
    with contextlib.ExitStack() as stack:
        yield Listener(stack.enter_context(socket.create_server(("127.0.0.1", 0))), stack)


def call(listener):
    """(their end, our end) of a new connection."""
    theirs = listener.stack.enter_context(socket.create_connection(listener.socket.getsockname(), timeout=5))
    ours = listener.stack.enter_context(listener.socket.accept()[0])
    return theirs, ours


def take_in(theirs, ours, size):
    """libzmq reads that many bytes, and keeps them."""
    theirs.sendall(bytes(size))
    while size:
        size -= len(ours.recv(size))


def hung_up(theirs):
    theirs.settimeout(0.0)
    try:
        return theirs.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def reasons(door):
    return [refusal.reason for refusal in door.refusals()]


def guest(door, listener, now=0.0, known=False):
    theirs, ours = call(listener)
    door.opened(ours.fileno(), now)
    if known:
        take_in(theirs, ours, 100)
        door.came_out(ours.fileno(), 1, 100, True, now)
    return theirs, ours


@pytest.fixture
def door():
    return Door(MOST, QUEUE, neighbors=2)


def test_a_connection_that_ends_without_a_message_made_no_handshake(door, listener):
    _, ours = guest(door, listener)
    door.closed(ours.fileno())
    door.closed(ours.fileno())
    assert reasons(door) == [Reason.HANDSHAKE]
    assert reasons(door) == []


@pytest.mark.parametrize("valid", [True, False])
def test_one_that_spoke_is_counted_by_what_it_said(door, listener, valid):
    _, ours = guest(door, listener)
    door.came_out(ours.fileno(), 1, 100, valid, 0.0)
    door.closed(ours.fileno())
    assert reasons(door) == []


def test_a_message_may_be_told_of_before_its_connection(door, listener):
    theirs, ours = call(listener)
    take_in(theirs, ours, 50_000)
    door.came_out(ours.fileno(), 1, 50_000, True, 0.0)
    door.opened(ours.fileno(), 0.0)
    door.look(STRANGER_S + 1)
    door.closed(ours.fileno())
    assert reasons(door) == []
    assert not hung_up(theirs)


def test_a_stranger_that_fills_our_memory_is_hung_up_on(door, listener):
    other, _ = guest(door, listener)
    theirs, ours = guest(door, listener)
    take_in(theirs, ours, 4 * MOST)
    door.look(0.25)
    assert reasons(door) == []
    take_in(theirs, ours, 100)
    door.look(0.5)
    assert reasons(door) == [Reason.FLOOD]
    assert hung_up(theirs)
    assert not hung_up(other)
    door.look(0.75)
    door.closed(ours.fileno())
    assert reasons(door) == [], "it is counted once"


def test_strangers_share_their_memory_and_the_greediest_goes_first(door, listener):
    ends = [guest(door, listener) for _ in range(3)]
    for (theirs, ours), size in zip(ends, (MOST, 3 * MOST, MOST), strict=True):
        take_in(theirs, ours, size)
    door.look(0.25)
    assert reasons(door) == [Reason.FLOOD]
    assert [hung_up(theirs) for theirs, _ in ends] == [False, True, False]


def test_a_neighbor_may_have_a_queue_of_models_on_the_way(door, listener):
    theirs, ours = guest(door, listener, known=True)
    take_in(theirs, ours, (QUEUE + 2) * MOST)
    door.look(0.25)
    assert reasons(door) == []
    take_in(theirs, ours, 100)
    door.look(0.5)
    assert reasons(door) == [Reason.FLOOD]
    assert hung_up(theirs)


def test_what_came_out_is_not_stuck(door, listener):
    theirs, ours = guest(door, listener, known=True)
    for i in range(50):
        take_in(theirs, ours, 5 * MOST)
        door.came_out(ours.fileno(), 2, 5 * MOST - 2 * FRAME_BYTES, True, 0.0)
        door.look(0.25 * i)
    assert reasons(door) == []


def test_what_has_not_been_read_is_not_our_memory(door, listener):
    theirs, _ = guest(door, listener)
    theirs.sendall(bytes(5 * MOST))
    door.look(0.25)
    assert reasons(door) == []


def test_small_messages_earn_no_credit(door, listener):
    """A frame's header is reckoned larger than it is; nobody may save that up for a flood."""
    theirs, ours = guest(door, listener, known=True)
    for i in range(100):
        take_in(theirs, ours, 1000 * 3)
        door.came_out(ours.fileno(), 1000, 1000, True, 0.0)
        door.look(0.25 * i)
    take_in(theirs, ours, (QUEUE + 3) * MOST)
    door.look(30.0)
    assert reasons(door) == [Reason.FLOOD]


def test_a_stranger_that_does_not_introduce_itself_has_to_go(door, listener):
    stranger, _ = guest(door, listener)
    babbler, ours = guest(door, listener)
    door.came_out(ours.fileno(), 1, 100, False, 1.0)
    neighbor, _ = guest(door, listener, known=True)
    door.look(STRANGER_S)
    assert reasons(door) == []
    door.look(STRANGER_S + 0.1)
    assert reasons(door) == [Reason.HANDSHAKE, Reason.HANDSHAKE]
    assert hung_up(stranger)
    assert hung_up(babbler)
    assert not hung_up(neighbor)


def test_there_is_room_for_so_many_strangers(door, listener):
    neighbor, _ = guest(door, listener, known=True)
    strangers = [guest(door, listener, now=i)[0] for i in range(MOST_STRANGERS + 2)]
    assert reasons(door) == []
    strangers.append(guest(door, listener, now=1000.0)[0])
    assert reasons(door) == [Reason.HANDSHAKE]
    assert [hung_up(s) for s in strangers] == [True] + [False] * (MOST_STRANGERS + 2)
    assert not hung_up(neighbor)


def test_a_stranger_may_talk_rubbish_for_a_while(door, listener):
    theirs, ours = guest(door, listener)
    for _ in range(MOST_REFUSED):
        door.came_out(ours.fileno(), 1, 10, False, 0.0)
    assert reasons(door) == []
    door.came_out(ours.fileno(), 1, 10, False, 0.0)
    door.came_out(ours.fileno(), 1, 10, False, 0.0)
    assert reasons(door) == [Reason.FLOOD]
    assert hung_up(theirs)


def test_a_neighbor_is_not_hung_up_on_for_what_is_refused(door, listener):
    theirs, ours = guest(door, listener, known=True)
    for _ in range(10 * MOST_REFUSED):
        door.came_out(ours.fileno(), 1, 10, False, 0.0)
    assert reasons(door) == []
    assert not hung_up(theirs)


def test_a_descriptor_that_is_something_else_by_now_is_left_alone(door, listener):
    theirs, ours = guest(door, listener)
    take_in(theirs, ours, 5 * MOST)
    number = ours.fileno()
    ours.detach()
    other, second = call(listener)
    os.dup2(second.fileno(), number)
    take_in(other, second, 5 * MOST)
    door.look(STRANGER_S + 1)
    assert not hung_up(other)
    assert reasons(door) == [Reason.HANDSHAKE]
    os.close(number)


def test_a_descriptor_may_come_again(door, listener):
    _, ours = guest(door, listener)
    number = ours.detach()
    door.closed(number)
    theirs, second = call(listener)
    os.dup2(second.fileno(), number)
    door.opened(number, 20.0)
    door.look(20.0)
    assert reasons(door) == [Reason.HANDSHAKE]
    assert not hung_up(theirs)
    os.close(number)


def test_ipc_tells_no_bytes(door):
    theirs, ours = socket.socketpair()
    with theirs, ours:
        door.opened(ours.fileno(), 0.0)
        for _ in range(10):
            take_in(theirs, ours, MOST)
        door.came_out(ours.fileno(), 1, 10, True, 0.0)
        door.look(0.25)
        assert reasons(door) == []
