"""A client that speaks just enough ZMTP 3.0 (mechanism NULL) to say what no honest library would."""

import socket
import struct
import time

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
MORE, LONG, COMMAND = 1, 2, 4


def frame(body: bytes, flags: int = 0) -> bytes:
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return bytes([flags | LONG]) + struct.pack(">Q", len(body)) + body


def ready(kind: bytes = b"DEALER") -> bytes:
    properties = b"\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind
    return frame(b"\x05READY" + properties, COMMAND)


def connect(port: int, timeout_s: float = 10.0) -> socket.socket:
    """A TCP connection to that port of this machine, as soon as somebody listens there."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def shake_hands(port: int) -> socket.socket:
    """A connection past its handshake: the other side takes it for a neighbor's DEALER."""
    end = connect(port)
    end.sendall(GREETING)
    _receive(end, 64)
    end.sendall(ready())
    flags, size = _receive(end, 2)
    assert flags == COMMAND, "the other side closes the handshake with its own READY"
    _receive(end, size)
    return end


def send_without_end(end: socket.socket, body: bytes, until_s: float) -> int:
    """One message of frames `body` that never ends; how many bytes of it the other side took before it hung up."""
    part = frame(body, MORE)
    burst = part * max(1, (1 << 16) // len(part))
    sent = 0
    end.settimeout(0.5)
    while time.monotonic() < until_s:
        try:
            sent += end.send(burst[sent % len(part) :])
        except TimeoutError:
            continue
        except OSError:
            break
    return sent


def _receive(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = end.recv(size - len(data))
        if not part:
            raise ConnectionError("the other side hung up")
        data += part
    return data
