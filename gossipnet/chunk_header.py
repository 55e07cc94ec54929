"""The headers of chunks, fast: a large model takes many, and all of one model are alike but for two fields.

What is written is what `wire.encode` writes. What is read is what `wire.decode` reads: a header is compared with one
that passed all checks there, byte by byte up to the index, and the few bytes after that have one form only. Anything
else goes to `wire.decode` itself.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgpack

from gossipnet.wire import Chunk, Message, Refusal, decode, encode

_INDEX, _MODEL, _CHECKSUM = b"\xa5index", b"\xa5model\xc4\x08", b"\xa8checksum\xc4\x08"  # as msgpack writes them
_MODEL_AT, _CHECKSUM_AT, _TAIL = -35, -19, 35  # from the end of a header; all after the index
_MOST = 160  # bytes of a header that is tried: with the longest numbers it has 131
_ALIKE = 256  # models that come in at the same time; beyond, their headers are read the long way


class _Known(NamedTuple):
    sender: int
    receiver: int
    session: int
    round: int


class ChunkReader:
    """`decode` for all frames of one swarm; it remembers how the chunk headers of a model begin."""

    def __init__(self, swarm: bytes) -> None:
        self._swarm = swarm
        self._known: dict[bytes, _Known] = {}

    def decode(self, frames: Sequence[Any], receiver: int) -> Message | Refusal:
        """As `wire.decode`."""
        return self._quickly(frames, receiver) or self._slowly(frames, receiver)

    def _quickly(self, frames: Sequence[Any], receiver: int) -> Message | None:
        if len(frames) != 2 or len(frames[0]) > _MOST:
            return None
        header = bytes(frames[0])
        begin = header.find(_INDEX) + len(_INDEX)
        known = self._known.get(header[:begin])
        if known is None or known.receiver != receiver:
            return None
        index = _number(header[begin:-_TAIL])
        named = header[_MODEL_AT : _MODEL_AT + 8] == _MODEL and header[_CHECKSUM_AT : _CHECKSUM_AT + 11] == _CHECKSUM
        if index is None or not named:
            return None
        chunk = Chunk(known.round, index, header[_MODEL_AT + 8 : _CHECKSUM_AT], header[-8:])
        return Message(known.sender, receiver, known.session, chunk)

    def _slowly(self, frames: Sequence[Any], receiver: int) -> Message | Refusal:
        message = decode(frames, self._swarm, receiver)
        if isinstance(message, Message) and isinstance(message.body, Chunk):
            if len(self._known) >= _ALIKE:
                self._known.clear()
            known = _Known(message.sender, receiver, message.session, message.body.round)
            self._known[_beginning(message, self._swarm)] = known
        return message


class ChunkWriter:
    """The headers of one model's chunks. message: the first of them."""

    def __init__(self, message: Message, swarm: bytes) -> None:
        assert isinstance(message.body, Chunk)
        self._beginning = _beginning(message, swarm)
        self._middle = _MODEL + message.body.model + _CHECKSUM

    def header(self, chunk: Chunk) -> bytes:
        """As `wire.encode`, of a message like the first with another index and checksum."""
        return b"".join((self._beginning, msgpack.packb(chunk.index), self._middle, chunk.checksum))


def _beginning(message: Message, swarm: bytes) -> bytes:
    header = encode(message, swarm)
    assert isinstance(message.body, Chunk)
    return header[: -_TAIL - len(msgpack.packb(message.body.index))]


def _number(packed: bytes) -> int | None:
    """What msgpack makes of these bytes if it is a number of at most 32 bits; None for anything else."""
    if len(packed) == 1 and packed[0] < 0x80:
        return packed[0]
    if (len(packed), packed[:1]) in ((2, b"\xcc"), (3, b"\xcd"), (5, b"\xce")):
        return int.from_bytes(packed[1:], "big")
    return None
