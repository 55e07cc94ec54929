from dataclasses import replace

import hypothesis.strategies as st
import msgpack
import pytest
from hypothesis import given, settings

from gossipnet.chunk_header import ChunkReader, ChunkWriter
from gossipnet.wire import MAX_COUNT, Chunk, Message, Pull, Refusal, decode, encode

SWARM, ME = b"swarm 01", 5
counts = st.integers(0, MAX_COUNT - 1) | st.integers(0, 300)
eight = st.binary(min_size=8, max_size=8) | st.sampled_from([b"\xa5indexab", b"\xa5model\xc4\x08"])
chunks = st.builds(Chunk, counts, counts, eight, eight)
messages = st.builds(Message, counts, st.just(ME), st.integers(0, 2**64 - 1), chunks)
hostile = settings(max_examples=max(400, settings().max_examples), deadline=None)  # more in `make fuzz`


def reader_that_knows(message: Message) -> ChunkReader:
    reader = ChunkReader(SWARM)
    assert reader.decode([encode(message, SWARM), b""], ME) == message
    return reader


@given(first=messages, index=counts, checksum=eight)
@hostile
def test_what_is_written_is_what_encode_writes(first: Message, index: int, checksum: bytes) -> None:
    chunk = replace(first.body, index=index, checksum=checksum)
    assert ChunkWriter(first, SWARM).header(chunk) == encode(replace(first, body=chunk), SWARM)


@given(first=messages, index=counts, model=eight, checksum=eight)
@hostile
def test_what_is_read_is_what_decode_reads(first: Message, index: int, model: bytes, checksum: bytes) -> None:
    reader = reader_that_knows(first)
    other = replace(first, body=replace(first.body, index=index, model=model, checksum=checksum))
    assert reader.decode([memoryview(encode(other, SWARM)), b""], ME) == other
    assert reader.decode([encode(other, SWARM), b""], ME + 1) == decode([encode(other, SWARM), b""], SWARM, ME + 1)
    assert reader.decode([encode(other, SWARM)], ME) == decode([encode(other, SWARM)], SWARM, ME)


@given(first=messages, index=counts, data=st.data())
@hostile
def test_a_header_that_was_tampered_with_is_read_as_decode_reads_it(
    first: Message, index: int, data: st.DataObject
) -> None:
    header = bytearray(encode(replace(first, body=replace(first.body, index=index)), SWARM))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(header) - 1))
        cut = data.draw(st.integers(0, 2))
        header[at : at + cut] = data.draw(st.binary(max_size=3))
    frames = [bytes(header), b"payload"]
    assert reader_that_knows(first).decode(frames, ME) == decode(frames, SWARM, ME)


@given(header=st.binary(max_size=200))
@hostile
def test_any_bytes_are_read_as_decode_reads_them(header: bytes) -> None:
    reader = reader_that_knows(Message(1, ME, 7, Chunk(3, 0, b"themodel", b"checksum")))
    assert reader.decode([header, b""], ME) == decode([header, b""], SWARM, ME)


@pytest.mark.parametrize(
    "index", [b"\x7f", b"\x80", b"\xcc\x05", b"\xcd\0\5", b"\xce\0\0\0\5", b"\xd0\5", b"\xc0", b""]
)
def test_every_way_to_write_a_number_is_read_as_decode_reads_it(index: bytes) -> None:
    first = Message(1, ME, 7, Chunk(3, 0, b"themodel", b"checksum"))
    header = encode(first, SWARM).replace(b"\xa5index\0", b"\xa5index" + index)
    frames = [header, b""]
    assert reader_that_knows(first).decode(frames, ME) == decode(frames, SWARM, ME)


def test_the_usual_header_takes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Message(1, ME, 7, Chunk(3, 0, b"themodel", b"checksum"))
    reader = reader_that_knows(first)

    def no(*_: object) -> Message:
        raise AssertionError("unpacked though it was known")

    monkeypatch.setattr("gossipnet.chunk_header.decode", no)
    for index in (1, 127, 128, 255, 256, 70_000):
        other = replace(first, body=replace(first.body, index=index))
        assert reader.decode([encode(other, SWARM), b""], ME) == other


def test_models_without_number_take_no_memory_without_bound() -> None:
    reader = ChunkReader(SWARM)
    for round in range(1000):
        reader.decode([encode(Message(1, ME, 7, Chunk(round, 0, b"themodel", b"checksum")), SWARM), b""], ME)
    assert len(reader._known) <= 256


def test_other_messages_are_read_too() -> None:
    pull = Message(1, ME, 7, Pull(3, 0, 1, 1024))
    assert ChunkReader(SWARM).decode([encode(pull, SWARM)], ME) == pull
    refused = ChunkReader(SWARM).decode([msgpack.packb({})], ME)
    assert isinstance(refused, Refusal)
