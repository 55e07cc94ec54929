"""The I/O thread of a node that is embedded in somebody's program: neighbors are endpoints, and may be anybody.

What differs from a node of a deployment: who is at an endpoint is asked and not known, the network can be left and
entered again (`unplug`, `plug`), and the node leaves by itself, without waiting for the training thread (`leave`).
"""

from collections.abc import Callable, Container
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

from gossipnet.chunk_header import ChunkWriter
from gossipnet.codec import Codec
from gossipnet.events import Event, Merged, PeerDown, PeerUp, Received, Saved, Stopped, Trained
from gossipnet.live.driver import DOWN_AFTER_S, Driver, Outlet, Place
from gossipnet.live.meeting import Meetings
from gossipnet.live.zeromq import READABLE, Arrival, Poller
from gossipnet.model import ModelSpec, Snapshot
from gossipnet.node import Node, Phase
from gossipnet.wire import Message, Pull, Reason, Refusal, Who, decode, encode

T = TypeVar("T")


class EmbeddedOutlet(Outlet, Protocol):
    """Whom an embedded node tells what happens."""

    def refused(self, peer: int, why: str, before: bool) -> None:
        """There will be no exchange with that neighbor; `before`: there has been one."""


class EmbeddedDriver(Driver):
    """Drives the Node of an embedded node. Neighbors are numbered from 1, in the order of their list."""

    def __init__(
        self,
        place: Place,
        node: Node,
        spec: ModelSpec,
        codec: Codec,
        push_bytes: int,
        chunk_bytes: int,
        outlet: EmbeddedOutlet,
        meetings: Meetings,
    ) -> None:
        super().__init__(place, node, spec, codec, push_bytes, chunk_bytes, outlet)
        self.meetings = meetings
        self.plugged = False
        self._tell = outlet
        self._told: dict[int, int] = {}  # neighbor -> the process of it that the Node takes to be up
        self._traffic = (0, 0)  # bytes and messages sent by earlier transports

    # --- called by other threads -------------------------------------------------------------------------------

    def ask(self, what: Callable[[], T]) -> T:
        """What `what` returns in the I/O thread, or here once that has ended. Raises what it raises."""
        answer: SimpleQueue[tuple[Any, Exception | None]] = SimpleQueue()
        self.post(lambda: answer.put(_outcome(what)))
        while True:
            try:
                found, error = answer.get(timeout=0.1)
                break
            except Empty:
                if not self.is_alive():
                    found, error = _outcome(what)
                    break
        if error is not None:
            raise error
        made: T = found
        return made

    # --- in this thread, by `ask` or `post` --------------------------------------------------------------------

    def unplug(self) -> None:
        """Leave the network: no socket stays open, and all neighbors are down."""
        if not self.plugged:
            return
        self.plugged = False
        self._transport.close()
        self._traffic = self.traffic
        self._transport.bytes_sent = self._transport.messages_sent = 0
        self._poller = Poller()
        self._poller.register(self._waker, READABLE)
        self._down_at.clear()
        for peer in self.place.peers:
            self.meetings.disconnected(peer)
            self._lost(peer)

    def plug(self) -> None:
        """Enter the network again. Raises BadInput if the port is taken meanwhile."""
        if not self.plugged:
            self._open()

    def leave(self) -> None:
        """Say goodbye and end. Nothing is asked of the training thread any more."""
        self._handle(Stopped())
        while not self._done and self.node.phase in _ENOUGH:
            self._handle(_ENOUGH[self.node.phase])
        self._done = True

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes and messages sent so far."""
        return self._traffic[0] + self._transport.bytes_sent, self._traffic[1] + self._transport.messages_sent

    # --- where it differs --------------------------------------------------------------------------------------

    def _open(self) -> None:
        super()._open()
        self.plugged = True
        if self.place.listen.endswith(":0"):  # the same port when it comes back
            self.place = replace(self.place, listen=self._transport.endpoint)

    def _turn(self) -> None:
        super()._turn()
        if self.plugged:
            for peer, question in self.meetings.due(self.now()):
                self._transport.send(peer, encode(question, self.place.swarm), None)

    def _timeout_ms(self) -> int:
        found = super()._timeout_ms()
        due = self.meetings.deadline
        return found if due is None else min(found, max(0, int((due - self.now()) * 1000) + 1))

    def _listen(self, ready: Container[Any]) -> None:
        if self.plugged:
            super()._listen(ready)

    def _look(self) -> None:
        if self.plugged:
            super()._look()

    def _pull(self, peer: int, pulls: list[Pull]) -> None:
        if self.plugged:
            super()._pull(peer, pulls)

    def _link(self, peer: int, up: bool) -> None:
        if up:
            self._down_at.pop(peer, None)
            self.meetings.connected(peer, self.now())
        else:
            self._down_at[peer] = self.now() + DOWN_AFTER_S
            self.meetings.disconnected(peer)

    def _lost(self, peer: int) -> None:
        self._told.pop(peer, None)
        super()._lost(peer)

    def _answered(self, peer: int, frames: list[memoryview]) -> None:
        message = decode(frames, self.place.swarm, self.meetings.own.id)
        refusal = message if isinstance(message, Refusal) else self.meetings.answered(peer, message)
        if refusal is not None:
            self._handle(Received(refusal))
        else:
            self._met(peer)

    def _met(self, peer: int) -> None:
        """Somebody is there, perhaps another process than before."""
        link = self.meetings.links[peer]
        told = self._told.get(peer)
        if told is not None and (told != link.ordinal or link.fault):
            self._lost(peer)
        if link.fault:
            self._handle(PeerDown(peer))  # in step, nobody waits for it
            self._tell.refused(peer, link.fault, before=link.ordinal > 1)
        elif self.meetings.ready(peer) and peer not in self._told:
            self._told[peer] = link.ordinal
            self._handle(PeerUp(peer))

    def _decode(self, frames: list[memoryview]) -> Message | Refusal:
        message = self._reader.decode(frames, self.meetings.own.id)
        if isinstance(message, Refusal) or isinstance(message.body, Who):
            return message
        return self.meetings.local(message)

    def _header(self, message: Message) -> bytes:
        return encode(self.meetings.wire(message), self.place.swarm)

    def _chunk_writer(self, first: Message) -> ChunkWriter:
        return ChunkWriter(self.meetings.wire(first), self.place.swarm)

    def _asked(self, message: Message, arrival: Arrival) -> Received | None:
        if not isinstance(message.body, Who):
            return Received(Refusal(Reason.UNEXPECTED, "an answer where questions come in", message.sender))
        self._transport.answer(arrival.route, encode(self.meetings.answer(message), self.place.swarm))
        return None

    def _takes_bytes(self, peer: int) -> int:
        return self.meetings.takes_bytes(peer)


def _outcome(what: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return what(), None
    except Exception as error:
        return None, error


_ENOUGH: dict[Phase, Event] = {  # how an action ends that nobody carries out any more
    Phase.TRAINING: Trained(Snapshot(bytes(8), 0, 0, 0, None), 0, 0.0),
    Phase.MERGING: Merged(),
    Phase.SAVING: Saved(),
}
