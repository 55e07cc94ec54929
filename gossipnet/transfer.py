"""How one model gets from a vector into a neighbor's inbox: packed once, sent to many, checked before it counts.

Small models are pushed whole inside the offer, and admitted at once. Larger ones are offered, and fetched by those who
want them in chunks: the receiver asks for a window of them, so that its memory is its own decision, and the sender
sends slices of the one parcel it holds. `pack` runs where the vector is written (the training thread), the rest where
frames come in (the I/O thread). A payload is admitted in the order of cost: what the header claims, the length, the
checksum, and only then the numbers themselves.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
import xxhash
from torch import Tensor

from gossipnet.codec import Codec, all_finite
from gossipnet.model import ModelSpec, Snapshot
from gossipnet.wire import Chunk, Message, Offer, Payload, Pull, Reason, Refusal

WINDOW = 8  # chunks asked for and not here yet: enough to keep a link busy, no more than a queue takes
STALL_S = 2.0  # without any chunk, those under way are asked for again; doubled each time
STALL_AT_MOST_S = 16.0  # a link that takes longer for one chunk needs smaller ones


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
    return Parcel(Payload(codec.name, size, checksum(data)), data)


def unpack(parcel: Parcel, numel: int, codec: Codec) -> Tensor:
    """What a receiver of `parcel` gets: (numel,) float32 on the CPU."""
    vector = torch.empty(numel)
    codec.decode(parcel.data, vector)
    return vector


def admit(offer: Offer, data: memoryview, spec: ModelSpec, codec: Codec) -> Snapshot | Refusal:
    """The model in `data` as a Snapshot whose storage is a new (d,) float32 CPU tensor, or why it is refused.

    Nothing is allocated for a payload whose header, length or checksum is wrong.
    """
    refusal = check(offer, spec, codec)
    if refusal:
        return refusal
    assert offer.payload is not None
    if data.nbytes != offer.payload.size:
        return Refusal(Reason.LENGTH, f"{data.nbytes} bytes, expected {offer.payload.size}")
    if checksum(data) != offer.payload.checksum:
        return Refusal(Reason.CORRUPT, "checksum differs")
    vector = torch.empty(spec.numel)
    codec.decode(data, vector)
    return _snapshot(offer, vector)


def check(offer: Offer, spec: ModelSpec, codec: Codec) -> Refusal | None:
    """Why the model of this header cannot be one of ours; None if it can."""
    payload = offer.payload
    if offer.digest != spec.digest:
        return Refusal(Reason.SPEC, f"model {offer.digest.hex()}, own is {spec}")
    if payload is None or payload.codec != codec.name:
        return Refusal(Reason.CODEC, f"codec {payload and payload.codec!r}, this swarm uses {codec.name!r}")
    size = codec.payload_bytes(spec.numel)
    if payload.size != size:
        return Refusal(Reason.LENGTH, f"{payload.size} bytes, expected {size}")
    return None


def _snapshot(offer: Offer, vector: Tensor) -> Snapshot | Refusal:
    if not all_finite(vector):
        return Refusal(Reason.NOT_FINITE, "nan or inf")
    return Snapshot(offer.digest, offer.round, offer.age, offer.samples, vector)


def checksum(data: memoryview) -> bytes:
    """xxh3_64 of some bytes, 8 bytes."""
    return xxhash.xxh3_64_digest(data)


def slice_of(parcel: Parcel, chunk_bytes: int, index: int) -> memoryview | None:
    """Chunk number `index` of a parcel; None if it has none of that number."""
    begin = index * chunk_bytes
    return parcel.data[begin : begin + chunk_bytes] if begin < parcel.payload.size else None


@dataclass(slots=True)
class Transfer:
    """One model on its way to us: what is here, what is asked for, what is not."""

    message: Message  # the Offer
    data: Tensor  # (size,) uint8, filled as chunks come
    chunk_bytes: int
    absent: set[int]  # chunks that are not here yet
    asked: set[int]  # of these, the ones that a Pull is out for
    heard_at: float  # when a chunk last came, or the fetch was begun
    moved_at: float  # the same, or when chunks were last asked for again
    stall_s: float = STALL_S

    @property
    def offer(self) -> Offer:
        assert isinstance(self.message.body, Offer)
        return self.message.body

    @property
    def n_chunks(self) -> int:
        return -(-len(self.data) // self.chunk_bytes)

    def heard(self, now: float) -> None:
        """A link that is slow is not one that is dead: what it asked for twice would come twice, and slow it more."""
        self.stall_s = min(max(self.stall_s, 4 * (now - self.heard_at)), STALL_AT_MOST_S)
        self.heard_at = self.moved_at = now


class Fetches:
    """The models that a node fetches: at most one from each peer, a window of chunks at a time.

    A pure state machine: `now` comes in, requests go out as (peer, Pull), to be sent as best as can be. Chunks may be
    lost, come twice, late, or in any order; what does not come in time is asked for again. The receiver decides what
    it holds: one buffer per peer, and `window` chunks under way. A fetch that is begun again for the same offer (the
    link was lost meanwhile) goes on with what is here.
    """

    def __init__(self, spec: ModelSpec, codec: Codec, chunk_bytes: int, window: int = WINDOW) -> None:
        self._spec, self._codec, self._chunk_bytes, self._window = spec, codec, chunk_bytes, window
        self._transfers: dict[int, Transfer] = {}

    @property
    def deadline(self) -> float | None:
        """Feed `wake` at this time."""
        due = [t.moved_at + t.stall_s for t in self._transfers.values() if t.asked]
        return min(due, default=None)

    @property
    def held_bytes(self) -> int:
        """Memory taken by models that are not complete."""
        return sum(len(t.data) for t in self._transfers.values())

    def begin(self, message: Message, now: float) -> list[Pull]:
        """Fetch the model of this Offer, in place of any other from its sender. Returns what to send to the sender."""
        offer = message.body
        assert isinstance(offer, Offer)
        assert offer.payload is not None
        transfer = self._transfers.get(message.sender)
        if transfer is None or transfer.message != message:
            data = torch.empty(offer.payload.size, dtype=torch.uint8)
            transfer = Transfer(message, data, self._chunk_bytes, set(), set(), now, now)
            transfer.absent = set(range(transfer.n_chunks))
            self._transfers[message.sender] = transfer
        transfer.asked.clear()  # whatever was under way is lost with the link
        transfer.stall_s, transfer.heard_at, transfer.moved_at = STALL_S, now, now
        return self._ask(transfer)

    def cancel(self, peer: int) -> None:
        """Let go of what has come from `peer`."""
        self._transfers.pop(peer, None)

    def chunk(
        self, message: Message, data: memoryview, now: float
    ) -> tuple[list[Pull], Message | None, Snapshot | Refusal | None]:
        """Take in a Chunk. Returns what to send to its sender; and once the model is complete, its Offer and the model.

        A chunk that nobody asked for, or that is not what its header says, comes back as a Refusal; it changes nothing.
        """
        chunk = message.body
        assert isinstance(chunk, Chunk)
        transfer = self._transfers.get(message.sender)
        refusal = self._fault(transfer, message, chunk, data)
        if transfer and (not refusal or refusal.reason is Reason.DUPLICATE):
            transfer.heard(now)
        if refusal or transfer is None:
            return [], None, refusal
        begin = chunk.index * transfer.chunk_bytes
        transfer.data.numpy()[begin : begin + data.nbytes] = np.frombuffer(data, np.uint8)
        transfer.absent.discard(chunk.index)
        transfer.asked.discard(chunk.index)
        if not transfer.absent:
            del self._transfers[message.sender]
            return [], transfer.message, self._whole(transfer)
        return self._ask(transfer), None, None

    def wake(self, now: float) -> list[tuple[int, Pull]]:
        """Ask again for what is overdue. Early wake-ups do no harm."""
        requests = []
        for peer, transfer in sorted(self._transfers.items()):
            if transfer.asked and now >= transfer.moved_at + transfer.stall_s:
                transfer.asked.clear()
                transfer.moved_at = now
                transfer.stall_s = min(2 * transfer.stall_s, STALL_AT_MOST_S)
                requests += [(peer, pull) for pull in self._ask(transfer)]
        return requests

    def _fault(self, transfer: Transfer | None, message: Message, chunk: Chunk, data: memoryview) -> Refusal | None:
        wanted = transfer is not None and transfer.message.session == message.session
        if transfer is None or not wanted or chunk.round != transfer.offer.round or chunk.index >= transfer.n_chunks:
            return Refusal(Reason.UNEXPECTED, "a chunk of nothing that we fetch", message.sender)
        begin = chunk.index * transfer.chunk_bytes
        if data.nbytes != min(transfer.chunk_bytes, len(transfer.data) - begin):
            return Refusal(Reason.LENGTH, f"a chunk of {data.nbytes} bytes", message.sender)
        if checksum(data) != chunk.checksum:
            return Refusal(Reason.CORRUPT, "checksum of a chunk differs", message.sender)
        if chunk.index not in transfer.absent:
            return Refusal(Reason.DUPLICATE, "a chunk that is here", message.sender)
        return None

    def _ask(self, transfer: Transfer) -> list[Pull]:
        """Fill the window, in as few requests as runs of chunks allow; a half-full window waits for more room."""
        room = self._window - len(transfer.asked)
        if 2 * room < self._window:
            return []
        wanted = sorted(transfer.absent - transfer.asked)[:room]
        transfer.asked.update(wanted)
        return [Pull(transfer.offer.round, first, count, transfer.chunk_bytes) for first, count in _runs(wanted)]

    def _whole(self, transfer: Transfer) -> Snapshot | Refusal:
        """The model that all chunks make; that each is sound does not show that they are of one model."""
        payload = transfer.offer.payload
        if payload is None or checksum(transfer.data.numpy().data) != payload.checksum:
            return Refusal(Reason.CORRUPT, "checksum of the whole differs", transfer.message.sender)
        return _snapshot(transfer.offer, self._vector(transfer.data))

    def _vector(self, data: Tensor) -> Tensor:
        if self._codec.name == "float32":  # its payload is the vector itself
            return data.view(torch.float32)
        vector = torch.empty(self._spec.numel)
        self._codec.decode(data.numpy().data, vector)
        return vector


def _runs(indices: list[int]) -> list[tuple[int, int]]:
    """Sorted numbers as runs: [3, 4, 5, 9] -> [(3, 3), (9, 1)]."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and index == sum(runs[-1]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return runs
