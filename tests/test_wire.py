import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import msgpack.fallback
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.wire import (
    ANYBODY,
    HEADER_BYTES,
    LEAST_CHUNK_BYTES,
    MAX_COUNT,
    MOST_CHUNK_BYTES,
    MOST_CHUNKS,
    VERSION,
    Ack,
    Ask,
    Body,
    Bye,
    Chunk,
    Gone,
    Hello,
    Iam,
    Message,
    Offer,
    Payload,
    Pull,
    Reason,
    Refusal,
    Who,
    decode,
    encode,
)

SWARM = b"swarm 01"
ME = 5  # the receiver in most tests

counts = st.integers(0, MAX_COUNT - 1)
sessions = st.integers(0, 2**64 - 1)
eight = st.binary(min_size=8, max_size=8)
codec_names = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=64)
payloads = st.builds(Payload, codec_names, counts, eight, st.booleans())
bodies = st.one_of(
    st.builds(Hello, counts, eight),
    st.builds(Offer, counts, counts, counts, eight, payloads),
    st.builds(Ask, counts),
    st.builds(Pull, counts, counts, st.integers(1, MOST_CHUNKS), st.integers(LEAST_CHUNK_BYTES, MOST_CHUNK_BYTES)),
    st.builds(Chunk, counts, counts, eight, eight),
    st.builds(Gone, counts),
    st.builds(Ack, counts),
    st.builds(Bye, counts),
    st.builds(Who),
    st.builds(Iam, eight, codec_names, counts, st.integers(0, 1)),
)
messages = st.builds(Message, counts, counts, sessions, bodies)
to_me = st.builds(Message, counts, st.just(ME), sessions, bodies)

EXAMPLES = [
    Message(3, ME, 2**63, body)
    for body in (
        Hello(1, b"8 bytes."),
        Offer(7, 140, 1000, b"8 bytes.", Payload("float32", 400, b"checksum")),
        Offer(7, 140, 1000, b"8 bytes.", Payload("float32", 400, b"checksum", inline=False)),
        Ask(7),
        Pull(7, 3, MOST_CHUNKS, 2**20),
        Chunk(7, 3, b"themodel", b"checksum"),
        Gone(7),
        Ack(7),
        Bye(20),
        Who(),
        Iam(b"8 bytes.", "float32", 2**19, 1),
    )
]
every_kind = pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: type(m.body).__name__)


def frames_of(message: Message, header: bytes | None = None) -> list[bytes]:
    """The frames of `message`, with another header if one is given."""
    header = encode(message, SWARM) if header is None else header
    return [header, b"payload"] if has_payload(message.body) else [header]


def has_payload(body: Body) -> bool:
    return isinstance(body, Chunk) or (isinstance(body, Offer) and body.payload.inline)


def fields_of(message: Message) -> dict[str, Any]:
    return msgpack.unpackb(encode(message, SWARM))


def decoded(message: Message, header: bytes) -> Message | Refusal:
    """What becomes of `header` at ME, in the frames of `message`; checks what must hold for any outcome."""
    out = decode(frames_of(message, header), SWARM, ME)
    assert_sound(out)
    return out


def assert_sound(out: Message | Refusal) -> None:
    """A refusal that can be counted and printed, or a message that we could have written ourselves."""
    if isinstance(out, Refusal):
        assert isinstance(out.reason, Reason)
        assert len(out.detail) < 200
        assert out.detail.isprintable()
        assert out.sender is None or type(out.sender) is int
        return
    assert type(out) is Message
    assert out.receiver == ME
    numbers = [out.sender, getattr(out.body, "round", 0)]
    if isinstance(out.body, Iam):
        numbers.append(out.body.push_bytes)
        assert out.body.known in (0, 1)
        assert type(out.body.codec) is str
    if isinstance(out.body, Pull):
        numbers += [out.body.first, out.body.count, out.body.chunk_bytes]
        assert 1 <= out.body.count <= MOST_CHUNKS
        assert LEAST_CHUNK_BYTES <= out.body.chunk_bytes <= MOST_CHUNK_BYTES
    if isinstance(out.body, Chunk):
        numbers.append(out.body.index)
        assert type(out.body.checksum) is bytes
        assert len(out.body.checksum) == 8
    if isinstance(out.body, Offer):
        assert type(out.body.payload) is Payload
        numbers += [out.body.age, out.body.samples, out.body.payload.size]
        assert type(out.body.payload.checksum) is bytes
        assert len(out.body.payload.checksum) == 8
        assert type(out.body.payload.codec) is str
    assert all(type(n) is int and 0 <= n < MAX_COUNT for n in numbers)
    assert type(out.session) is int
    assert 0 <= out.session < 2**64
    if isinstance(out.body, Hello | Offer | Iam):
        assert type(out.body.digest) is bytes
        assert len(out.body.digest) == 8
    assert decode(frames_of(out), SWARM, ME) == out


def refused(message: Message, fields: dict[Any, Any], reason: Reason = Reason.HEADER) -> Refusal:
    out = decoded(message, msgpack.packb(fields))
    assert isinstance(out, Refusal), out
    assert out.reason is reason
    return out


# --- what we write ---------------------------------------------------------------------------------------------


@given(messages, eight)
@settings(max_examples=400)
def test_every_message_comes_back(message: Message, swarm: bytes) -> None:
    header = encode(message, swarm)
    assert decode(frames_of(message, header), swarm, message.receiver) == message


@given(messages)
def test_a_header_leaves_room_for_later_versions(message: Message) -> None:
    assert len(encode(message, SWARM)) <= 300


@every_kind
@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview, lambda b: memoryview(b"-" + b)[1:]])
def test_frames_may_be_any_buffer(message: Message, buffer: Callable[[bytes], Any]) -> None:
    assert decode([buffer(frame) for frame in frames_of(message)], SWARM, ME) == message


def test_the_payload_frame_is_not_looked_at() -> None:
    """However large it is: that is for `transfer.admit`, which knows how long it must be."""
    assert decode([encode(EXAMPLES[1], SWARM), object()], SWARM, ME) == EXAMPLES[1]


@every_kind
def test_messages_of_others_are_refused_for_what_they_are(message: Message) -> None:
    frames = frames_of(message)
    assert decode(frames, b"swarm 02", ME) == Refusal(Reason.SWARM, "of another swarm", 3)
    assert decode(frames, SWARM, ME + 1) == Refusal(Reason.RECEIVER, "for node 5", 3)
    later = refused(message, fields_of(message) | {"v": VERSION + 1}, Reason.VERSION)
    assert later.sender == 3
    assert str(VERSION + 1) in later.detail


@every_kind
def test_a_later_version_is_recognised_whatever_else_it_says(message: Message) -> None:
    refused(message, fields_of(message) | {"v": 2, "kind": "gossip", "more": "b"}, Reason.VERSION)


@every_kind
@pytest.mark.parametrize("number", range(6))
def test_the_number_of_frames_must_fit_the_kind(message: Message, number: int) -> None:
    frames = ([encode(message, SWARM)] + [b"payload"] * number)[:number]
    out = decode(frames, SWARM, ME)
    assert_sound(out)
    match message.body:
        case Offer():  # with its model, or to be fetched
            fits = number in (1, 2)
        case Chunk():
            fits = number == 2
        case _:
            fits = number == 1
    if fits:
        assert isinstance(out, Message)
        assert not isinstance(out.body, Offer) or out.body.payload.inline == (number == 2)
    else:
        assert out.reason is Reason.FRAMES


# --- what others write: fields ---------------------------------------------------------------------------------


@every_kind
def test_a_missing_or_further_or_misspelt_field_is_refused(message: Message) -> None:
    fields = fields_of(message)
    for name in fields:
        rest = {key: value for key, value in fields.items() if key != name}
        refused(message, rest)
        refused(message, rest | {name.upper(): fields[name]})
        refused(message, rest | {name.encode(): fields[name]})
    for name, value in (("more", 1), ("", 0), ("payload", b""), ("codec ", "float32"), (b"round", 7)):
        refused(message, fields | {name: value})


WRONG: dict[str, list[Any]] = {
    "number": [True, False, None, -1, -(2**63), 7.0, math.nan, math.inf, "7", b"7", [], {}, [7], {"a": 7}],
    "count": [MAX_COUNT, 2**63, 2**64 - 1],
    "eight": [b"", b"7 bytes", b"9 bytes..", "8 bytes.", bytes(128), bytes(129), 8, None, [], list(range(8))],
    "flag": [2, 7],
    "few": [0, MOST_CHUNKS + 1],
    "chunk": [0, LEAST_CHUNK_BYTES - 1, MOST_CHUNK_BYTES + 1],
    "name": ["", "x" * 65, "x" * 129, "é", "a\nb", "a\0", "\u202e", b"float32", 1, None, True, [], ["hello"], {}],
}
FIELDS = {
    "v": ("number", "count"),
    "kind": ("name",),
    "swarm": ("eight",),
    "from": ("number", "count"),
    "to": ("number", "count"),
    "session": ("number",),
    "round": ("number", "count"),
    "age": ("number", "count"),
    "first": ("number", "count"),
    "count": ("number", "count", "few"),
    "chunk_bytes": ("number", "count", "chunk"),
    "index": ("number", "count"),
    "samples": ("number", "count"),
    "digest": ("eight",),
    "codec": ("name",),
    "size": ("number", "count"),
    "push_bytes": ("number", "count"),
    "known": ("number", "count", "flag"),
    "model": ("eight",),
    "checksum": ("eight",),
}


@every_kind
def test_a_value_of_the_wrong_type_or_range_is_refused(message: Message) -> None:
    fields = fields_of(message)
    for name in fields:
        for value in (v for group in FIELDS[name] for v in WRONG[group]):
            refused(message, fields | {name: value})


@pytest.mark.parametrize(
    "value",
    [msgpack.ExtType(5, b"8 bytes."), msgpack.ExtType(5, b""), msgpack.Timestamp(0), msgpack.Timestamp(2**40, 5)],
    ids=str,
)
@every_kind
def test_extension_types_and_timestamps_are_refused(message: Message, value: Any) -> None:
    fields = fields_of(message)
    for name in fields:
        refused(message, fields | {name: value})
    refused(message, fields | {"more": value})


@every_kind
def test_the_kind_must_be_one_that_we_know(message: Message) -> None:
    for kind in ("gossip", "Hello", "HELLO", "hello ", "message", "payload", "refusal", "body", "__class__"):
        refused(message, fields_of(message) | {"kind": kind})


@every_kind
def test_one_kind_cannot_pass_for_another(message: Message) -> None:
    """But those that have nothing but a round."""
    alike = {"ask", "ack", "bye", "gone"}
    for kind in ("hello", "offer", "ask", "pull", "chunk", "gone", "ack", "bye"):
        own = type(message.body).__name__.lower()
        if kind != own and not {kind, own} <= alike:
            refused(message, fields_of(message) | {"kind": kind})


@every_kind
def test_a_key_that_stands_twice_is_refused(message: Message) -> None:
    """msgpack alone lets the last one win, and two readers may then see two messages."""
    fields = fields_of(message)
    for name, value in fields.items():
        for twice in (value, 1):
            pairs = [*fields.items(), (name, twice)]
            out = decoded(message, msgpack.Packer().pack_map_pairs(pairs))
            assert isinstance(out, Refusal)
            assert out.reason is Reason.HEADER


@pytest.mark.parametrize("value", [None, 1, True, 1.5, "hello", b"hello", [], [1], {}, {1: 2}, {None: 1}], ids=str)
def test_what_is_no_map_of_names_is_refused(value: Any) -> None:
    for message in EXAMPLES:
        refused(message, value)


@every_kind
def test_more_than_one_object_in_a_header_is_refused(message: Message) -> None:
    header = encode(message, SWARM)
    for more in (b"\0", b"\xc0", header, b"\xc1", bytes(HEADER_BYTES - len(header))):
        out = decoded(message, header + more)
        assert isinstance(out, Refusal)
        assert out.reason is Reason.HEADER


# --- what others write: bytes ----------------------------------------------------------------------------------

hostile = settings(max_examples=max(500, settings().max_examples), deadline=None)  # more in `make fuzz`
fewer = settings(max_examples=100, deadline=None)
packable = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=9) | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9) | st.integers(0, 9), inner),
    max_leaves=12,
)


@given(st.lists(st.binary(max_size=300), max_size=4))
@hostile
def test_random_bytes_are_refused(frames: list[bytes]) -> None:
    out = decode(frames, SWARM, ME)
    assert_sound(out)
    assert isinstance(out, Refusal)


@given(packable)
@fewer
def test_random_objects_are_refused(value: Any) -> None:
    out = decode([msgpack.packb(value)], SWARM, ME)
    assert_sound(out)
    assert isinstance(out, Refusal)


@given(to_me, st.data())
@hostile
def test_a_header_with_flipped_bits_is_refused_or_sound(message: Message, data: st.DataObject) -> None:
    header = bytearray(encode(message, SWARM))
    for bit in data.draw(st.lists(st.integers(0, 8 * len(header) - 1), min_size=1, max_size=4, unique=True)):
        header[bit // 8] ^= 1 << bit % 8
    out = decoded(message, bytes(header))
    assert out != message


@every_kind
def test_every_single_flipped_bit_is_refused_or_another_message(message: Message) -> None:
    header = encode(message, SWARM)
    for bit in range(8 * len(header)):
        flipped = bytearray(header)
        flipped[bit // 8] ^= 1 << bit % 8
        assert decoded(message, bytes(flipped)) != message


@given(to_me, st.data())
@hostile
def test_a_header_with_bytes_put_in_or_taken_out_never_raises(message: Message, data: st.DataObject) -> None:
    header = encode(message, SWARM)
    start, end = sorted(data.draw(st.lists(st.integers(0, len(header)), min_size=2, max_size=2)))
    decoded(message, header[:start] + data.draw(st.binary(max_size=20)) + header[end:])


@given(to_me, st.dictionaries(st.sampled_from([*FIELDS, "more"]), packable, min_size=1))
@fewer
def test_any_values_in_the_right_fields_are_refused_or_sound(message: Message, values: dict[str, Any]) -> None:
    decoded(message, msgpack.packb(fields_of(message) | values))


@every_kind
def test_every_truncation_is_refused(message: Message) -> None:
    header = encode(message, SWARM)
    for end in range(len(header)):
        out = decoded(message, header[:end])
        assert isinstance(out, Refusal)
        assert out.reason is Reason.HEADER


LYING = {
    "array of 2**32-1": b"\xdd\xff\xff\xff\xff",
    "map of 2**32-1": b"\xdf\xff\xff\xff\xff",
    "text of 2**32-1": b"\xdb\xff\xff\xff\xff",
    "bytes of 2**32-1": b"\xc6\xff\xff\xff\xff",
    "extension of 2**32-1": b"\xc9\xff\xff\xff\xff\x05",
    "map of 33": b"\xde\x00\x21" + b"".join(b"\xa2%02d\0" % i for i in range(33)),
    "map of 2000": b"\xde\x07\xd0" + b"\xa0\xc0" * 2000,
    "array of 4000 nothings": b"\xdc\x0f\xa0" + b"\xc0" * 4000,
    "array 4000 deep": b"\x91" * 4000 + b"\xc0",
    "map 1300 deep": b"\x81\xa1a" * 1300 + b"\xc0",
    "map 500 deep": b"\x81\xa1a" * 500 + b"\xc0",
    "text that is no UTF-8": b"\x81\xa1\xff\xa1\xff",
    "half a surrogate": b"\x81\xa3\xed\xa0\x80\xa1a",
    "a byte that means nothing": b"\xc1",
    "map as a key": b"\x81\x80\xc0",
    "array as a key": b"\x81\x90\xc0",
    "number as a key": b"\x81\x01\xc0",
    "nan as a key": b"\x81\xcb\x7f\xf8\0\0\0\0\0\0\xc0",
    "timestamp of no length": b"\xc7\x00\xff",
    "timestamp out of range": b"\xc7\x0c\xff" + b"\xff" * 12,
    "timestamp as a key": b"\x81\xd6\xff\0\0\0\0\xc0",
    "empty": b"",
    "all nothing": bytes(HEADER_BYTES),
}


@pytest.mark.parametrize("header", LYING.values(), ids=LYING.keys())
@pytest.mark.parametrize("inside", [False, True])
def test_lying_lengths_and_deep_nesting_are_refused(header: bytes, inside: bool) -> None:
    """Alone, and as the value of a field of an otherwise sound header."""
    message = EXAMPLES[0]
    if inside:
        whole = encode(message, SWARM)
        header = whole.replace(b"\xa5round\x01", b"\xa5round" + header)
        assert header != whole
    out = decoded(message, header)
    assert isinstance(out, Refusal)
    assert out.reason is Reason.HEADER


@pytest.mark.parametrize("size", [HEADER_BYTES + 1, 2**20, 2**26])
def test_an_oversize_header_is_not_even_unpacked(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(msgpack, "unpackb", None)
    out = decode([bytes(size)], SWARM, ME)
    assert out == Refusal(Reason.HEADER, f"{size} bytes, at most {HEADER_BYTES}")


def test_a_header_of_the_full_size_is_unpacked() -> None:
    assert decode([bytes(HEADER_BYTES)], SWARM, ME) == Refusal(Reason.HEADER, "ExtraData")


GREEDY = [
    *LYING.values(),
    b"\xdf" + (2**32 - 1).to_bytes(4, "big") + b"\xa1a\xc0" * 1300,
    b"\x91" * 1000 + b"\xdd\xff\xff\xff\xff",
    (b"\xde\x00\x20" + b"\xa0\xc0" * 32) * 60,
    b"\x8f" + b"".join(b"\xa1" + bytes([97 + i]) + b"\x81\xa1a" * 80 + b"\xc0" for i in range(15)),
    b"\xdc\x00\x10" + b"\xd9\x80" + b"x" * 128,
]


def test_no_header_takes_much_memory_whatever_it_claims() -> None:
    """At most 64 times the largest header, for a moment."""
    decode([GREEDY[0]], SWARM, ME)  # what is imported or cached at first use is no concern here
    for header in GREEDY:
        assert len(header) <= HEADER_BYTES
        tracemalloc.start()
        try:
            decode([header], SWARM, ME)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 64 * HEADER_BYTES, header[:20]


@given(st.binary(max_size=120) | st.sampled_from(list(LYING.values())), st.sampled_from(EXAMPLES))
@settings(max_examples=200, deadline=None)
def test_msgpack_in_plain_python_is_as_safe(header: bytes, message: Message) -> None:
    """Where msgpack has no compiled part, it has other exceptions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(msgpack, "unpackb", msgpack.fallback.unpackb)
        assert isinstance(decode([header], SWARM, ME), Refusal)
        assert decode(frames_of(message), SWARM, ME) == message


def test_only_the_question_who_is_there_may_be_for_anybody() -> None:
    for message in EXAMPLES:
        to_anybody = Message(message.sender, ANYBODY, message.session, message.body)
        found = decode(frames_of(to_anybody), SWARM, ME)
        if isinstance(message.body, Who):
            assert found == to_anybody
        else:
            assert isinstance(found, Refusal)
            assert found.reason is Reason.RECEIVER
