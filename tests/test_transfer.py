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
from gossipnet.transfer import Parcel, admit, pack, unpack
from gossipnet.wire import Message, Offer, Payload, Reason, Refusal, decode, encode

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


def resealed(parcel: Parcel, data: bytes) -> Parcel:
    """Other bytes, with the checksum that they should have: what a liar sends, not what a bad link does."""
    return Parcel(replace(parcel.payload, checksum=xxhash.xxh3_64_digest(data)), memoryview(data))


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
    payload = resealed(Parcel(Payload(name, len(data), b""), memoryview(b"")), data).payload
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
