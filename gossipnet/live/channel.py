"""Messages between a launcher and the processes that it started: msgpack maps over a Unix socket pair.

Both ends are ours; nothing of a peer comes this way. A map may carry bytes (a sample of a vector) beside JSON values.
"""

import socket
import struct
from typing import Any

import msgpack

_LENGTH = struct.Struct("<I")
_BUFFER_BYTES = 1 << 22  # a few samples of a vector: a node hardly ever waits for its launcher


class Channel:
    """One end. `receive` never blocks; `send` blocks while the other end is busy."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._held = bytearray()
        self.closed = False  # the other end is gone

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, **fields: Any) -> None:
        """Send one map. If the other end is gone, `closed` becomes true and nothing else happens."""
        body = msgpack.packb(fields)
        try:
            self._socket.setblocking(True)
            self._socket.sendall(_LENGTH.pack(len(body)) + body)
        except OSError:
            self.closed = True

    def send_descriptor(self, descriptor: int, **fields: Any) -> None:
        """Send one map and a file descriptor with it."""
        body = msgpack.packb(fields)
        self._socket.setblocking(True)
        socket.send_fds(self._socket, [_LENGTH.pack(len(body)) + body], [descriptor])

    def receive(self) -> list[dict[str, Any]]:
        """The maps that have come in, in order."""
        self._socket.setblocking(False)
        while not self.closed:
            try:
                part = self._socket.recv(1 << 20)
            except BlockingIOError:
                break
            except OSError:
                part = b""
            self.closed = not part
            self._held += part
        return self._whole()

    def receive_one(self) -> dict[str, Any] | None:
        """Wait for one map; None if the other end is gone.

        No byte of the next one is read: a selector tells of what is in the socket, not of what is held here.
        """
        self._socket.setblocking(True)
        while not (found := self._whole(most=1)):
            try:
                part = self._socket.recv(self._missing())
            except ConnectionResetError:  # gone, and has not read all that we sent
                part = b""
            if not part:
                self.closed = True
                return None
            self._held += part
        return found[0]

    def receive_descriptor(self) -> tuple[dict[str, Any] | None, int | None]:
        """Wait for one map that may come with a file descriptor; (None, None) if the other end is gone."""
        self._socket.setblocking(True)
        descriptor = None
        while not (found := self._whole(most=1)):
            try:
                part, descriptors, _, _ = socket.recv_fds(self._socket, self._missing(), 1)
            except ConnectionResetError:
                part, descriptors = b"", []
            descriptor = descriptors[0] if descriptors else descriptor
            if not part:
                self.closed = True
                return None, None
            self._held += part
        return found[0], descriptor

    def close(self) -> None:
        self._socket.close()

    def _missing(self) -> int:
        """How many bytes of the map that comes next are not here yet."""
        size = _LENGTH.unpack_from(self._held)[0] if len(self._held) >= _LENGTH.size else 0
        return int(_LENGTH.size + size - len(self._held))

    def _whole(self, most: int = 1 << 30) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while len(found) < most and len(self._held) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._held)
            end = _LENGTH.size + size
            if len(self._held) < end:
                break
            found.append(msgpack.unpackb(self._held[_LENGTH.size : end], strict_map_key=False))
            del self._held[:end]
        return found


def channel_pair() -> tuple[Channel, socket.socket]:
    """Our end, and the one to give away."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
    return Channel(ours), theirs
