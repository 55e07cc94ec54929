"""What the simulator and its worker processes share: a channel of small messages, and memory for models.

Messages are msgpack, each behind its length. The memory is a file without a name, of which only the pages that were
written to exist; its first page is a flag: stop training after the step under way.
"""

import mmap
import os
import socket
import struct
import tempfile
from typing import Any

import msgpack
import torch
from torch import Tensor

_HEAD = struct.Struct("<I")
FLAG_BYTES = mmap.PAGESIZE


class Channel:
    """One end of a connection. The simulator's end never waits to send: what the socket does not take is kept."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._in = bytearray()
        self._out = bytearray()
        self.closed = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Any) -> None:
        """Now or, if the socket is full, with a later `flush`."""
        data = msgpack.packb(message)
        self._out += _HEAD.pack(len(data)) + data
        self.flush()

    def flush(self) -> bool:
        """Send what was kept, as far as the socket takes it; whether anything is left."""
        while self._out and not self.closed:
            try:
                del self._out[: self._socket.send(self._out)]
            except BlockingIOError:
                return True
            except OSError:
                self.closed = True
        return False

    def receive(self) -> list[Any]:
        """What has arrived; waits for some of it if the socket is a blocking one. `closed` if the other end is gone."""
        try:
            data = self._socket.recv(1 << 20)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        self.closed = self.closed or not data
        self._in += data
        found, at = [], 0
        while len(self._in) - at >= _HEAD.size:
            end = at + _HEAD.size + _HEAD.unpack_from(self._in, at)[0]
            if end > len(self._in):
                break
            found.append(msgpack.unpackb(self._in[at + _HEAD.size : end]))
            at = end
        del self._in[:at]
        return found

    def receive_one(self) -> Any:
        """The next message, on a blocking socket; None if the other end is gone."""
        while not self.closed:
            for message in self.receive():
                return message
        return None

    def close(self) -> None:
        self.closed = True
        self._socket.close()


class SharedModels:
    """Models (size, d) float32 in memory of several processes, and the flag."""

    def __init__(self, descriptor: int, size: int, numel: int) -> None:
        self._memory = mmap.mmap(descriptor, FLAG_BYTES + 4 * size * numel)
        self.rows: Tensor = torch.frombuffer(
            self._memory, dtype=torch.float32, offset=FLAG_BYTES, count=size * numel
        ).view(size, numel)

    @property
    def stop(self) -> bool:
        return bool(self._memory[0])

    def ask_to_stop(self) -> None:
        self._memory[0] = 1


def nameless_file(size: int, numel: int) -> int:
    """A descriptor of a file for `SharedModels`; in memory, where the system can."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("gossipnet-models")
    else:
        descriptor, name = tempfile.mkstemp(prefix="gossipnet-models-")
        os.unlink(name)
    os.ftruncate(descriptor, FLAG_BYTES + 4 * size * numel)
    return descriptor
