"""How one model gets from a vector into a neighbor's inbox: packed once, sent to many, checked before it counts.

Small models are pushed whole inside the offer, and admitted at once. Larger ones are offered, and fetched by those who
want them in chunks: the receiver asks for a window of them, so that its memory is its own decision, and the sender
sends slices of the one parcel it holds. `pack` runs where the vector is written (the training thread), the rest where
frames come in (the I/O thread).

Nobody passes over a whole model more often than need be. Packing copies and sums up block by block, while a block is
in the cache. A model's checksum is that of its blocks' checksums; a chunk names the model that it is of, and its own
checksum covers its place. So a receiver checks each chunk, decodes it to where it belongs and looks for nan and inf in
it, in the order of cost, all at once; and when the last one is here, the model is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from torch import Tensor

from gossipnet.arena import FRESH, Arena
from gossipnet.codec import Bytes, Codec, all_finite
from gossipnet.model import ModelSpec, Snapshot
from gossipnet.wire import Chunk, Message, Offer, Payload, Pull, Reason, Refusal

BLOCK = 1 << 20  # bytes that are summed up together; a chunk of that size needs no checksum of its own
WINDOW = 16  # chunks asked for and not here yet: asked for by the half, so that few requests move many bytes
STALL_S = 2.0  # without any chunk, those under way are asked for again; doubled each time
STALL_AT_MOST_S = 16.0  # a link that takes longer for one chunk needs smaller ones


@dataclass(frozen=True, slots=True, eq=False)
class Parcel:
    """An encoded model. One parcel serves all neighbors; nobody writes to `data` once it is made."""

    payload: Payload
    data: memoryview = field(repr=False)
    checksums: tuple[bytes, ...] = field(repr=False)  # of its blocks


def pack(vector: Tensor, codec: Codec, arena: Arena = FRESH) -> Parcel:
    """Encode `vector` (d,) float32, on any device, into bytes of its own."""
    data = arena.take(codec.payload_bytes(vector.numel())).data
    if not codec.element_bytes:
        codec.encode(vector, data)
    plain = _memory(vector) if codec.plain else None
    checksums = []
    for place in _parts(data.nbytes, BLOCK):
        if plain is not None:
            _copy_in(plain[place], data[place])
        elif codec.element_bytes:
            codec.encode(vector[_numbers(place, codec)], data[place])
        checksums.append(checksum(data[place], place.start))
    return _parcel(codec, data, checksums)


def pack_in_place(vector: Tensor, codec: Codec, arena: Arena = FRESH) -> Parcel:
    """The same of a vector on the CPU that nobody will write to again: its bytes stay where they are, if they do."""
    if not codec.plain:
        return pack(vector, codec, arena)
    data = vector.numpy().data.cast("B")
    return _parcel(codec, data, [checksum(data[place], place.start) for place in _parts(data.nbytes, BLOCK)])


def _parcel(codec: Codec, data: memoryview, checksums: list[bytes]) -> Parcel:
    return Parcel(Payload(codec.name, data.nbytes, checksum(b"".join(checksums))), data, tuple(checksums))


def _copy_in(block: NDArray[np.uint8], to: memoryview) -> None:
    np.copyto(np.frombuffer(to, np.uint8), block)


def _memory(vector: Tensor) -> NDArray[np.uint8] | None:
    """The bytes that the vector lies in; None if they do not lie in the CPU's memory in one piece."""
    if vector.device.type != "cpu" or not vector.is_contiguous():
        return None
    return vector.detach().view(torch.uint8).numpy()


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
    if _whole_checksum(data.cast("B")) != offer.payload.checksum:
        return Refusal(Reason.CORRUPT, "checksum differs")
    vector = torch.empty(spec.numel)
    codec.decode(data, vector)
    return _snapshot(offer, vector, all_finite(vector))


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


def _snapshot(offer: Offer, vector: Tensor, finite: bool) -> Snapshot | Refusal:
    if not finite:
        return Refusal(Reason.NOT_FINITE, "nan or inf")
    return Snapshot(offer.digest, offer.round, offer.age, offer.samples, vector)


def checksum(data: Bytes, begin: int = 0) -> bytes:
    """xxh3_64 of some bytes, 8 bytes; other for the same bytes that begin elsewhere in a payload."""
    return xxhash.xxh3_64_digest(data, begin)


def _whole_checksum(data: memoryview) -> bytes:
    """The checksum of a payload: that of its blocks' checksums."""
    return checksum(b"".join(checksum(data[place], place.start) for place in _parts(data.nbytes, BLOCK)))


def _parts(size: int, part: int) -> Iterator[slice]:
    return (slice(begin, min(begin + part, size)) for begin in range(0, size, part))


def _numbers(place: slice, codec: Codec) -> slice:
    """The part of the vector that lies at `place` in its payload."""
    return slice(place.start // codec.element_bytes, place.stop // codec.element_bytes)


def chunks_of(parcel: Parcel, pull: Pull) -> Iterator[tuple[Chunk, memoryview]]:
    """The chunks of a parcel that a Pull asks for, as long as it wants them."""
    known = pull.chunk_bytes == BLOCK
    for index in asked_for(pull, count_chunks(parcel.payload.size, pull.chunk_bytes)):
        begin = index * pull.chunk_bytes
        data = parcel.data[begin : begin + pull.chunk_bytes]
        own = parcel.checksums[index] if known else checksum(data, begin)
        yield Chunk(pull.round, index, parcel.payload.checksum, own), data


def count_chunks(size: int, chunk_bytes: int) -> int:
    """How many chunks a payload of `size` bytes makes; the last may be shorter."""
    return -(-size // chunk_bytes)


def asked_for(pull: Pull, n_chunks: int) -> range:
    """The chunks that it asks for, of those that there are."""
    return range(pull.first, min(pull.first + pull.count, n_chunks))


@dataclass(slots=True)
class Transfer:
    """One model on its way to us: what is here, what is asked for, what is not."""

    message: Message  # the Offer
    held: NDArray[np.uint8]  # the vector, (4 d,) bytes; or the payload, if it can only be decoded as a whole
    size: int  # of the payload
    chunk_bytes: int
    absent: set[int]  # chunks that are not here yet
    unasked: list[int]  # a heap of those that no Pull is out for, and of some that have come nevertheless
    asked: dict[int, None]  # the absent ones that a Pull is out for, in that order
    heard_at: float  # when a chunk last came, or the fetch was begun
    moved_at: float  # the same, or when chunks were last asked for again
    stall_s: float = STALL_S
    finite: bool = True  # what is here

    @property
    def offer(self) -> Offer:
        assert isinstance(self.message.body, Offer)
        return self.message.body

    @property
    def n_chunks(self) -> int:
        return count_chunks(self.size, self.chunk_bytes)

    def place(self, index: int) -> slice:
        """Where that chunk lies in the payload."""
        begin = index * self.chunk_bytes
        return slice(begin, min(begin + self.chunk_bytes, self.size))

    def heard(self, now: float) -> None:
        """A link that is slow is not one that is dead: what it asked for twice would come twice, and slow it more."""
        self.stall_s = min(max(self.stall_s, 4 * (now - self.heard_at)), STALL_AT_MOST_S)
        self.heard_at = self.moved_at = now

    def came(self, index: int) -> None:
        """A link keeps the order: what was asked for before that chunk and is not here has been dropped on the way."""
        self.absent.discard(index)
        while index in self.asked:
            first = next(iter(self.asked))
            del self.asked[first]
            if first != index:
                heappush(self.unasked, first)

    def forget_asked(self) -> None:
        """Nothing is on its way any more."""
        self.asked.clear()
        self.unasked = sorted(self.absent)

    def ask(self, most: int) -> list[int]:
        """Up to `most` chunks to ask for, the first ones; they count as asked for."""
        wanted: list[int] = []
        while self.unasked and len(wanted) < most:
            index = heappop(self.unasked)
            if index in self.absent:
                wanted.append(index)
        self.asked.update(dict.fromkeys(wanted))
        return wanted


class Fetches:
    """The models that a node fetches: at most one from each peer, a window of chunks at a time.

    A pure state machine: `now` comes in, requests go out as (peer, Pull), to be sent as best as can be. Chunks may be
    lost, come twice, late, or in any order; what does not come in time is asked for again. The receiver decides what
    it holds: one buffer per peer, and `window` chunks under way. A fetch that is begun again for the same offer (the
    link was lost meanwhile) goes on with what is here.
    """

    def __init__(
        self, spec: ModelSpec, codec: Codec, chunk_bytes: int, window: int = WINDOW, arena: Arena = FRESH
    ) -> None:
        self._spec, self._codec, self._window, self._arena = spec, codec, window, arena
        self._chunk_bytes = chunk_bytes - chunk_bytes % (codec.element_bytes or 1)  # no number lies in two chunks
        self._transfers: dict[int, Transfer] = {}

    @property
    def deadline(self) -> float | None:
        """Feed `wake` at this time."""
        due = [t.moved_at + t.stall_s for t in self._transfers.values() if t.asked]
        return min(due, default=None)

    @property
    def held_bytes(self) -> int:
        """Memory taken by models that are not complete."""
        return sum(len(t.held) for t in self._transfers.values())

    def begin(self, message: Message, now: float) -> list[Pull]:
        """Fetch the model of this Offer, in place of any other from its sender. Returns what to send to the sender."""
        offer = message.body
        assert isinstance(offer, Offer)
        assert offer.payload is not None
        transfer = self._transfers.get(message.sender)
        if transfer is None or transfer.message != message:
            transfer = self._new(message, offer.payload.size, now)
            self._transfers[message.sender] = transfer
        transfer.forget_asked()  # it is lost with the link
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
        self._take_in(transfer, transfer.place(chunk.index), data)
        transfer.came(chunk.index)
        if not transfer.absent:
            del self._transfers[message.sender]
            return [], transfer.message, self._whole(transfer)
        return self._ask(transfer), None, None

    def wake(self, now: float) -> list[tuple[int, Pull]]:
        """Ask again for what is overdue. Early wake-ups do no harm."""
        requests = []
        for peer, transfer in sorted(self._transfers.items()):
            if transfer.asked and now >= transfer.moved_at + transfer.stall_s:
                transfer.forget_asked()
                transfer.moved_at = now
                transfer.stall_s = min(2 * transfer.stall_s, STALL_AT_MOST_S)
                requests += [(peer, pull) for pull in self._ask(transfer)]
        return requests

    def _new(self, message: Message, size: int, now: float) -> Transfer:
        held = self._arena.take(4 * self._spec.numel if self._codec.element_bytes else size)
        chunks = range(count_chunks(size, self._chunk_bytes))
        return Transfer(message, held, size, self._chunk_bytes, set(chunks), list(chunks), {}, now, now)

    def _fault(self, transfer: Transfer | None, message: Message, chunk: Chunk, data: memoryview) -> Refusal | None:
        if transfer is None or not _is_of(transfer, message, chunk) or chunk.index >= transfer.n_chunks:
            return Refusal(Reason.UNEXPECTED, "a chunk of nothing that we fetch", message.sender)
        place = transfer.place(chunk.index)
        if data.nbytes != place.stop - place.start:
            return Refusal(Reason.LENGTH, f"a chunk of {data.nbytes} bytes", message.sender)
        if checksum(data, place.start) != chunk.checksum:
            return Refusal(Reason.CORRUPT, "checksum of a chunk differs", message.sender)
        if chunk.index not in transfer.absent:
            return Refusal(Reason.DUPLICATE, "a chunk that is here", message.sender)
        return None

    def _take_in(self, transfer: Transfer, place: slice, data: memoryview) -> None:
        """Put a sound chunk where it belongs."""
        if not self._codec.element_bytes:
            transfer.held[place] = np.frombuffer(data, np.uint8)
            return
        if self._codec.plain:
            part = transfer.held[place]
            np.copyto(part, np.frombuffer(data, np.uint8))
            transfer.finite = transfer.finite and bool(np.isfinite(part.view(np.float32)).all())
            return
        numbers = self._vector(transfer)[_numbers(place, self._codec)]
        self._codec.decode(data, numbers)
        transfer.finite = transfer.finite and all_finite(numbers)

    def _vector(self, transfer: Transfer) -> Tensor:
        return torch.from_numpy(transfer.held).view(torch.float32)

    def _ask(self, transfer: Transfer) -> list[Pull]:
        """Fill the window, in as few requests as runs of chunks allow; a half-full window waits for more room."""
        room = self._window - len(transfer.asked)
        if 2 * room < self._window:
            return []
        wanted = transfer.ask(room)
        return [Pull(transfer.offer.round, first, count, transfer.chunk_bytes) for first, count in _runs(wanted)]

    def _whole(self, transfer: Transfer) -> Snapshot | Refusal:
        """The model, now that all chunks are here."""
        if self._codec.element_bytes:
            return _snapshot(transfer.offer, self._vector(transfer), transfer.finite)
        vector = torch.empty(self._spec.numel)
        self._codec.decode(transfer.held.data, vector)
        return _snapshot(transfer.offer, vector, all_finite(vector))


def _is_of(transfer: Transfer, message: Message, chunk: Chunk) -> bool:
    """The chunk is one of the model that was offered, not of another one, round or life of the sender."""
    payload = transfer.offer.payload
    same_life = transfer.message.session == message.session
    return same_life and chunk.round == transfer.offer.round and payload is not None and chunk.model == payload.checksum


def _runs(indices: list[int]) -> list[tuple[int, int]]:
    """Sorted numbers as runs: [3, 4, 5, 9] -> [(3, 3), (9, 1)]."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and index == sum(runs[-1]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return runs
