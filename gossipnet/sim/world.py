"""The simulated world: the nodes of the live one, driven by a clock of events in place of sockets and processes.

A local step takes `compute_s` over the node's speed; merging, measuring and saving take no time. The network says when
what is sent arrives, the churn who is there, an engine how models are trained and merged. A process that comes again is
a new Node with a later session; what was due to the last one is void, and what was sent to it is lost.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from gossipnet.events import (
    Action,
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
    Started,
    Stopped,
    Train,
    Woke,
)
from gossipnet.node import Node, Phase
from gossipnet.sim.churn import Move, check_nodes, churns
from gossipnet.sim.clock import Clock
from gossipnet.sim.cuts import parse_cuts
from gossipnet.sim.engine import Engine, Job, Work
from gossipnet.sim.garbage import seldom_collected
from gossipnet.sim.network import Network
from gossipnet.sim.presets import Conditions
from gossipnet.sim.sizes import Headers
from gossipnet.sim.speeds import node_speeds
from gossipnet.sim.transfers import Arrivals, Parts, Piece
from gossipnet.streams import generator
from gossipnet.topology import Topology
from gossipnet.wire import Message, Offer

SESSION = 2**62  # as many bytes on the wire as a live session, which is a time in nanoseconds


class Outlet(Protocol):
    """Whom the nodes of a world answer to."""

    def report(self, time_s: float, node: int, event: str, round: int, numbers: Mapping[str, Any]) -> None:
        """Something to write down."""

    def sample(self, time_s: float, node: int, round: int) -> None:
        """The node's vector is now what it is after `round`, of those that are measured; 0 is before the first."""

    def failure(self, time_s: float, node: int, error: str) -> None:
        """The node is done and did not get to the end."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a world is like, beside its topology."""

    conditions: Conditions
    parts: Parts
    seed: int
    cuts: Sequence[str] = ()
    compute_s: float = 0.01  # of a local step, at speed 1
    notice_s: float = 1.0  # until a node takes a neighbor to be gone
    seconds: float = 0.0  # when all end in good order; 0 is never
    stop_on_failure: bool = True


@dataclass(frozen=True, slots=True)
class Notice:
    """A node looks whether its link to `peer` is there; with `gone`, long enough after it may have gone."""

    peer: int
    gone: bool


@dataclass(frozen=True, slots=True)
class Chase:
    """What a node fetches may be overdue."""


Due = Event | Work | Piece | Notice | Chase | Move  # a Move is a tuple: it happens whatever process there is
TURN = "turn"  # the move by which a cut begins or ends


@dataclass(slots=True)
class Place:
    """One simulated node: the state machine, what it fetches, and what it has sent."""

    node: Node
    arrivals: Arrivals
    moves: Iterator[Move]
    here: bool = True  # its process is there
    life: int = 0  # counts its comings and goings
    sees: set[int] = field(default_factory=set)  # peers that it takes to be there
    bytes_sent: int = 0
    messages_sent: int = 0
    wake_at: float | None = None
    chase_at: float | None = None
    error: str | None = None


class World:
    """All nodes, and what will happen to them. Raises BadInput for what cannot be simulated."""

    def __init__(self, topology: Topology, setting: Setting, engine: Engine, outlet: Outlet) -> None:
        self.topology = topology
        self.setting = setting
        self.engine = engine
        self.ended_s = 0.0  # when the last node was done; wake-ups that nobody needs may come later
        self.interrupted = False
        self.failed: list[int] = []  # nodes that raised
        self._outlet = outlet
        self._parts = setting.parts
        self._headers = Headers()
        self._network = network_of(topology, setting)
        speeds = node_speeds(setting.conditions.speed, topology, setting.seed)
        self._step_s = [setting.compute_s / speed for speed in speeds]
        churn = churns.make(setting.conditions.churn)
        self.places = [
            Place(self._new_node(i, SESSION), Arrivals(i, SESSION), churn(i, generator(setting.seed, i, "churn")))
            for i in range(topology.n)
        ]
        self._clock: Clock[tuple[int, int, Due]] = Clock()
        self._stopped = False
        self._begun = False

    def _new_node(self, i: int, session: int) -> Node:
        return Node(self.topology.neighborhood(i), self.engine.config(i, session))

    @property
    def now(self) -> float:
        """Virtual seconds since the start."""
        return self._clock.now

    def run(self, until_s: float = math.inf) -> None:
        """From the first event to the last, or to the last one that is not after `until_s`; then on from there."""
        if not self._begun:
            self._begin_all()
        with seldom_collected():
            while self._clock and self._clock.next_time <= until_s:
                if self.interrupted and not self._stopped:
                    self._stop()
                self._next()
        if not self._clock:
            self._end_all()

    def interrupt(self) -> None:
        """End in good order; may be called at any time, by a signal handler too."""
        self.interrupted = True

    def _begin_all(self) -> None:
        self._begun = True
        absent = {i for i, place in enumerate(self.places) if self._schedule_move(i, place) == "join"}
        for i, place in enumerate(self.places):
            place.here = i not in absent
            if place.here:
                for peer in place.node.peers:
                    self._push(0.0, i, PeerDown(peer) if peer in absent else Notice(peer, gone=False))
                self._start(i)
        for at in self._network.turns():
            self._push(at, 0, (at, TURN))

    def _start(self, i: int) -> None:
        self._push(self.now, i, Started())
        if self.setting.seconds:
            self._push(self.setting.seconds, i, Stopped())

    def _end_all(self) -> None:
        """Nothing more will happen. Who is not done is not there, or waits for what does not come."""
        for i, place in enumerate(self.places):
            if place.node.phase is Phase.DONE:
                continue
            if place.here:
                self.failed.append(i)
            gone = f"waits without end, {place.node.phase.value} in round {place.node.round}"
            place.error = gone if place.here else "was not there when the run ended"
            self._outlet.failure(self.now, i, place.error)

    def _stop(self) -> None:
        """All nodes end after the step that they are at."""
        self._stopped = True
        for i in range(len(self.places)):
            self._push(self.now, i, Stopped())

    def _push(self, at: float, i: int, due: Due) -> None:
        self._clock.push(at, (i, self.places[i].life, due))

    def _next(self) -> None:
        i, life, due = self._clock.pop()
        place = self.places[i]
        if isinstance(due, tuple):
            self._move(i, place, due[1])
        elif life == place.life and place.here:
            if isinstance(due, Received):  # first, for most are
                self._handle(i, due)
            elif isinstance(due, Work):
                self._work(self._jobs_like(i, due))
            else:
                self._happen(i, place, due)

    # --- what is due -------------------------------------------------------------------------------------------

    def _jobs_like(self, i: int, work: Work) -> list[Job]:
        """That job, and those of its kind that are due next at the same time."""
        others = self._clock.pop_while(lambda other: type(other[2]) is type(work))
        alive = [Job(j, other) for j, life, other in others if life == self.places[j].life and isinstance(other, Work)]
        return [Job(i, work), *alive]

    def _work(self, jobs: Sequence[Job]) -> None:
        """Jobs of one kind that are due now: their results are events."""
        for (i, work), event in zip(jobs, self.engine.carry_out(jobs), strict=True):
            if isinstance(work, Evaluate) and not work.final:
                self._outlet.sample(self.now, i, work.round)
            self._handle(i, event)

    def _happen(self, i: int, place: Place, due: "Event | Piece | Notice | Chase") -> None:
        match due:
            case Piece():
                self._take_in(i, place, due)
            case Notice():
                self._look(i, place, due)
            case Chase():
                place.chase_at = None
                self._request(i, place, place.arrivals.wake(self.now))
            case _:
                if isinstance(due, Woke):
                    place.wake_at = None
                self._handle(i, due)

    def _handle(self, i: int, event: Event) -> None:
        place = self.places[i]
        node = place.node
        for action in node.handle(event, self._clock.now):
            self._carry_out(i, place, action)
        deadline = node.deadline
        if deadline is not None and (place.wake_at is None or deadline < place.wake_at):
            place.wake_at = deadline
            self._push(deadline, i, Woke())

    def _carry_out(self, i: int, place: Place, action: Action) -> None:
        match action:
            case Send():
                self._send(i, place, action)
            case Report():
                self._outlet.report(self.now, i, action.event, action.round, action.numbers)
            case Train():
                self._begin(i, action)
            case Merge() | Evaluate() | Save():
                self._push(self.now, i, action)
            case Fetch():
                self._request(i, place, place.arrivals.begin(action.message, self.now))
            case Cancel():
                place.arrivals.cancel(action.peer)
            case Serve():
                self._serve(i, place, action)
            case Finish():
                self._finish(i, place, action)

    def _begin(self, i: int, action: Train) -> None:
        """It is trained when it is due. The step under way when time is up is the last one, as in the live world."""
        steps, each_s, left_s = action.steps, self._step_s[i], self.setting.seconds - self.now
        if self.setting.seconds:
            steps = min(steps, max(1, math.ceil(left_s / each_s - 1e-9)))  # sums of times are not exact
            action = replace(action, steps=steps)
        if action.round == 1:
            self._outlet.sample(self.now, i, 0)
        self.engine.begin(i, action)
        self._push(self.now + steps * each_s, i, action)

    def _finish(self, i: int, place: Place, action: Finish) -> None:
        place.error, place.here, self.ended_s = action.error, False, self.now
        for peer in place.node.peers:
            self._push(self._network.line(i, peer).after_all(self.now), peer, Notice(i, gone=True))
        if action.error is None:
            return
        self.failed.append(i)
        self._outlet.failure(self.now, i, action.error)
        if self.setting.stop_on_failure and not self._stopped:
            self._stop()

    # --- messages ----------------------------------------------------------------------------------------------

    def _send(self, i: int, place: Place, action: Send) -> None:
        message = action.message
        if not isinstance(message.body, Offer):
            sent = self._transmit(i, place, message, self._headers.size(message), Received(message))
        elif self._parts.whole:
            size = self._headers.size(message, self._parts.payload) + self._parts.payload.size
            sent = self._transmit(i, place, message, size, Received(message, action.snapshot))
        else:
            size = self._headers.size(message, self._parts.payload)
            sent = self._transmit(i, place, message, size, Received(self._parts.offered(message)))
        if not sent:
            self._push(self.now, i, SendDropped(message))

    def _transmit(self, i: int, place: Place, message: Message, size: int, due: Due) -> bool:
        """Put a message on its line; False if that takes no more."""
        receiver = message.receiver
        times = self._network.line(i, receiver).send(size, self._clock.now)
        if times is None:
            return False
        place.bytes_sent += size
        place.messages_sent += 1
        for at in times:
            self._push(at, receiver, due)
        return True

    def _request(self, i: int, place: Place, requests: list[Message]) -> None:
        """Ask for chunks. Best effort: what gets lost is asked for again."""
        for message in requests:
            self._transmit(i, place, message, self._headers.size(self._parts.on_the_wire(message)), Received(message))
        deadline = place.arrivals.deadline
        if deadline is not None and (place.chase_at is None or deadline < place.chase_at):
            place.chase_at = deadline
            self._push(deadline, i, Chase())

    def _serve(self, i: int, place: Place, action: Serve) -> None:
        """Send chunks until the line takes no more; the receiver asks again for the rest."""
        for piece, size in self._parts.chunks(action, i, place.node.config.session):
            if not self._transmit(i, place, piece.message, self._headers.size(piece.message) + size, piece):
                return
        if action.pull.first + action.pull.count >= self._parts.n_chunks:
            self._handle(i, Served(action.peer, action.pull.round))

    def _take_in(self, i: int, place: Place, piece: Piece) -> None:
        requests, received = place.arrivals.take_in(piece, self.now)
        self._request(i, place, requests)
        if received is not None:
            self._handle(i, received)

    # --- who is there ------------------------------------------------------------------------------------------

    def _schedule_move(self, i: int, place: Place) -> str | None:
        """The node's next move takes its place among what will happen; None if there is none."""
        at, what = next(place.moves, (math.inf, None))
        if what is not None:
            self._push(at, i, (at, what))
        return what

    def _move(self, i: int, place: Place, what: str) -> None:
        if what == TURN:
            for one, other in self.topology.edges:
                self._notice_both(one, other)
            return
        if place.node.phase is Phase.DONE or self._over:
            return  # who is not there when the run ends stays away
        if what == "crash":
            self._crash(i, place)
        elif what == "leave":
            self._handle(i, Stopped())
        else:
            self._come(i, place, what)
        self._schedule_move(i, place)

    @property
    def _over(self) -> bool:
        return self._stopped or bool(self.setting.seconds and self.now >= self.setting.seconds)

    def _crash(self, i: int, place: Place) -> None:
        place.here = False
        place.life += 1
        self._outlet.report(self.now, i, "crashed", max(1, place.node.round), {})
        for peer in place.node.peers:
            self._notice_both(i, peer)

    def _come(self, i: int, place: Place, what: str) -> None:
        before = place.node
        place.life += 1
        session = SESSION + place.life
        place.here, place.node, place.arrivals = True, self._new_node(i, session), Arrivals(i, session)
        place.wake_at = place.chase_at = None
        place.sees.clear()
        if what == "restart":
            place.node.merged, place.node.age, place.node.steps = before.merged, before.age, before.steps
        if what != "join":
            self.engine.lost(i, empty=what == "restart-empty")
        event = "joined" if what == "join" else "restarted"
        self._outlet.report(self.now, i, event, place.node.merged + 1, {})
        self._start(i)
        for peer in place.node.peers:
            self._notice_both(i, peer)

    def _notice_both(self, i: int, j: int) -> None:
        """Something happens to the link between two nodes. Each will see it, sooner if it is there than if not."""
        for one, other in ((i, j), (j, i)):
            self._push(self.now + self._network.line(other, one).latency_s, one, Notice(other, gone=False))
            self._push(self.now + self.setting.notice_s, one, Notice(other, gone=True))

    def _look(self, i: int, place: Place, notice: Notice) -> None:
        peer = notice.peer
        there = self.places[peer].here and self._network.whole(i, peer, self.now)
        if there and peer not in place.sees:
            place.sees.add(peer)
            self._handle(i, PeerUp(peer))
        elif notice.gone and not there:  # seen before or not: a process that comes later is not waited for
            place.sees.discard(peer)
            self._handle(i, PeerDown(peer))


def network_of(topology: Topology, setting: Setting) -> Network:
    """The network of a world. Raises BadInput."""
    check_nodes(setting.conditions.churn, topology.n)
    return Network(topology, setting.conditions, setting.seed, parse_cuts(setting.cuts, topology.n))
