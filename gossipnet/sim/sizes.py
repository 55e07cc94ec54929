"""How many bytes a header takes on the wire, without writing it: what `wire.encode` would give, at a tenth of its cost.

It is a msgpack map of known keys, whose values are of fixed length but for the whole numbers.
"""

from dataclasses import fields
from functools import cache
from typing import Any

from gossipnet.wire import Message, Offer, Payload, encode

TOKEN = b"simulate"  # as long as any swarm's


def count_bytes(value: int) -> int:
    """Bytes of a whole number >= 0 in msgpack."""
    if value < 0x80:
        return 1
    if value < 0x10000:
        return 2 if value < 0x100 else 3
    return 5 if value < 0x100000000 else 9


def header_bytes(message: Message, payload: Payload | None = None) -> int:
    """The length of the header of `message`; an Offer goes with the `payload` that it has on the wire."""
    body = message.body
    kind: Any = type(body)
    fixed, names = _shape(kind, payload.codec if payload else "")
    total = fixed + count_bytes(message.sender) + count_bytes(message.receiver) + count_bytes(message.session)
    for name in names:
        total += count_bytes(getattr(body, name))
    return total + count_bytes(payload.size) if payload else total


class Headers:
    """`header_bytes` of one message after the other: of a body to many receivers it is worked out once."""

    def __init__(self) -> None:
        self._last: tuple[Any, ...] = (None, 0, 0, None)
        self._rest = 0  # bytes of the last header without its receiver

    def size(self, message: Message, payload: Payload | None = None) -> int:
        body, sender, session, before = self._last
        if message.body is not body or payload is not before or (message.sender, message.session) != (sender, session):
            self._last = message.body, message.sender, message.session, payload
            self._rest = header_bytes(message, payload) - count_bytes(message.receiver)
        return self._rest + count_bytes(message.receiver)


@cache
def _shape(kind: Any, codec: str) -> tuple[int, tuple[str, ...]]:
    """What a header of that kind takes beside its whole numbers, and the names of those in its body."""
    names = tuple(f.name for f in fields(kind) if f.type is int)
    values: dict[str, Any] = {f.name: 0 if f.type is int else bytes(8) for f in fields(kind)}
    if kind is Offer:
        values["payload"] = Payload(codec, 0, bytes(8))
    n_counts = 3 + len(names) + (kind is Offer)  # of one byte each here: all are 0
    return len(encode(Message(0, 0, 0, kind(**values)), TOKEN)) - n_counts, names
