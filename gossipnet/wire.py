"""Messages <-> frames. What a peer sends is a header frame; a chunk, and an offer with its model, have a payload frame.

A header is one msgpack map of at most 4 KiB. `decode` looks at its size first, unpacks it under limits, then checks
every field by the table of its kind; there is no field that it does not know and none that it skips. It returns a
`Message` or a `Refusal` and raises nothing, whatever the bytes are: any exception out of it is a bug.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgpack

from gossipnet.value import value

VERSION = 1
HEADER_BYTES = 4096  # no header that we write is over 200 bytes; the rest is room for later versions
MAX_COUNT = 2**48  # of rounds, ages, samples, bytes: far above any run, far below an overflow of int64 or float64
MOST_CHUNKS = 64  # of one Pull
ANYBODY = 0  # the receiver of a Who: its sender does not know yet who is there
LEAST_CHUNK_BYTES, MOST_CHUNK_BYTES = 1 << 10, 1 << 20
_LIMITS = {  # depth is limited by the field table: a value that is a list or a map is refused
    "max_array_len": 0,
    "max_map_len": 32,
    "max_str_len": 128,
    "max_bin_len": 128,
    "max_ext_len": 0,
}


class Reason(StrEnum):
    """Why something that came in was refused. Each refusal is counted under one of these."""

    FRAMES = "frames"  # not one header and at most one payload
    HEADER = "header"  # the header is no map of the fields of its kind
    VERSION = "version"  # another version of this protocol
    SWARM = "swarm"  # a message of another swarm
    RECEIVER = "receiver"  # meant for another node
    STRANGER = "stranger"  # from a node that is no neighbor
    UNEXPECTED = "unexpected"  # a model that this neighbor does not send us, or a chunk that we did not fetch
    SESSION = "session"  # from an earlier life of the neighbor
    SPEC = "spec"  # a model of another architecture
    CODEC = "codec"  # a codec that this swarm does not use
    LENGTH = "length"  # the payload has not the length that both sides know
    CORRUPT = "corrupt"  # a payload or a chunk does not match its checksum
    NOT_FINITE = "not-finite"  # a model with nan or inf
    STALE = "stale"  # a round that was merged already, or older than max_age
    AHEAD = "ahead"  # further ahead than the inbox is deep
    DUPLICATE = "duplicate"  # a model that is here already
    HANDSHAKE = "handshake"  # bytes on our port that are no ZMTP
    FLOOD = "flood"  # connections were cut because they filled our memory


@value
class Hello:
    """The first message on a link, and the answer to an Ask that cannot be met: where the sender is."""

    round: int  # the round that the sender works on; it has merged all before
    digest: bytes  # of its ModelSpec, 8 bytes


@value
class Payload:
    """A model as bytes: in the second frame of its offer, or to be fetched in chunks."""

    codec: str
    size: int  # bytes
    checksum: bytes  # of the checksums of its blocks (see `transfer`), 8 bytes: it finds corruption, not forgery
    inline: bool = True  # in the second frame; not a field of the header


@value
class Offer:
    """A model. The node makes it without `payload`; where bytes travel the driver adds it."""

    round: int
    age: int  # local steps folded in
    samples: int  # training samples of the sender
    digest: bytes  # of the ModelSpec, 8 bytes
    payload: Payload | None = None


@value
class Ask:
    """Send me your model of this round (again), and a Hello; round 0 asks for the Hello alone."""

    round: int


@value
class Pull:
    """Send me these chunks of the model that you offered for this round."""

    round: int
    first: int  # index of the first chunk
    count: int  # how many, at most MOST_CHUNKS
    chunk_bytes: int  # length of each but the last: what the receiver wants, up to what the sender allows


@value
class Chunk:
    """A part of a model's payload, in the second frame: the bytes from index * chunk_bytes on."""

    round: int
    index: int
    model: bytes  # the checksum that the model was offered with, 8 bytes
    checksum: bytes  # xxh3_64 of this part, seeded with where it begins, 8 bytes


@value
class Gone:
    """The model of this round, of which you want chunks, is not here any more."""

    round: int


@value
class Ack:
    """I have merged this round; sent to neighbors whose models we take but who take none of ours."""

    round: int


@value
class Bye:
    """I need no further model: this round was my last."""

    round: int


@value
class Who:
    """Who are you, and do you know me? For a node that knows its neighbors by endpoint only; sent to ANYBODY."""


@value
class Iam:
    """The answer to a Who, the only message that goes back on the connection of the other."""

    digest: bytes  # of the sender's ModelSpec, 8 bytes
    codec: str
    push_bytes: int  # models up to this size it takes inside an offer
    known: int  # 1 once it knows, by its own question, who asked


Body = Hello | Offer | Ask | Pull | Chunk | Gone | Ack | Bye | Who | Iam


@value
class Message:
    sender: int
    receiver: int
    session: int  # of the sender's process; a later start has a larger one
    body: Body


@value
class Refusal:
    """What came in and was not let in. `sender` is what it claimed, if it got that far."""

    reason: Reason
    detail: str = ""
    sender: int | None = None


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < MAX_COUNT


def _u64(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**64


def _flag(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 1


def _few(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MOST_CHUNKS


def _chunk(value: Any) -> bool:
    return type(value) is int and LEAST_CHUNK_BYTES <= value <= MOST_CHUNK_BYTES


def _bytes8(value: Any) -> bool:
    return type(value) is bytes and len(value) == 8


def _name(value: Any) -> bool:
    return type(value) is str and 0 < len(value) <= 64 and value.isascii() and value.isprintable()


Check = Callable[[Any], bool]
_ENVELOPE: Mapping[str, Check] = {
    "v": _count,
    "kind": _name,
    "swarm": _bytes8,
    "from": _count,
    "to": _count,
    "session": _u64,
}
_FIELDS: Mapping[type[Any], Mapping[str, Check]] = {
    Hello: {"round": _count, "digest": _bytes8},
    Offer: {"round": _count, "age": _count, "samples": _count, "digest": _bytes8},
    Ask: {"round": _count},
    Gone: {"round": _count},
    Pull: {"round": _count, "first": _count, "count": _few, "chunk_bytes": _chunk},
    Chunk: {"round": _count, "index": _count, "model": _bytes8, "checksum": _bytes8},
    Ack: {"round": _count},
    Bye: {"round": _count},
    Who: {},
    Iam: {"digest": _bytes8, "codec": _name, "push_bytes": _count, "known": _flag},
}
_PAYLOAD: Mapping[str, Check] = {"codec": _name, "size": _count, "checksum": _bytes8}  # of an Offer besides
_KINDS: Mapping[str, type[Any]] = {kind.__name__.lower(): kind for kind in _FIELDS}


def encode(message: Message, swarm: bytes) -> bytes:
    """The header frame of `message`. `swarm` is the 8 bytes that all nodes of one run share."""
    body = message.body
    fields = {
        "v": VERSION,
        "kind": type(body).__name__.lower(),
        "swarm": swarm,
        "from": message.sender,
        "to": message.receiver,
        "session": message.session,
    }
    fields |= {name: getattr(body, name) for name in _FIELDS[type(body)]}
    if isinstance(body, Offer):
        fields |= {name: getattr(body.payload, name) for name in _PAYLOAD}
    header: bytes = msgpack.packb(fields)
    return header


def decode(frames: Sequence[Any], swarm: bytes, receiver: int) -> Message | Refusal:
    """Frames (bytes-like) of one message to a Message, or a Refusal that says why not. Raises nothing.

    The payload frame is looked at by `transfer.admit`, not here; that it is there exactly when it should be, is.
    """
    if not 1 <= len(frames) <= 2:
        return Refusal(Reason.FRAMES, f"{len(frames)} frames, expected a header and at most one payload")
    fields = _unpack(frames[0])
    if isinstance(fields, Refusal):
        return fields
    refusal = _check_envelope(fields, swarm, receiver)
    if refusal:
        return refusal
    kind = _KINDS.get(fields["kind"])
    extra = _PAYLOAD if kind is Offer else {}
    if kind is None or not _complete(fields, {**_ENVELOPE, **_FIELDS[kind], **extra}):
        return Refusal(Reason.HEADER, "fields are not those of any message", fields["from"])
    if kind is not Offer and (kind is Chunk) != (len(frames) == 2):
        return Refusal(Reason.FRAMES, f"{len(frames)} frames for {fields['kind']}", fields["from"])
    parts = {name: fields[name] for name in _FIELDS[kind]}
    if kind is Offer:
        parts["payload"] = Payload(**{name: fields[name] for name in _PAYLOAD}, inline=len(frames) == 2)
    return Message(fields["from"], fields["to"], fields["session"], kind(**parts))


def _unpack(header: Any) -> dict[str, Any] | Refusal:
    view = memoryview(header)
    if view.nbytes > HEADER_BYTES:
        return Refusal(Reason.HEADER, f"{view.nbytes} bytes, at most {HEADER_BYTES}")
    try:
        fields = msgpack.unpackb(view, object_pairs_hook=_no_duplicates, strict_map_key=True, **_LIMITS)
    except (ValueError, OverflowError, TypeError, RecursionError, MemoryError, msgpack.UnpackException) as error:
        return Refusal(Reason.HEADER, type(error).__name__)
    return fields if type(fields) is dict else Refusal(Reason.HEADER, "no map")


def _no_duplicates(pairs: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key stands twice")  # msgpack alone would let the last one win
    return fields


def _check_envelope(fields: dict[str, Any], swarm: bytes, receiver: int) -> Refusal | None:
    if not all(name in fields and check(fields[name]) for name, check in _ENVELOPE.items()):
        return Refusal(Reason.HEADER, "no envelope")
    if fields["v"] != VERSION:
        return Refusal(Reason.VERSION, f"version {fields['v']}, this is {VERSION}", fields["from"])
    if fields["swarm"] != swarm:
        return Refusal(Reason.SWARM, "of another swarm", fields["from"])
    if fields["to"] != receiver and not (fields["kind"] == "who" and fields["to"] == ANYBODY):
        return Refusal(Reason.RECEIVER, f"for node {fields['to']}", fields["from"])
    return None


def _complete(fields: dict[str, Any], table: Mapping[str, Check]) -> bool:
    return fields.keys() == table.keys() and all(check(fields[name]) for name, check in table.items())
