"""The I/O thread of a node process: it owns the Node and all sockets, and no tensor work is done in it but admission.

Events reach the Node from four sides: the sockets, the training thread (`post`), the launcher, and the clock. Actions
go out on two: messages to the sockets, and Train, Merge, Evaluate and Save to the training thread, through one queue.
"""

import ctypes
import math
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import zmq

from gossipnet.codec import Codec
from gossipnet.events import (
    Action,
    Evaluate,
    Event,
    Finish,
    Merge,
    PeerDown,
    PeerUp,
    Received,
    Report,
    Save,
    Send,
    SendDropped,
    Started,
    Stopped,
    Train,
    Woke,
)
from gossipnet.live.zeromq import Transport
from gossipnet.model import ModelSpec
from gossipnet.node import Node
from gossipnet.transfer import Parcel, admit
from gossipnet.wire import Offer, Reason, Refusal, decode, encode

BATCH = 64  # messages read before anything else gets its turn
DOWN_AFTER_S = 1.0  # a link that is back by then was never down: libzmq reconnects after 0.05 s
LOOK_EVERY_S = 0.25  # at the memory, and at links that are about to be down
SPARE_BYTES = 256 << 20  # that the process may grow by before the network is suspected

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
    """Drives one Node. Start it, `attach` the Node, then work on `actions` until it yields None; `error` tells the end.

    `die` is called, in this thread, when the process that started us is gone.
    """

    def __init__(
        self, place: Place, payload_bytes: int, outlet: Outlet, liveness: int | None, die: Callable[[], None]
    ) -> None:
        super().__init__(name="gossipnet-io", daemon=True)
        self.place = place
        self.actions: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self.stopping = threading.Event()
        self.finish = Finish("the node did not start")
        self.crash: BaseException | None = None
        self.messages_sent = 0
        self.bytes_sent = 0
        self._payload_bytes = payload_bytes
        self._outlet = outlet
        self._liveness = liveness
        self._die = die
        self._posted: deque[Event | Callable[[], None]] = deque()
        self._waker, self._wake = os.pipe()
        self._opened = threading.Event()
        self._node: Node | None = None
        self._spec: ModelSpec
        self._codec: Codec
        self._down_at: dict[int, float] = {}
        self._bytes_allowed: int | None = None
        self._look_at = 0.0
        self._done = False

    # --- called by the training thread -------------------------------------------------------------------------

    def wait_open(self) -> None:
        """Until the port is bound. Raises BadInput if it could not be."""
        self._opened.wait()
        if self.crash is not None:
            raise self.crash

    def attach(self, node: Node, spec: ModelSpec, codec: Codec) -> None:
        """Begin: from now on the Node is this thread's."""

        def begin() -> None:
            self._node, self._spec, self._codec = node, spec, codec
            self._transport.register(self._poller)
            self._handle(Started())

        self.post(begin)

    def post(self, what: Event | Callable[[], None]) -> None:
        """Hand over an event for the Node, or something to call in this thread."""
        self._posted.append(what)
        os.write(self._wake, b"w")

    def end(self) -> None:
        """Stop the thread, if it still runs, and wait for it: messages on their way get a second to leave."""
        self.post(self._stop)
        self.join()

    # --- the thread --------------------------------------------------------------------------------------------

    def run(self) -> None:
        try:
            self._open()
            self._opened.set()
            while not self._done:
                self._turn()
        except BaseException as error:
            self.crash = error
        finally:
            self._opened.set()
            self.stopping.set()
            self.actions.put(None)
            if hasattr(self, "_transport"):
                self._transport.close()

    def _stop(self) -> None:
        self._done = True

    def _open(self) -> None:
        self._poller = zmq.Poller()
        self._poller.register(self._waker, zmq.POLLIN)
        if self._liveness is not None:
            self._poller.register(self._liveness, zmq.POLLIN)
        if self._outlet.fileno() is not None:
            self._poller.register(self._outlet.fileno(), zmq.POLLIN)
        self._transport = Transport(self.place.listen, self.place.peers, self._payload_bytes)

    def _turn(self) -> None:
        ready = dict(self._poller.poll(self._timeout_ms()))
        if self._liveness in ready:
            self._die()
        if self._outlet.fileno() in ready:
            self._commands()
        if self._waker in ready:
            os.read(self._waker, 4096)
        while self._posted:
            what = self._posted.popleft()
            what() if callable(what) else self._handle(what)
        if self._node is not None:
            self._listen()
            self._look()
            if self._node.deadline is not None and self.now() >= self._node.deadline:
                self._handle(Woke())

    def _timeout_ms(self) -> int:
        until = self.now() + LOOK_EVERY_S
        if self._node is not None and self._node.deadline is not None:
            until = min(until, self._node.deadline)
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

    def _listen(self) -> None:
        for peer, up in self._transport.links():
            if not up:
                self._down_at[peer] = self.now() + DOWN_AFTER_S
            elif self._down_at.pop(peer, None) is None:
                self._handle(PeerUp(peer))
        for _ in range(self._transport.strangers(self.now())):
            self._handle(Received(Refusal(Reason.HANDSHAKE, "a connection that spoke no ZMTP")))
        for frames in self._transport.receive(BATCH):
            self._handle(self._read(frames))

    def _read(self, frames: list[memoryview] | None) -> Received:
        if frames is None:
            return Received(Refusal(Reason.FRAMES, "more frames than any message has"))
        message = decode(frames, self.place.swarm, self.place.node)
        if isinstance(message, Refusal) or not isinstance(message.body, Offer):
            return Received(message)
        admitted = admit(message.body, frames[1], self._spec, self._codec)
        if isinstance(admitted, Refusal):
            return Received(replace(admitted, sender=message.sender))
        return Received(message, admitted)

    def _handle(self, event: Event) -> None:
        assert self._node is not None
        events = deque([event])
        while events:
            for action in self._node.handle(events.popleft(), self.now()):
                answer = self._carry_out(action)
                if answer is not None:
                    events.append(answer)

    def _carry_out(self, action: Action) -> Event | None:
        match action:
            case Send():
                return self._send(action)
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
            data = parcel.data
        sent = self._transport.send(message.receiver, encode(message, self.place.swarm), data)
        return None if sent else SendDropped(action.message)

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
            self._handle(PeerDown(peer))
        self._look_at_memory()

    def _look_at_memory(self) -> None:
        """Cut all connections if the process has grown more than its own work explains.

        A peer can make libzmq collect a message without end, out of our sight. If memory falls when everything is
        cut, it was that; if not, it was the training's, and the measure moves up. A false alarm costs a reconnect.
        """
        assert self._node is not None
        held = resident_bytes()
        if self._bytes_allowed is None:
            if self._node.merged:  # the first round has shown what the work itself takes
                self._bytes_allowed = held + SPARE_BYTES + 4 * len(self.place.peers) * self._payload_bytes
            return
        if held <= self._bytes_allowed:
            return
        for peer in self._transport.cut(self._poller):
            self._down_at.setdefault(peer, self.now() + DOWN_AFTER_S)
        give_memory_back()
        left = resident_bytes()
        if held - left > SPARE_BYTES // 2:
            self._handle(Received(Refusal(Reason.FLOOD, f"{(held - left) >> 20} MiB came in that were no message")))
        else:
            self._bytes_allowed = left + SPARE_BYTES


def resident_bytes() -> int:
    """Memory of this process, as far as the system tells (Linux); 0 elsewhere."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def give_memory_back() -> None:
    """Let the C library return what is free to the system; without this a freed flood still counts as ours."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # not glibc
        return
