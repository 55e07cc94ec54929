"""The sockets of one node: a ROUTER that all neighbors send to, and a DEALER to each of them. The only file with zmq.

Everything goes from a node's DEALER to its neighbor's ROUTER; only the answer to the question who is there comes back
the same way. So each neighbor has its own queue, its own back-pressure and its own `close`. All sockets belong to the
thread that made them.

What the options are for (numbers measured on libzmq 4.3.5):
- High-water marks count whole messages, so they are small; IMMEDIATE keeps messages out of links that do not exist.
- A connection that ends while the queue of what came in is full ends the whole process at the next heartbeat, by an
  assertion of libzmq (`!_io_error`). A node that goes on after a stop finds such connections: so that queue holds what
  the system does.
- MAXMSGSIZE is checked against the declared length of a frame, before memory is taken for it.
- HANDSHAKE_IVL: idle strangers hold a file descriptor for seconds, not for half a minute.
- HEARTBEAT_*: a peer whose machine vanished or whose process is stopped is noticed; libzmq's own thread answers,
  however busy the training is.
- COPY_THRESHOLD (of pyzmq): small models are copied. To send without a copy takes one more thread and one more
  context in every process, which the chunks of large models are worth.
- No routing id is ever set: it is no identity, and reconnecting under an old one blocks a ROUTER.

- ZAP_DOMAIN, though nobody answers to it: old protocol versions (1.0, 2.0), which any garbage can pass for, are
  refused; only they could be rid of a handshake.

Nothing in libzmq bounds a message of endless frames; `door` does.
"""

import contextlib
import os
import stat
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from gossipnet.errors import BadInput
from gossipnet.live.door import Door
from gossipnet.wire import HEADER_BYTES

MOST_FRAMES = 2  # of one message: header and payload
QUEUE = 64  # messages that wait to be read, of each link, at least; none is larger than one model or chunk
SYSTEM_BYTES = 32 << 20  # and so many that these fit, which is what the system may have taken in of one connection
SEND_QUEUE = 48  # that wait to leave: libzmq lets go of them by the half, and a window of chunks must always fit
COPIED = 2**19 + 1  # payloads smaller than this are: all that `exchange.push_bytes` lets be pushed unless it is raised
LOCAL_BYTES = 1 << 19  # twice that is what the system may hold of an ipc link; by its default, a fifth of a chunk
HANDSHAKE_MS = 3_000
HEARTBEAT_MS = 1_000
HEARTBEAT_TIMEOUT_MS = 5_000  # well above what a saturated machine delays libzmq's thread
RECONNECT_MS, RECONNECT_MOST_MS = 50, 2_000
LINGER_MS = 1_000  # for the last goodbye; a dead neighbor holds us no longer

Poller = zmq.Poller  # waits for sockets and plain descriptors alike
READABLE = zmq.POLLIN

_AT_ONCE, _FIRST = int(zmq.DONTWAIT), int(zmq.DONTWAIT | zmq.SNDMORE)  # as numbers: zmq's own flags are slow to join
_UP = zmq.EVENT_HANDSHAKE_SUCCEEDED
_DOWN = zmq.EVENT_DISCONNECTED


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message that has come in. `frames` is None if there are too many of them to be one of ours."""

    frames: list[memoryview] | None
    descriptor: int  # of the connection that it came from; -1 if that is not known
    n_frames: int
    size: int  # bytes in all
    route: bytes = b""  # for `answer`: names the connection, not who is at its other end


class Transport:
    """The open sockets of one node. `peers` maps each neighbor to its endpoint; `payload_bytes` is the largest payload.

    Raises BadInput if `listen` cannot be bound.
    """

    def __init__(self, listen: str, peers: Mapping[int, str], payload_bytes: int) -> None:
        self.listen = listen
        self.peers = dict(peers)
        self.bytes_sent = 0
        self.messages_sent = 0
        self._most = max(payload_bytes, HEADER_BYTES) + HEADER_BYTES
        self._up: set[int] = set()
        self._queue = max(QUEUE, SYSTEM_BYTES // self._most)
        self.door = Door(self._most, self._queue, len(self.peers))
        self._context = zmq.Context()
        self._router = self._socket(zmq.ROUTER)
        self._router.zap_domain = b"gossipnet"
        self._doorbell = self._router.get_monitor_socket(zmq.EVENT_ACCEPTED | _DOWN)
        self._bind()
        self.endpoint: str = self._router.last_endpoint.decode()  # `listen`, with the port that it came to
        self._dealers = {peer: self._socket(zmq.DEALER) for peer in self.peers}
        self._monitors = {}
        for peer, dealer in self._dealers.items():
            self._monitors[peer] = dealer.get_monitor_socket(_UP | _DOWN)
            if self.peers[peer].startswith("ipc:"):
                dealer.sndbuf = LOCAL_BYTES
            dealer.connect(self.peers[peer])

    def _socket(self, kind: int) -> Any:
        socket = self._context.socket(kind)
        socket.sndhwm, socket.rcvhwm = SEND_QUEUE, self._queue
        socket.linger = 0
        socket.maxmsgsize = self._most
        socket.handshake_ivl = HANDSHAKE_MS
        socket.heartbeat_ivl = HEARTBEAT_MS
        socket.heartbeat_timeout = HEARTBEAT_TIMEOUT_MS
        socket.heartbeat_ttl = HEARTBEAT_TIMEOUT_MS
        socket.ipv6 = 1
        if kind == zmq.DEALER:
            socket.maxmsgsize = HEADER_BYTES  # only answers come in here
            socket.immediate = 1
            socket.copy_threshold = COPIED
            socket.reconnect_ivl = RECONNECT_MS
            socket.reconnect_ivl_max = RECONNECT_MOST_MS
            socket.connect_timeout = 3_000
            socket.tcp_maxrt = 10_000
        return socket

    def _bind(self) -> None:
        path = self.listen.removeprefix("ipc://")
        try:
            # libzmq takes over a socket file without asking, a live one too; and ours may be left from before a cut
            if path != self.listen and os.path.exists(path) and not stat.S_ISSOCK(os.stat(path).st_mode):
                raise BadInput(f"cannot listen on {self.listen}: a file is there that is no socket; remove it")
            self._router.bind(self.listen)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise BadInput(f"cannot listen on {self.listen}: {error.strerror}; {_fix(error)}") from error

    def register(self, poller: zmq.Poller) -> None:
        """Let `poller` wait for whatever `links`, `attend` and `receive` would find."""
        for socket in (self._router, self._doorbell, *self._dealers.values(), *self._monitors.values()):
            poller.register(socket, zmq.POLLIN)

    def links(self, ready: Container[Any] | None = None) -> Iterator[tuple[int, bool]]:
        """What has changed since the last call: (neighbor, link is up). `ready`: what the poller found."""
        for peer, monitor in self._monitors.items():
            if ready is not None and monitor not in ready:
                continue  # to ask costs more than to know
            for event in _events(monitor):
                up = event["event"] == _UP
                if up != (peer in self._up):
                    (self._up.add if up else self._up.discard)(peer)
                    yield peer, up

    def attend(self, now: float, ready: Container[Any] | None = None) -> None:
        """Tell the door who has come and gone since the last call."""
        if ready is not None and self._doorbell not in ready:
            return
        for event in _events(self._doorbell):
            if event["event"] == zmq.EVENT_ACCEPTED:
                self.door.opened(int(event["value"]), now)  # pyzmq gives it as one of its flags
            else:
                self.door.closed(int(event["value"]))

    def send(self, peer: int, header: bytes, payload: memoryview | None) -> bool:
        """Hand a message to the link; False if there is none, or its queue is full.

        Nobody may write to a payload of `COPIED` bytes or more until it has left.
        """
        try:
            if payload is None:
                self._dealers[peer].send(header, _AT_ONCE)
            else:
                self._dealers[peer].send(header, _FIRST)
                self._dealers[peer].send(payload, _AT_ONCE, copy=False)
        except zmq.Again:
            return False
        self.bytes_sent += len(header) + (payload.nbytes if payload is not None else 0)
        self.messages_sent += 1
        return True

    def receive(self, most: int) -> Iterator[Arrival]:
        """Up to `most` messages that have come in."""
        for _ in range(most):
            try:
                frame = self._router.recv(_AT_ONCE, copy=False)  # the routing id: no identity
            except zmq.Again:
                return
            yield self._rest(frame)

    def answer(self, route: bytes, header: bytes) -> None:
        """Send a header back on the connection of an Arrival; lost if that is gone or its queue is full."""
        with contextlib.suppress(zmq.ZMQError):
            self._router.send_multipart((route, header), zmq.DONTWAIT)

    def answers(self, most: int, ready: Container[Any] | None = None) -> Iterator[tuple[int, list[memoryview]]]:
        """(neighbor, frames) of what came back on our own connections, up to `most` from each."""
        for peer, dealer in self._dealers.items():
            if ready is not None and dealer not in ready:
                continue
            for _ in range(most):
                try:
                    frame = dealer.recv(_AT_ONCE, copy=False)
                except zmq.Again:
                    break
                frames = [frame.buffer]
                while frame.more:
                    frame = dealer.recv(_AT_ONCE, copy=False)
                    frames = [*frames, frame.buffer][: MOST_FRAMES + 1]  # too many are refused, and not kept
                yield peer, frames

    def _rest(self, frame: Any) -> Arrival:
        """The message that begins with the routing id `frame`; frames that no message of ours has are not kept."""
        route = frame.bytes
        frames: list[memoryview] = []
        count = size = 0
        while frame.more:
            frame = self._router.recv(_AT_ONCE, copy=False)
            count += 1
            size += len(frame)
            if count <= MOST_FRAMES:
                frames.append(frame.buffer)
        return Arrival(frames if count <= MOST_FRAMES else None, _origin(frame), count, size, route)

    def close(self, linger_ms: int = LINGER_MS) -> None:
        """Close everything; what was sent last gets `linger_ms` to leave."""
        self._close_sockets(linger_ms)
        self._context.destroy(linger=linger_ms)
        if self.listen.startswith("ipc://"):
            with contextlib.suppress(OSError):
                os.unlink(self.listen.removeprefix("ipc://"))

    def _close_sockets(self, linger_ms: int) -> None:
        self._router.disable_monitor()
        for peer, dealer in self._dealers.items():
            dealer.disable_monitor()
            dealer.close(linger_ms if peer in self._up else 0)
        self._router.close(0)


def _origin(frame: Any) -> int:
    try:
        descriptor: int = frame.get(zmq.SRCFD)
    except zmq.ZMQError:  # not a frame off a connection
        return -1
    return descriptor


def _events(monitor: Any) -> Iterator[Mapping[str, Any]]:
    while True:
        try:
            yield recv_monitor_message(monitor, zmq.DONTWAIT)
        except zmq.Again:
            return


def _fix(error: zmq.ZMQError) -> str:
    if error.errno == zmq.EADDRINUSE:
        return "the port is in use, choose another with --set exchange.port="
    if error.errno == zmq.EADDRNOTAVAIL:
        return "the host is no address of this machine, set exchange.host"
    return "see exchange.transport, exchange.host and exchange.port"


def versions() -> dict[str, str | bool]:
    """What `gossipnet doctor` says of this transport."""
    return {"pyzmq": zmq.pyzmq_version(), "libzmq": zmq.zmq_version(), "curve": bool(zmq.has("curve"))}
