"""The I/O thread of a node process: it owns the Node and all sockets, and no tensor work is done in it but admission.

Events reach the Node from four sides: the sockets, the training thread (`post`), the launcher, and the clock. Actions
go out on two: messages to the sockets, and Train, Merge, Evaluate and Save to the training thread, through one queue.
"""

import math
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from gossipnet.arena import Arena
from gossipnet.chunk_header import ChunkReader, ChunkWriter
from gossipnet.codec import Codec
from gossipnet.events import (
    Cancel,
    Evaluate,
    Event,
    Fetch,
    Finish,
    Merge,
    PeerDown,
    PeerUp,
    Received,
    Report,
    Save,
    Send,
    SendDropped,
    Serve,
    Served,
    Single,
    Started,
    Stopped,
    Train,
    Woke,
    one_by_one,
)
from gossipnet.live.memory import keep_free_memory
from gossipnet.live.zeromq import READABLE, Arrival, Poller, Transport
from gossipnet.model import ModelSpec
from gossipnet.node import Node
from gossipnet.transfer import WINDOW, Fetches, Parcel, admit, check, chunks_of, count_chunks
from gossipnet.wire import Chunk, Iam, Message, Offer, Pull, Reason, Refusal, Who, encode

BATCH = 64  # messages read before anything else gets its turn
ANSWERS = 4  # the same of answers, from each neighbor
DOWN_AFTER_S = 1.0  # a link that is back by then was never down: libzmq reconnects after 0.05 s
LOOK_EVERY_S = 0.25  # at who is at the door, and at links that are about to be down

Work = Train | Merge | Evaluate | Save


@dataclass(frozen=True)
class Place:
    """Where a node is in the network."""

    node: int
    listen: str  # endpoint to bind
    peers: Mapping[int, str]  # neighbor -> endpoint
    swarm: bytes  # 8 bytes that all nodes of the run share
    epoch: float  # time.monotonic() that is time_s 0


class Outlet(Protocol):
    """Whom the node answers to: a launcher, or its own run folder and terminal."""

    def fileno(self) -> int | None:
        """A descriptor that is readable when `commands` has something; None if nothing ever comes."""

    def commands(self) -> list[Mapping[str, Any]]:
        """{"stop": True}, or {"left": node}."""

    def report(self, time_s: float, event: str, round: int, numbers: Mapping[str, Any]) -> None: ...


class Driver(threading.Thread):
    """Drives one Node. Start it, then work on `actions` until it yields None; `finish` or `crash` tells the end."""

    def __init__(
        self, place: Place, node: Node, spec: ModelSpec, codec: Codec, push_bytes: int, chunk_bytes: int, outlet: Outlet
    ) -> None:
        super().__init__(name="gossipnet-io", daemon=True)
        self.place = place
        self.node = node
        self.codec = codec
        self.actions: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self.stopping = threading.Event()
        self.finish = Finish("the node did not start")
        self.crash: BaseException | None = None  # BadInput if the port cannot be had
        self.messages_sent = 0
        self.bytes_sent = 0
        self._spec = spec
        self._push_bytes = push_bytes
        self._chunk_bytes = chunk_bytes
        self.arena = Arena(spare=max(2, len(place.peers)))  # as many as a merge lets go of, and the oldest own one
        self._fetches = Fetches(spec, codec, chunk_bytes, WINDOW, self.arena)
        self._reader = ChunkReader(place.swarm)
        self._outlet = outlet
        self._transport: Transport
        self.opened = threading.Event()  # the port is ours, or `crash` says why not
        self._posted: deque[Event | Callable[[], Event | None]] = deque()
        self._waker, self._wake = os.pipe()
        self._down_at: dict[int, float] = {}
        self._look_at = 0.0
        self._done = False

    # --- called by the training thread -------------------------------------------------------------------------

    def post(self, what: Event | Callable[[], Event | None]) -> None:
        """Hand over an event for the Node, or something to call in this thread, which may make one."""
        self._posted.append(what)
        os.write(self._wake, b"w")

    def end(self) -> None:
        """Stop the thread, if it still runs, and wait for it: messages on their way get a second to leave."""
        self.post(self._enough)
        self.join()
        os.close(self._wake)
        os.close(self._waker)

    # --- the thread --------------------------------------------------------------------------------------------

    def run(self) -> None:
        try:
            self._open()
            self.opened.set()
            try:
                self._drive()
            finally:
                self._transport.close()
        except BaseException as error:
            self.crash = error
        finally:
            self.opened.set()
            self.stopping.set()
            self.actions.put(None)

    def _open(self) -> None:
        """Take the port, and wait for it and for whoever else has something to say."""
        self._transport = Transport(self.place.listen, self.place.peers, self._most_bytes())
        self._poller = Poller()
        self._poller.register(self._waker, READABLE)
        if self._outlet.fileno() is not None:
            self._poller.register(self._outlet.fileno(), READABLE)
        self._transport.register(self._poller)
        if self._most_bytes() == self._chunk_bytes:
            keep_free_memory()

    def _most_bytes(self) -> int:
        """The largest payload that may come in."""
        size = self.codec.payload_bytes(self._spec.numel)
        return size if size <= self._push_bytes else self._chunk_bytes

    def _drive(self) -> None:
        self._handle(Started())
        while not self._done:
            self._turn()

    def _enough(self) -> None:
        self._done = True

    def _turn(self) -> None:
        ready = dict(self._poller.poll(self._timeout_ms()))
        if self._outlet.fileno() in ready:
            self._commands()
        if self._waker in ready:
            os.read(self._waker, 4096)
        while self._posted:
            what = self._posted.popleft()
            event = what() if callable(what) else what
            if event is not None:
                self._handle(event)
        self._listen(ready)
        self._look()
        if self.node.deadline is not None and self.now() >= self.node.deadline:
            self._handle(Woke())
        for peer, pull in self._fetches.wake(self.now()):
            self._pull(peer, [pull])

    def _timeout_ms(self) -> int:
        until = self.now() + LOOK_EVERY_S
        until = min([until, *(d for d in (self.node.deadline, self._fetches.deadline) if d is not None)])
        return max(0, math.ceil((until - self.now()) * 1000))

    def now(self) -> float:
        """time_s: seconds since the run began."""
        return time.monotonic() - self.place.epoch

    def _commands(self) -> None:
        for command in self._outlet.commands():
            if "stop" in command:
                self.stopping.set()
                self.post(Stopped())
            elif command.get("left") in self.place.peers:
                self.post(PeerDown(command["left"]))

    def _listen(self, ready: Container[Any]) -> None:
        for peer, up in self._transport.links(ready):
            self._link(peer, up)
        for arrival in self._transport.receive(BATCH):
            self._arrived(arrival)
        for peer, frames in self._transport.answers(ANSWERS, ready):
            self._answered(peer, frames)
        self._transport.attend(self.now(), ready)
        for refusal in self._transport.door.refusals():
            self._handle(Received(refusal))

    def _link(self, peer: int, up: bool) -> None:
        if not up:
            self._down_at[peer] = self.now() + DOWN_AFTER_S
        elif self._down_at.pop(peer, None) is None:
            self._handle(PeerUp(peer))

    def _answered(self, peer: int, frames: list[memoryview]) -> None:
        """Nothing was asked: nodes of a deployment know each other by number."""
        self._handle(Received(Refusal(Reason.UNEXPECTED, "an answer to no question", peer)))

    def _arrived(self, arrival: Arrival) -> None:
        received = self._read(arrival)
        valid = received is None or not isinstance(received.message, Refusal)
        self._transport.door.came_out(arrival.descriptor, arrival.n_frames, arrival.size, valid, self.now())
        if received is not None:
            self._handle(received)

    def _read(self, arrival: Arrival) -> Received | None:
        """What the Node is to be told of a message; nothing of a chunk that went where it should."""
        frames = arrival.frames
        if frames is None:
            return Received(Refusal(Reason.FRAMES, "more frames than any message has"))
        message = self._decode(frames)
        if isinstance(message, Refusal):
            return Received(message)
        match message.body:
            case Offer():
                return self._read_offer(message, message.body, frames)
            case Chunk():
                return self._read_chunk(message, frames[1])
            case Who() | Iam():
                return self._asked(message, arrival)
            case _:
                return Received(message)

    def _decode(self, frames: list[memoryview]) -> Message | Refusal:
        return self._reader.decode(frames, self.place.node)

    def _header(self, message: Message) -> bytes:
        return encode(message, self.place.swarm)

    def _asked(self, message: Message, arrival: Arrival) -> Received | None:
        """Somebody wants to know who is here; only embedded nodes tell."""
        return Received(Refusal(Reason.UNEXPECTED, "a question of no neighbor", message.sender))

    def _read_offer(self, message: Message, offer: Offer, frames: list[memoryview]) -> Received:
        inline = len(frames) == 2
        found = admit(offer, frames[1], self._spec, self.codec) if inline else check(offer, self._spec, self.codec)
        if isinstance(found, Refusal):
            return Received(replace(found, sender=message.sender))
        return Received(message, found)

    def _read_chunk(self, message: Message, data: memoryview) -> Received | None:
        pulls, offer, found = self._fetches.chunk(message, data, self.now())
        self._pull(message.sender, pulls)
        if offer is not None:
            return Received(offer, found)
        return Received(found) if isinstance(found, Refusal) else None

    def _pull(self, peer: int, pulls: list[Pull]) -> None:
        """Best effort: what gets lost is asked for again."""
        session = self.node.config.session
        for pull in pulls:
            header = self._header(Message(self.place.node, peer, session, pull))
            self._transport.send(peer, header, None)

    def _serve(self, action: Serve) -> Served:
        """Send chunks until the link takes no more; the receiver asks again for the rest."""
        parcel: Parcel = action.snapshot.storage
        pull, writer = action.pull, self._writer(action.peer, parcel, action.pull)
        n_sent = 0
        for chunk, data in chunks_of(parcel, pull):
            if not self._transport.send(action.peer, writer.header(chunk), data):
                break
            n_sent += 1
        return Served(action.peer, pull, n_sent, count_chunks(parcel.payload.size, pull.chunk_bytes))

    def _writer(self, peer: int, parcel: Parcel, pull: Pull) -> ChunkWriter:
        first = Chunk(pull.round, 0, parcel.payload.checksum, bytes(8))
        return self._chunk_writer(Message(self.place.node, peer, self.node.config.session, first))

    def _chunk_writer(self, first: Message) -> ChunkWriter:
        return ChunkWriter(first, self.place.swarm)

    def _handle(self, event: Event) -> None:
        events = deque([event])
        while events:
            for action in one_by_one(self.node.handle(events.popleft(), self.now())):
                answer = self._carry_out(action)
                if answer is not None:
                    events.append(answer)

    def _carry_out(self, action: Single) -> Event | None:
        match action:
            case Send():
                return self._send(action)
            case Fetch():
                self._pull(action.message.sender, self._fetches.begin(action.message, self.now()))
            case Cancel():
                self._fetches.cancel(action.peer)
            case Serve():
                return self._serve(action)
            case Report():
                self._report(action)
            case Finish():
                self.finish = action
                self.bytes_sent, self.messages_sent = self._transport.bytes_sent, self._transport.messages_sent
                self._done = True
            case _:
                self.actions.put(action)
        return None

    def _send(self, action: Send) -> Event | None:
        message, data = action.message, None
        if isinstance(message.body, Offer) and action.snapshot is not None:
            parcel: Parcel = action.snapshot.storage
            message = replace(message, body=replace(message.body, payload=parcel.payload))
            pushed = parcel.payload.size <= self._takes_bytes(message.receiver)
            data = parcel.data if pushed else None  # else only offered
        sent = self._transport.send(message.receiver, self._header(message), data)
        return None if sent else SendDropped(action.message)

    def _takes_bytes(self, peer: int) -> int:
        """The largest model to send that neighbor inside an offer."""
        return self._push_bytes

    def _report(self, action: Report) -> None:
        numbers = dict(action.numbers)
        if action.event == "merged":
            numbers |= {"bytes_sent": self._transport.bytes_sent, "messages_sent": self._transport.messages_sent}
        self._outlet.report(self.now(), action.event, action.round, numbers)

    # --- now and then ------------------------------------------------------------------------------------------

    def _look(self) -> None:
        now = self.now()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY_S
        for peer in [peer for peer, at in self._down_at.items() if now >= at]:
            del self._down_at[peer]
            self._lost(peer)
        self._transport.door.look(now)

    def _lost(self, peer: int) -> None:
        self._handle(PeerDown(peer))
