"""How one model gets from a vector into a neighbor's inbox: packed once, sent to many, checked before it counts.

Small models are pushed whole inside the offer. `pack` runs where the vector is written (the training thread), `admit`
where frames come in (the I/O thread); both are functions of their arguments. A payload is admitted in the order of
cost: what the header claims, the length, the checksum, and only then the numbers themselves.
"""

from dataclasses import dataclass, field

import torch
import xxhash
from torch import Tensor

from gossipnet.codec import Codec, all_finite
from gossipnet.model import ModelSpec, Snapshot
from gossipnet.wire import Offer, Payload, Reason, Refusal


@dataclass(frozen=True, slots=True, eq=False)
class Parcel:
    """An encoded model. One parcel serves all neighbors; nobody writes to `data` once it is made."""

    payload: Payload
    data: memoryview = field(repr=False)


def pack(vector: Tensor, codec: Codec) -> Parcel:
    """Encode `vector` (d,) float32, on any device, into bytes of its own."""
    # bytearray(n) would write zeros first; torch.empty does not, and its memory is pinned by the view.
    size = codec.payload_bytes(vector.numel())
    data = torch.empty(size, dtype=torch.uint8).numpy().data
    codec.encode(vector, data)
    return Parcel(Payload(codec.name, size, xxhash.xxh3_64_digest(data)), data)


def unpack(parcel: Parcel, numel: int, codec: Codec) -> Tensor:
    """What a receiver of `parcel` gets: (numel,) float32 on the CPU."""
    vector = torch.empty(numel)
    codec.decode(parcel.data, vector)
    return vector


def admit(offer: Offer, data: memoryview, spec: ModelSpec, codec: Codec) -> Snapshot | Refusal:
    """The model in `data` as a Snapshot whose storage is a new (d,) float32 CPU tensor, or why it is refused.

    Nothing is allocated for a payload whose header, length or checksum is wrong.
    """
    payload = offer.payload
    if offer.digest != spec.digest:
        return Refusal(Reason.SPEC, f"model {offer.digest.hex()}, own is {spec}")
    if payload is None or payload.codec != codec.name:
        return Refusal(Reason.CODEC, f"codec {payload and payload.codec!r}, this swarm uses {codec.name!r}")
    size = codec.payload_bytes(spec.numel)
    if payload.size != size or data.nbytes != size:
        return Refusal(Reason.LENGTH, f"{data.nbytes} bytes, expected {size}")
    if xxhash.xxh3_64_digest(data) != payload.checksum:
        return Refusal(Reason.CORRUPT, "checksum differs")
    vector = torch.empty(spec.numel)
    codec.decode(data, vector)
    if not all_finite(vector):
        return Refusal(Reason.NOT_FINITE, "nan or inf")
    return Snapshot(offer.digest, offer.round, offer.age, offer.samples, vector)
