"""How many bytes a header takes on the wire, without writing it: what `wire.encode` would give, at a tenth of its cost.

It is a msgpack map of known keys, whose values are of fixed length but for the whole numbers.
"""

from dataclasses import fields, replace
from functools import cache
from typing import Any

from gossipnet.events import Broadcast
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
    """`header_bytes` of one offer after the other: of those of one round it is worked out once."""

    def __init__(self, payload: Payload) -> None:
        self._payload = payload
        self._last = (-1, -1, -1, -1)
        self._rest = 0  # bytes of the last header without its sender and receiver

    def offer(self, sent: Broadcast) -> int:
        """The bytes of such an Offer's header, without its receiver."""
        own = sent.snapshot
        key = own.round, own.age, own.samples, sent.session
        if key != self._last:
            self._last = key
            self._rest = header_bytes(replace(sent.to(0).message, sender=0), self._payload) - 2
        return self._rest + count_bytes(sent.sender)


@cache
def _shape(kind: Any, codec: str) -> tuple[int, tuple[str, ...]]:
    """What a header of that kind takes beside its whole numbers, and the names of those in its body."""
    names = tuple(f.name for f in fields(kind) if f.type is int)
    values: dict[str, Any] = {f.name: 0 if f.type is int else bytes(8) for f in fields(kind)}
    if kind is Offer:
        values["payload"] = Payload(codec, 0, bytes(8))
    n_counts = 3 + len(names) + (kind is Offer)  # of one byte each here: all are 0
    return len(encode(Message(0, 0, 0, kind(**values)), TOKEN)) - n_counts, names
