import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import xxhash
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from torch import Tensor

from gossipnet.codec import Codec, codecs, make_codec
from gossipnet.errors import BadInput
from gossipnet.model import Entry, ModelSpec, Snapshot
from gossipnet.transfer import (
    BLOCK,
    STALL_AT_MOST_S,
    Fetches,
    Parcel,
    admit,
    checksum,
    chunks_of,
    count_chunks,
    pack,
    unpack,
)
from gossipnet.wire import Chunk, Message, Offer, Payload, Pull, Reason, Refusal, decode, encode

finite = st.floats(-(2.0**100), 2.0**100, width=32)
vectors = arrays(np.float32, st.integers(1, 40), elements=finite).map(torch.from_numpy)
every_codec = pytest.mark.parametrize("name", codecs.names())
hostile = settings(max_examples=max(400, settings().max_examples), deadline=None)  # more in `make fuzz`


def spec_of(numel: int) -> ModelSpec:
    return ModelSpec((Entry("w", (numel,), 0, numel, False),))


def offer_of(parcel: Parcel, numel: int, **changes: Any) -> Offer:
    return replace(Offer(3, 60, 1000, spec_of(numel).digest, parcel.payload), **changes)


def admitted(parcel: Parcel, numel: int, codec: Codec, **changes: Any) -> Snapshot | Refusal:
    return admit(offer_of(parcel, numel, **changes), parcel.data, spec_of(numel), codec)


def reason(out: Snapshot | Refusal) -> Reason:
    assert isinstance(out, Refusal), out
    assert out.detail.isprintable()
    assert len(out.detail) < 200
    return out.reason


def whole_checksum(data: bytes) -> bytes:
    """What docs/protocol.md says of it, in other words."""
    blocks = [xxhash.xxh3_64_digest(data[at : at + 2**20], seed=at) for at in range(0, len(data), 2**20)]
    return xxhash.xxh3_64_digest(b"".join(blocks))


def resealed(parcel: Parcel, data: bytes) -> Parcel:
    """Other bytes, with the checksum that they should have: what a liar sends, not what a bad link does."""
    return Parcel(replace(parcel.payload, checksum=whole_checksum(data)), memoryview(data), ())


# --- what is sent is what arrives ------------------------------------------------------------------------------


@every_codec
@given(vector=vectors)
@settings(max_examples=100)
def test_what_is_admitted_is_what_the_codec_makes_of_it(name: str, vector: Tensor) -> None:
    codec = make_codec(name)
    parcel = pack(vector, codec)
    snapshot = admitted(parcel, len(vector), codec)
    assert isinstance(snapshot, Snapshot)
    received = snapshot.storage
    assert (received.shape, received.dtype, received.device.type) == (vector.shape, torch.float32, "cpu")
    assert torch.equal(received, unpack(parcel, len(vector), codec))
    error = (received.double() - vector.double().clamp(-codec.largest, codec.largest)).norm()
    assert error <= codec.error * vector.double().norm() + codec.floor * len(vector) ** 0.5


def test_float32_arrives_to_the_last_bit() -> None:
    vector = torch.tensor([-0.0, 1e-45, 3.4e38, 1 / 3])
    received = unpack(pack(vector, make_codec("float32")), 4, make_codec("float32"))
    assert torch.equal(received.view(torch.int32), vector.view(torch.int32))


def test_a_snapshot_says_what_the_offer_said() -> None:
    codec = make_codec("float32")
    snapshot = admitted(pack(torch.ones(5), codec), 5, codec, round=8, age=77, samples=12)
    assert isinstance(snapshot, Snapshot)
    assert (snapshot.digest, snapshot.round, snapshot.age, snapshot.samples) == (spec_of(5).digest, 8, 77, 12)


@every_codec
def test_a_parcel_is_a_copy_of_the_live_vector(name: str) -> None:
    """Training goes on while it is on its way; and each receiver has numbers of its own."""
    codec, vector = make_codec(name), torch.ones(6)
    parcel = pack(vector, codec)
    vector.fill_(2)
    one, other = (admitted(parcel, 6, codec) for _ in "ab")
    one.storage.fill_(3)
    assert torch.equal(other.storage, torch.ones(6))
    assert codec.payload_bytes(6) == parcel.payload.size == parcel.data.nbytes


@every_codec
def test_a_part_of_a_larger_tensor_and_a_parameter_can_be_packed(name: str) -> None:
    codec = make_codec(name)
    stacked = torch.arange(12.0).view(3, 4).requires_grad_()
    assert torch.equal(unpack(pack(stacked[1], codec), 4, codec), stacked[1].detach())
    assert torch.equal(unpack(pack(stacked[:, 1], codec), 3, codec), stacked[:, 1].detach())


@every_codec
def test_the_bytes_outlive_their_parcel(name: str) -> None:
    """zmq may hold the view long after the sender has forgotten the parcel."""
    codec = make_codec(name)
    data = pack(torch.ones(1000), codec).data
    wanted = bytes(data)
    [torch.full((1000,), 5.0) for _ in range(100)]
    assert bytes(data) == wanted


@every_codec
def test_a_model_goes_through_the_wire(name: str) -> None:
    """pack, encode, decode, admit: the way of a push."""
    codec, vector = make_codec(name), torch.linspace(-1, 1, 9)
    parcel = pack(vector, codec)
    sent = Message(1, 2, 1, offer_of(parcel, 9))
    message = decode([encode(sent, bytes(8)), parcel.data], bytes(8), 2)
    assert isinstance(message, Message)
    snapshot = admit(message.body, memoryview(bytes(parcel.data)), spec_of(9), codec)
    assert torch.equal(snapshot.storage, unpack(parcel, 9, codec))


# --- refusals --------------------------------------------------------------------------------------------------


def untouchable(codec: Codec) -> Codec:
    """A codec that must not be asked to decode."""

    def decode(payload: object, out: object) -> None:
        raise AssertionError("decoded what should have been refused before")

    return replace(codec, decode=decode)


CHANGES: dict[str, tuple[Callable[[Offer, Payload], Offer], Reason]] = {
    "another model": (lambda o, p: replace(o, digest=b"8 bytes."), Reason.SPEC),
    "no payload": (lambda o, p: replace(o, payload=None), Reason.CODEC),
    "unknown codec": (lambda o, p: replace(o, payload=replace(p, codec="zip")), Reason.CODEC),
    "empty codec": (lambda o, p: replace(o, payload=replace(p, codec="")), Reason.CODEC),
    "size of 0": (lambda o, p: replace(o, payload=replace(p, size=0)), Reason.LENGTH),
    "a byte less": (lambda o, p: replace(o, payload=replace(p, size=p.size - 1)), Reason.LENGTH),
    "a byte more": (lambda o, p: replace(o, payload=replace(p, size=p.size + 1)), Reason.LENGTH),
    "a huge size": (lambda o, p: replace(o, payload=replace(p, size=2**48 - 1)), Reason.LENGTH),
    "no checksum": (lambda o, p: replace(o, payload=replace(p, checksum=bytes(8))), Reason.CORRUPT),
    "short checksum": (lambda o, p: replace(o, payload=replace(p, checksum=b"")), Reason.CORRUPT),
}


@every_codec
@pytest.mark.parametrize(("change", "wanted"), CHANGES.values(), ids=CHANGES.keys())
def test_a_wrong_header_is_refused_before_anything_is_decoded(
    name: str, change: Callable[[Offer, Payload], Offer], wanted: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = make_codec(name)
    parcel = pack(torch.ones(10), codec)
    offer = change(offer_of(parcel, 10), parcel.payload)
    monkeypatch.setattr(torch, "empty", None)  # and before anything is allocated
    assert reason(admit(offer, parcel.data, spec_of(10), untouchable(codec))) is wanted


def test_another_codec_of_the_same_length_is_refused() -> None:
    parcel = pack(torch.ones(10), make_codec("float16"))
    assert reason(admitted(parcel, 10, make_codec("bfloat16"))) is Reason.CODEC


@every_codec
@pytest.mark.parametrize("length", [0, 1, 19, 39, 41, 80, 2**20])
def test_a_payload_of_another_length_is_refused(name: str, length: int) -> None:
    """Whatever its header says, and however right its checksum is."""
    codec = make_codec(name)
    parcel = pack(torch.ones(10), codec)
    lying = resealed(parcel, bytes(length))
    for size in (parcel.payload.size, length):
        offer = offer_of(lying, 10, payload=replace(lying.payload, size=size))
        assert reason(admit(offer, lying.data, spec_of(10), untouchable(codec))) is Reason.LENGTH


def test_nothing_is_allocated_for_a_model_that_no_machine_could_hold() -> None:
    """2**60 numbers: only one that is not looked at gets past here without a MemoryError."""
    codec, spec = make_codec("float32"), spec_of(2**60)
    payload = Payload("float32", codec.payload_bytes(2**60), bytes(8))
    offer = Offer(1, 1, 1, spec.digest, payload)
    assert reason(admit(offer, memoryview(b"few bytes"), spec, codec)) is Reason.LENGTH


@every_codec
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", [0, 4, 9])
def test_nan_and_inf_are_refused(name: str, bad: float, place: int) -> None:
    codec, vector = make_codec(name), torch.linspace(-1, 1, 10)
    vector[place] = bad
    assert reason(admitted(pack(vector, codec), 10, codec)) is Reason.NOT_FINITE


def test_inf_and_its_opposite_do_not_cancel() -> None:
    codec = make_codec("float32")
    parcel = pack(torch.tensor([float("inf"), -float("inf"), 1.0]), codec)
    assert reason(admitted(parcel, 3, codec)) is Reason.NOT_FINITE


def test_large_numbers_are_no_reason_to_refuse() -> None:
    """Their sum is inf, they are not."""
    codec = make_codec("float32")
    assert isinstance(admitted(pack(torch.full((10,), 3e38), codec), 10, codec), Snapshot)


@every_codec
def test_a_bit_flip_anywhere_in_the_payload_is_found(name: str) -> None:
    codec = make_codec(name)
    parcel = pack(torch.linspace(-1, 1, 10), codec)
    for bit in range(8 * parcel.payload.size):
        damaged = bytearray(parcel.data)
        damaged[bit // 8] ^= 1 << bit % 8
        offer = offer_of(parcel, 10)
        assert reason(admit(offer, memoryview(damaged), spec_of(10), untouchable(codec))) is Reason.CORRUPT


@given(name=st.sampled_from(codecs.names()), drawn=st.data(), start=st.integers(0, 7), numel=st.integers(1, 12))
@hostile
def test_any_bytes_at_any_address_are_admitted_or_refused(
    name: str, drawn: st.DataObject, start: int, numel: int
) -> None:
    """A liar's checksum is right, so that the codec has to deal with its bytes."""
    codec = make_codec(name)
    right = codec.payload_bytes(numel)
    data = drawn.draw(st.binary(min_size=right, max_size=right) | st.binary(max_size=60))
    payload = resealed(Parcel(Payload(name, len(data), b""), memoryview(b""), ()), data).payload
    view = memoryview(bytes(start) + data)[start:]
    out = admit(Offer(1, 1, 1, spec_of(numel).digest, payload), view, spec_of(numel), codec)
    if isinstance(out, Refusal):
        assert reason(out) is (Reason.NOT_FINITE if len(data) == right else Reason.LENGTH)
    else:
        assert len(data) == right
        assert out.storage.shape == (numel,)
        assert bool(out.storage.isfinite().all())


@every_codec
@pytest.mark.parametrize("cast", ["B", "b", "c", "H", "f"])
def test_a_view_of_any_element_type_is_the_same_bytes(name: str, cast: str) -> None:
    codec = make_codec(name)
    parcel = pack(torch.linspace(-1, 1, 10), codec)
    view = memoryview(bytearray(parcel.data)).cast(cast)
    out = admit(offer_of(parcel, 10), view, spec_of(10), codec)
    assert torch.equal(out.storage, unpack(parcel, 10, codec))


# --- names of codecs on the wire -------------------------------------------------------------------------------


@pytest.fixture
def _own_codecs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(codecs, "_factories", dict(codecs._factories))


@pytest.mark.usefixtures("_own_codecs")
def test_a_codec_of_a_users_file_has_the_same_name_on_every_machine(tmp_path: Path) -> None:
    """A header has no room for a path, and the path differs from one machine to the next."""
    text = "import gossipnet.codec as c\nc.codec('own')(lambda: c.make_codec('float32'))\n"
    made = []
    for folder in ("here", "a" * 100):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my.py").write_text(text)
        made.append(make_codec(f"{tmp_path / folder / 'my.py'}:own"))
    parcel = pack(torch.ones(3), made[0])
    header = encode(Message(1, 2, 1, offer_of(parcel, 3)), bytes(8))
    message = decode([header, parcel.data], bytes(8), 2)
    assert isinstance(message, Message)
    assert isinstance(admit(message.body, parcel.data, spec_of(3), made[1]), Snapshot)


@pytest.mark.usefixtures("_own_codecs")
def test_a_name_that_no_header_can_carry_is_refused_at_once() -> None:
    for name in ("a" * 65, "flöat"):
        codecs.register(name)(lambda: make_codec("float32"))
        with pytest.raises(BadInput, match="at most 64 printable ASCII"):
            make_codec(name)
    longest = "a" * 64
    codecs.register(longest)(lambda: make_codec("float32"))
    parcel = pack(torch.ones(3), make_codec(longest))
    header = encode(Message(1, 2, 1, offer_of(parcel, 3)), bytes(8))
    assert isinstance(decode([header, parcel.data], bytes(8), 2), Message)


# --- fetches ---------------------------------------------------------------------------------------------------

CHUNK = 1024
FLOAT32 = make_codec("float32")


def offered(vector: Tensor, codec: Codec = FLOAT32, sender: int = 1, round: int = 3, session: int = 9) -> Message:
    parcel = pack(vector, codec)
    payload = replace(parcel.payload, inline=False)
    return Message(sender, 0, session, offer_of(parcel, len(vector), payload=payload, round=round))


def fetches_for(numel: int, codec: Codec = FLOAT32, window: int = 4) -> Fetches:
    return Fetches(spec_of(numel), codec, CHUNK, window)


def served(parcel: Parcel, offer: Message, pull: Pull) -> list[tuple[Message, memoryview]]:
    """What an honest sender answers."""
    return [(Message(offer.sender, 0, offer.session, chunk), data) for chunk, data in chunks_of(parcel, pull)]


def numbers(numel: int) -> Tensor:
    return torch.arange(float(numel)) / 7 - 3


@given(numel=st.integers(1, 5000), chunk_bytes=st.integers(1, 3000), name=st.sampled_from(codecs.names()))
@settings(max_examples=50)
def test_chunks_are_the_parcel(numel: int, chunk_bytes: int, name: str) -> None:
    parcel = pack(torch.arange(float(numel)), make_codec(name))
    n = -(-parcel.data.nbytes // chunk_bytes)
    assert count_chunks(parcel.data.nbytes, chunk_bytes) == n
    found = [*chunks_of(parcel, Pull(7, 0, n - 1, chunk_bytes)), *chunks_of(parcel, Pull(7, n - 1, 9, chunk_bytes))]
    assert b"".join(data for _, data in found) == bytes(parcel.data)
    for index, (chunk, data) in enumerate(found):
        seal = xxhash.xxh3_64_digest(data, seed=index * chunk_bytes)
        assert chunk == Chunk(7, index, parcel.payload.checksum, seal)
    assert [
        *chunks_of(parcel, Pull(7, n, 9, chunk_bytes)),
        *chunks_of(parcel, Pull(7, 2**48 - 1, 9, chunk_bytes)),
    ] == []


@pytest.mark.parametrize("numel", [BLOCK // 4 - 1, BLOCK // 4, BLOCK // 4 + 1, BLOCK])
@every_codec
def test_a_model_of_many_blocks_has_the_checksum_of_their_checksums(name: str, numel: int) -> None:
    """And a chunk that is a block has the checksum that was made of it when it was packed."""
    codec = make_codec(name)
    parcel = pack(numbers(numel), codec)
    encoded = bytearray(codec.payload_bytes(numel))
    codec.encode(numbers(numel), encoded)
    assert bytes(parcel.data) == bytes(encoded)
    assert parcel.payload.checksum == whole_checksum(bytes(parcel.data))
    chunks = [*chunks_of(parcel, Pull(1, 0, 64, BLOCK))]
    assert len(chunks) == len(parcel.checksums)
    for index, (chunk, data) in enumerate(chunks):
        assert chunk.checksum == checksum(data, index * BLOCK)
    assert torch.equal(admitted(parcel, numel, codec).storage, unpack(parcel, numel, codec))


@every_codec
@given(
    numel=st.integers(1, 4000),
    window=st.integers(1, 9),
    fates=st.lists(st.sampled_from(["arrive", "drop", "twice", "last", "wait"]), max_size=60),
)
@settings(max_examples=60)
def test_a_model_comes_whole_through_any_link_that_delivers_in_the_end(
    name: str, numel: int, window: int, fates: list[str]
) -> None:
    """Chunks are lost, doubled, delayed and reordered for a while; never are more asked for than the window holds."""
    codec, vector, now = make_codec(name), numbers(numel), 0.0
    parcel, offer = pack(vector, codec), offered(vector, codec)
    fetches, fate = fetches_for(numel, codec, window), iter(fates)
    link = [c for pull in fetches.begin(offer, now) for c in served(parcel, offer, pull)]
    for _ in range(10_000):
        assert fetches.held_bytes == 4 * numel
        assert len(fetches._transfers[1].asked) <= window
        now += 0.01
        if not link:
            assert fetches.deadline is not None
            now = max(now, fetches.deadline)
            link += [c for peer, pull in fetches.wake(now) for c in served(parcel, offer, pull)]
            assert link
            continue
        match next(fate, "arrive"):
            case "drop":
                link.pop(0)
                continue
            case "twice":
                link.insert(0, link[0])
            case "last":
                link.insert(0, link.pop())
            case "wait":
                now += 1
        pulls, done, model = fetches.chunk(*link.pop(0), now)
        link += [c for pull in pulls for c in served(parcel, offer, pull)]
        if done:
            break
        assert model is None or reason(model) is Reason.DUPLICATE
    assert done == offer
    assert isinstance(model, Snapshot)
    assert (model.round, model.age, model.samples, model.digest) == (3, 60, 1000, spec_of(numel).digest)
    assert torch.equal(model.storage, unpack(parcel, numel, codec))
    assert (fetches.held_bytes, fetches.deadline, fetches.wake(now + 100)) == (0, None, [])


def test_without_losses_nothing_is_asked_for_twice() -> None:
    vector = numbers(5000)
    parcel, offer = pack(vector, FLOAT32), offered(vector)
    fetches = fetches_for(5000)
    pulls, asked, model = fetches.begin(offer, 0.0), [], None
    while pulls:
        asked += [index for pull in pulls for index in range(pull.first, pull.first + pull.count)]
        arriving = [c for pull in pulls for c in served(parcel, offer, pull)]
        pulls = []
        for message, data in arriving:
            more, _, model = fetches.chunk(message, data, 0.0)
            pulls += more
    assert asked == list(range(20))
    assert torch.equal(model.storage, vector)


def test_a_fetch_that_was_cut_off_goes_on_with_what_is_here() -> None:
    vector = numbers(2000)  # 8 chunks
    parcel, offer = pack(vector, FLOAT32), offered(vector)
    fetches = fetches_for(2000, window=8)
    (pull,) = fetches.begin(offer, 0.0)
    for message, data in served(parcel, offer, pull)[:5]:
        fetches.chunk(message, data, 1.0)
    (pull,) = fetches.begin(offer, 50.0)
    assert (pull.first, pull.count) == (5, 3)


@pytest.mark.parametrize("change", ["round", "session", "numbers"])
def test_another_offer_takes_the_place_of_the_one_before(change: str) -> None:
    """Not a byte of the old model gets into the new one."""
    old, new = numbers(600), numbers(600) + (change == "numbers")
    first = offered(old)
    second = offered(new, round=4 if change == "round" else 3, session=10 if change == "session" else 9)
    fetches = fetches_for(600)
    (pull,) = fetches.begin(first, 0.0)
    stale = served(pack(old, FLOAT32), first, pull)
    fetches.chunk(*stale[0], 0.0)
    (pull,) = fetches.begin(second, 0.0)
    assert (pull.round, pull.first, pull.count) == (second.body.round, 0, 3)
    assert fetches.held_bytes == 2400
    if change != "numbers":
        assert reason(fetches.chunk(*stale[1], 0.0)[2]) is Reason.UNEXPECTED
    for message, data in served(pack(new, FLOAT32), second, pull):
        _, done, model = fetches.chunk(message, data, 0.0)
    assert done == second
    assert torch.equal(model.storage, new)


def test_fetches_from_two_peers_do_not_touch_each_other() -> None:
    vectors = {1: numbers(600), 2: -numbers(600)}
    offers = {peer: offered(vector, sender=peer) for peer, vector in vectors.items()}
    fetches = fetches_for(600)
    arriving = [
        chunk
        for peer, vector in vectors.items()
        for pull in fetches.begin(offers[peer], 0.0)
        for chunk in served(pack(vector, FLOAT32), offers[peer], pull)
    ]
    models = {}
    for message, data in arriving[::2] + arriving[1::2]:
        _, done, model = fetches.chunk(message, data, 0.0)
        if done:
            models[done.sender] = model.storage
    assert {peer: torch.equal(model, vectors[peer]) for peer, model in models.items()} == {1: True, 2: True}


def test_cancel_lets_go_of_all_memory() -> None:
    fetches, offer = fetches_for(600), offered(numbers(600))
    (pull,) = fetches.begin(offer, 0.0)
    fetches.cancel(1)
    fetches.cancel(2)
    assert (fetches.held_bytes, fetches.deadline) == (0, None)
    chunk = served(pack(numbers(600), FLOAT32), offer, pull)[0]
    assert reason(fetches.chunk(*chunk, 0.0)[2]) is Reason.UNEXPECTED


def test_waking_early_asks_for_nothing() -> None:
    fetches = fetches_for(600)
    fetches.begin(offered(numbers(600)), 10.0)
    deadline = fetches.deadline
    assert 10.0 < deadline <= 10.0 + STALL_AT_MOST_S
    assert fetches.wake(deadline - 0.001) == []
    assert [peer for peer, _ in fetches.wake(deadline)] == [1]
    assert fetches.deadline > deadline
    assert fetches.wake(deadline) == []


def test_a_silent_peer_is_asked_less_and_less_but_never_given_up() -> None:
    fetches = fetches_for(600)
    fetches.begin(offered(numbers(600)), 0.0)
    times = [0.0]
    for _ in range(8):
        times.append(fetches.deadline)
        assert len(fetches.wake(times[-1])) == 1
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == STALL_AT_MOST_S


WRONG_CHUNKS: dict[str, tuple[dict[str, Any], dict[str, Any], Callable[[bytes], bytes], Reason]] = {
    "another sender": ({"sender": 2}, {}, bytes, Reason.UNEXPECTED),
    "another session": ({"session": 8}, {}, bytes, Reason.UNEXPECTED),
    "another round": ({}, {"round": 4}, bytes, Reason.UNEXPECTED),
    "beyond the end": ({}, {"index": 3}, bytes, Reason.UNEXPECTED),
    "far beyond the end": ({}, {"index": 2**48 - 1}, bytes, Reason.UNEXPECTED),
    "empty": ({}, {}, lambda data: b"", Reason.LENGTH),
    "a byte less": ({}, {}, lambda data: data[:-1], Reason.LENGTH),
    "a byte more": ({}, {}, lambda data: data + b"\0", Reason.LENGTH),
    "the last is shorter": ({}, {"index": 2}, bytes, Reason.LENGTH),
    "a flipped bit": ({}, {}, lambda data: data[:-1] + bytes([data[-1] ^ 1]), Reason.CORRUPT),
    "a wrong checksum": ({}, {"checksum": bytes(8)}, bytes, Reason.CORRUPT),
    "of another model": ({}, {"model": bytes(8)}, bytes, Reason.UNEXPECTED),
    "in another place": ({}, {"index": 1}, bytes, Reason.CORRUPT),
}


@pytest.mark.parametrize(("envelope", "fields", "change", "wanted"), WRONG_CHUNKS.values(), ids=list(WRONG_CHUNKS))
def test_a_wrong_chunk_is_refused_and_changes_nothing(
    envelope: dict[str, Any], fields: dict[str, Any], change: Callable[[bytes], bytes], wanted: Reason
) -> None:
    vector = numbers(600)
    parcel, offer, fetches = pack(vector, FLOAT32), offered(vector), fetches_for(600)
    (pull,) = fetches.begin(offer, 0.0)
    chunks = served(parcel, offer, pull)
    message, data = chunks[0]
    deadline = fetches.deadline
    wrong = replace(message, body=replace(message.body, **fields), **envelope)
    pulls, done, said = fetches.chunk(wrong, memoryview(change(bytes(data))), 1.0)
    assert (pulls, done) == ([], None)
    assert reason(said) is wanted
    assert fetches.deadline == deadline
    for message, data in chunks:
        _, done, model = fetches.chunk(message, data, 1.0)
    assert torch.equal(model.storage, vector)


def test_what_is_here_is_not_written_again() -> None:
    """Not even with other numbers under a sound checksum."""
    vector, offer, fetches = numbers(600), offered(numbers(600)), fetches_for(600)
    (pull,) = fetches.begin(offer, 0.0)
    first, *rest = served(pack(vector, FLOAT32), offer, pull)
    data = memoryview(bytes(CHUNK))
    other = replace(first[0], body=replace(first[0].body, checksum=checksum(data))), data
    fetches.chunk(*first, 0.0)
    for again in (first, other):
        assert reason(fetches.chunk(*again, 0.0)[2]) is Reason.DUPLICATE
    for chunk in rest:
        _, _, model = fetches.chunk(*chunk, 0.0)
    assert torch.equal(model.storage, vector)


def test_the_parts_must_be_of_the_model_that_was_offered() -> None:
    """Each chunk is sound, but some are of another model, as if the sender had packed it anew meanwhile."""
    vector, other = numbers(600), numbers(600) + 1
    offer, fetches = offered(vector), fetches_for(600)
    (pull,) = fetches.begin(offer, 0.0)
    sound = served(pack(vector, FLOAT32), offer, pull)
    for message, data in sound[:2]:
        fetches.chunk(message, data, 0.0)
    for message, data in served(pack(other, FLOAT32), offer, pull):
        assert reason(fetches.chunk(message, data, 0.0)[2]) is Reason.UNEXPECTED
    _, done, model = fetches.chunk(*sound[2], 0.0)
    assert done == offer
    assert torch.equal(model.storage, vector)


def test_a_chunk_that_was_dropped_on_the_way_is_asked_for_as_soon_as_a_later_one_comes() -> None:
    """Not after the seconds that it takes to think a link dead."""
    vector = numbers(256 * 12)
    parcel, offer, fetches = pack(vector, FLOAT32), offered(vector), fetches_for(256 * 12, window=4)
    (pull,) = fetches.begin(offer, 0.0)
    chunks = served(parcel, offer, pull)
    pulls, _, _ = fetches.chunk(*chunks[2], 0.0)
    assert [(p.first, p.count) for p in pulls] == [(0, 2), (4, 1)]


def test_chunks_of_an_odd_size_are_cut_between_numbers() -> None:
    vector = numbers(600)
    fetches = Fetches(spec_of(600), FLOAT32, 1027, 4)
    (pull,) = fetches.begin(offered(vector), 0.0)
    assert pull.chunk_bytes == 1024


@pytest.mark.usefixtures("_own_codecs")
def test_a_codec_that_can_only_decode_the_whole_is_fetched_too() -> None:
    """Back to front: no part of the payload is a part of the vector."""

    def encode(vector: Tensor, out: memoryview) -> None:
        FLOAT32.encode(vector.flip(0), out)

    def decode(payload: memoryview, out: Tensor) -> None:
        FLOAT32.decode(payload, out)
        out.copy_(out.flip(0))

    codecs.register("backwards")(lambda: Codec(lambda d: 4 * d, encode, decode, error=0.0))
    codec, vector = make_codec("backwards"), numbers(600)
    parcel, offer, fetches = pack(vector, codec), offered(vector, codec), fetches_for(600, codec)
    (pull,) = fetches.begin(offer, 0.0)
    for message, data in served(parcel, offer, pull):
        _, _, model = fetches.chunk(message, data, 0.0)
    assert torch.equal(model.storage, vector)
    assert parcel.payload.checksum == whole_checksum(bytes(parcel.data))


@every_codec
def test_nan_in_chunks_is_refused_once_the_model_is_whole(name: str) -> None:
    codec, vector = make_codec(name), numbers(1200)
    vector[700] = torch.nan
    offer, fetches = offered(vector, codec), fetches_for(1200, codec, window=8)
    (pull,) = fetches.begin(offer, 0.0)
    for message, data in served(pack(vector, codec), offer, pull):
        _, done, model = fetches.chunk(message, data, 0.0)
    assert done == offer
    assert reason(model) is Reason.NOT_FINITE
    assert (fetches.held_bytes, fetches.deadline) == (0, None)


@given(st.data())
@settings(max_examples=max(100, settings().max_examples))
def test_no_sequence_of_chunks_raises_or_takes_memory(drawn: st.DataObject) -> None:
    fetches, offer = fetches_for(600), offered(numbers(600))
    fetches.begin(offer, 0.0)
    counts = st.integers(0, 4) | st.integers(0, 2**48 - 1)
    for _ in range(drawn.draw(st.integers(0, 6))):
        size = drawn.draw(st.sampled_from([CHUNK, 352, 0, 1, 2400]))
        data = bytes([drawn.draw(st.integers(0, 255))]) * size
        index = drawn.draw(counts)
        seal = checksum(memoryview(data), index * CHUNK) if drawn.draw(st.integers(0, 3)) else bytes(8)
        model = drawn.draw(st.sampled_from([offer.body.payload.checksum] * 3 + [bytes(8)]))
        chunk = Chunk(drawn.draw(st.sampled_from([3, 3, 3, 2])), index, model, seal)
        message = Message(drawn.draw(st.sampled_from([1, 1, 2])), 0, drawn.draw(st.sampled_from([9, 9, 8])), chunk)
        pulls, done, said = fetches.chunk(message, memoryview(data), 0.0)
        assert fetches.held_bytes in (0, 2400)
        assert all(0 <= pull.first < pull.first + pull.count <= 3 for pull in pulls)
        assert said is None or isinstance(said, Refusal | Snapshot)
        assert done in (None, offer)


@pytest.mark.parametrize("chunk_s", [0.001, 1.0, 2.5, 5.0, STALL_AT_MOST_S - 1])
def test_a_slow_link_is_not_asked_for_more_than_it_brings(chunk_s: float) -> None:
    """Chunks come one by one, each `chunk_s` after the last: what is asked for twice comes twice, and slows it more."""
    vector = numbers(256 * 96)
    parcel, offer, fetches = pack(vector, FLOAT32), offered(vector), fetches_for(len(vector), window=8)
    queue = [c for pull in fetches.begin(offer, 0.0) for c in served(parcel, offer, pull)]
    sent, now, done = 0, 0.0, None
    while not done and sent < 1000:
        arrives = now + chunk_s
        while fetches.deadline is not None and fetches.deadline < arrives:
            now = fetches.deadline
            queue += [c for _, pull in fetches.wake(now) for c in served(parcel, offer, pull)]
        sent, now = sent + 1, arrives
        pulls, done, _ = fetches.chunk(*queue.pop(0), now)
        queue += [c for pull in pulls for c in served(parcel, offer, pull)]
    assert sent <= 96 + 3 * 8  # at the start, it cannot be known how slow the link is
