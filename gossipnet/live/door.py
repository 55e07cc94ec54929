"""The connections that others have made to our port: who has said something true, and who only fills our memory.

libzmq bounds the size of a frame and the number of messages in a queue, but not the number of frames: a message that
never ends is collected out of our sight until memory ends. The system knows, though, how many bytes each connection
took in, and we know how many came out of it in messages. The difference is stuck in between. Whoever has too much
stuck there is hung up on, alone; no honest neighbor notices.

A guest becomes known by a message with the token of the swarm, which a neighbor sends as soon as it is connected.
Until then it is a stranger: there is room for a few, for some seconds, and little memory for all of them together.

Only Linux tells the bytes of a connection, and only of TCP. An ipc socket is a file that nobody else may open.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gossipnet.live.memory import return_free_memory
from gossipnet.wire import Reason, Refusal

MOST_STRANGERS = 64  # beside the neighbors, who are strangers for a moment
STRANGER_S = 10.0
MOST_REFUSED = 64  # messages of a stranger, before it is hung up on: reading them takes time from the training
FRAME_BYTES = 9  # that a frame's header takes, at most
HEARTBEAT_BYTES_PER_S = 32.0  # twice what comes in on an idle connection
_AT_ONCE = struct.pack("ii", 1, 0)  # when libzmq closes it, nothing of it stays in the system
_BYTES_RECEIVED = struct.Struct("=Q")
_BYTES_RECEIVED_AT = 128  # in Linux's struct tcp_info


@dataclass(slots=True, eq=False)
class Guest:
    """One connection to our port."""

    descriptor: int  # libzmq's; its number may be another connection's by now, its address not
    address: tuple[Any, Any] | None  # of both ends
    since: float
    spoke: bool = False  # a message of it, of any kind, came out
    known: bool = False  # it has sent a valid message
    refused: int = 0
    came_out_bytes: float = 0.0
    over: bool = False  # we have hung up, or it has


class Door:
    """Keeps the list of guests. `most_bytes` is the largest message that a neighbor sends, `queue` how many of them
    may wait in one connection, `neighbors` how many connections are expected."""

    def __init__(self, most_bytes: int, queue: int, neighbors: int) -> None:
        self._stranger_bytes = 4 * most_bytes  # all of them together
        self._known_bytes = (queue + 2) * most_bytes  # each
        self._most_strangers = MOST_STRANGERS + neighbors
        self._guests: dict[int, Guest] = {}
        self._refusals: list[Refusal] = []
        self._looked_at: float | None = None
        self._trim = False

    def opened(self, descriptor: int, now: float) -> None:
        """A connection was accepted. What came out of it may have been told before."""
        guest = self._guests.get(descriptor)
        if guest is None or guest.over or guest.address != _address(descriptor):
            self._guests[descriptor] = Guest(descriptor, _address(descriptor), now)
        strangers = self._strangers()
        if len(strangers) > self._most_strangers:
            self._hang_up(min(strangers, key=lambda g: g.since), Reason.HANDSHAKE, "too many strangers at once")

    def closed(self, descriptor: int) -> None:
        """A connection has ended."""
        guest = self._guests.pop(descriptor, None)
        if guest is not None and not guest.over and not guest.spoke:
            self._refusals.append(Refusal(Reason.HANDSHAKE, "a connection that spoke no ZMTP"))

    def came_out(self, descriptor: int, frames: int, size: int, valid: bool, now: float) -> None:
        """A message of `frames` with `size` bytes in all came out of a connection, and was `valid` or refused."""
        guest = self._guests.get(descriptor)
        if guest is None:
            guest = self._guests[descriptor] = Guest(descriptor, _address(descriptor), now)
        guest.spoke = True
        guest.known |= valid
        guest.refused += not valid
        guest.came_out_bytes += size + frames * FRAME_BYTES
        if guest.refused > MOST_REFUSED and not guest.known and not guest.over:
            self._hang_up(guest, Reason.FLOOD, f"{guest.refused} messages, none of them valid")

    def refusals(self) -> list[Refusal]:
        """What is to be counted since the last call."""
        found, self._refusals = self._refusals, []
        return found

    def look(self, now: float) -> None:
        """Hang up on those that have outstayed their welcome. To be called a few times a second."""
        past_s = now - self._looked_at if self._looked_at is not None else 0.0
        self._looked_at = now
        stuck = {guest: self._stuck_bytes(guest, past_s) for guest in self._guests.values() if not guest.over}
        if self._trim:  # libzmq has freed by now what the last flood had filled
            self._trim = False
            return_free_memory()
        for guest in self._floods(stuck):
            self._trim = True
            self._hang_up(guest, Reason.FLOOD, f"{stuck[guest]} bytes came in that were no whole message")
        for guest in self._strangers():
            if now - guest.since > STRANGER_S:
                self._hang_up(guest, Reason.HANDSHAKE, "a connection that did not introduce itself")

    def _strangers(self) -> list[Guest]:
        return [guest for guest in self._guests.values() if not guest.known and not guest.over]

    def _floods(self, stuck: dict[Guest, int]) -> Iterable[Guest]:
        strangers = sorted((g for g in stuck if not g.known), key=stuck.__getitem__)
        total = sum(stuck[guest] for guest in strangers)
        while total > self._stranger_bytes:
            total -= stuck[strangers[-1]]
            yield strangers.pop()
        yield from (guest for guest, held in stuck.items() if guest.known and held > self._known_bytes)

    def _stuck_bytes(self, guest: Guest, past_s: float) -> int:
        """What the connection took in and libzmq holds."""
        with _connection(guest) as connection:
            taken_in = _bytes_taken_in(connection) if connection is not None else 0
        # what was credited too much, a larger frame header than there was, is no credit for later
        guest.came_out_bytes = min(taken_in, guest.came_out_bytes + HEARTBEAT_BYTES_PER_S * past_s)
        return int(taken_in - guest.came_out_bytes)

    def _hang_up(self, guest: Guest, reason: Reason, detail: str) -> None:
        guest.over = True
        self._refusals.append(Refusal(reason, detail))
        with _connection(guest) as connection, contextlib.suppress(OSError):
            if connection is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                connection.shutdown(socket.SHUT_RDWR)  # to libzmq it looks as if the other side had hung up


@contextlib.contextmanager
def _connection(guest: Guest) -> Iterator[socket.socket | None]:
    """The guest's connection, to look at; None if it is gone and its descriptor something else's.

    It is a duplicate, so that it stays the same connection while we look.
    """
    connection = None
    try:
        connection = socket.socket(fileno=os.dup(guest.descriptor))
        same = guest.address is not None and (connection.getsockname(), connection.getpeername()) == guest.address
    except OSError:
        same = False
    try:
        yield connection if same else None
    finally:
        if connection is not None:
            connection.close()


def _address(descriptor: int) -> tuple[Any, Any] | None:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            return connection.getsockname(), connection.getpeername()
    except OSError:  # gone already
        return None


def _bytes_taken_in(connection: socket.socket) -> int:
    """How many bytes libzmq has read from a TCP connection; 0 where the system does not tell."""
    if connection.family not in (socket.AF_INET, socket.AF_INET6) or not hasattr(socket, "TCP_INFO"):
        return 0
    import fcntl
    import termios

    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    if len(info) < _BYTES_RECEIVED_AT + _BYTES_RECEIVED.size:
        return 0
    unread = fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(4))
    received: int = _BYTES_RECEIVED.unpack_from(info, _BYTES_RECEIVED_AT)[0]
    return max(0, received - int.from_bytes(unread, "little"))
