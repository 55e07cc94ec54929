"""Large models in the simulator: offered, asked for and sent in chunks by the state machine of the live world.

Only the bytes themselves stay where they are. The fetching node runs `transfer.Fetches` over a stand-in with one byte
for each chunk, so that what is asked for when, what is asked for again, and the size of every message are the live
world's; with the last chunk the sender's snapshot changes hands.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from gossipnet.events import Received, Serve
from gossipnet.model import ModelSpec, Snapshot
from gossipnet.transfer import Fetches, asked_for, checksum, count_chunks
from gossipnet.wire import Chunk, Message, Offer, Payload, Pull, Refusal

_CODEC = "chunks"
_BYTE = memoryview(b"\0")


class _NoCodec:
    """Decodes the stand-in to nothing."""

    name = _CODEC
    element_bytes = 0

    def decode(self, data: memoryview, vector: Any) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk on its way, and the model that it is of."""

    message: Message
    snapshot: Snapshot


@dataclass(frozen=True)
class Parts:
    """How a model of `payload` travels: whole, inside its offer, or in chunks."""

    payload: Payload  # what the header says of it
    push_bytes: int
    chunk_bytes: int

    @property
    def whole(self) -> bool:
        return self.payload.size <= self.push_bytes

    @property
    def n_chunks(self) -> int:
        return count_chunks(self.payload.size, self.chunk_bytes)

    def offered(self, offer: Message) -> Message:
        """The offer as its receiver sees it, to fetch from."""
        assert isinstance(offer.body, Offer)
        stand_in = Payload(_CODEC, self.n_chunks, self.payload.checksum, inline=False)
        return replace(offer, body=replace(offer.body, payload=stand_in))

    def chunks(self, serve: Serve, sender: int, session: int) -> Iterator[tuple[Piece, int]]:
        """What is sent to a node that pulls, and the payload bytes of each."""
        for index in asked_for(serve.pull, self.n_chunks):
            chunk = Chunk(serve.pull.round, index, self.payload.checksum, checksum(_BYTE, index))
            message = Message(sender, serve.peer, session, chunk)
            size = min(self.chunk_bytes, self.payload.size - index * self.chunk_bytes)
            yield Piece(message, serve.snapshot), size

    def on_the_wire(self, message: Message) -> Message:
        """The message as it would be written: a Pull says the true length of chunks."""
        if isinstance(message.body, Pull):
            return replace(message, body=replace(message.body, chunk_bytes=self.chunk_bytes))
        return message


class Arrivals:
    """The models that one node fetches. Requests come back as messages, to be sent as best as can be."""

    def __init__(self, node: int, session: int) -> None:
        self._node, self._session = node, session
        self._fetches = Fetches(ModelSpec(()), _NoCodec(), chunk_bytes=1)  # type: ignore[arg-type]

    @property
    def deadline(self) -> float | None:
        """Call `wake` at this time."""
        return self._fetches.deadline

    def begin(self, offer: Message, now: float) -> list[Message]:
        return self._requests(offer.sender, self._fetches.begin(offer, now))

    def cancel(self, peer: int) -> None:
        self._fetches.cancel(peer)

    def wake(self, now: float) -> list[Message]:
        return [m for peer, pull in self._fetches.wake(now) for m in self._requests(peer, [pull])]

    def take_in(self, piece: Piece, now: float) -> tuple[list[Message], Received | None]:
        """What to send for more, and what the Node is to be told: nothing of a chunk that went where it should."""
        pulls, offer, found = self._fetches.chunk(piece.message, _BYTE, now)
        requests = self._requests(piece.message.sender, pulls)
        if offer is not None:
            return requests, Received(offer, piece.snapshot)
        return requests, Received(found) if isinstance(found, Refusal) else None

    def _requests(self, peer: int, pulls: list[Pull]) -> list[Message]:
        return [Message(self._node, peer, self._session, pull) for pull in pulls]
