"""The simulated world: the nodes of the live one, driven by a clock of events in place of sockets and processes.

The pace says what local steps, merges and evaluations take (saving, and the last evaluation, take no time), the network
when what is sent arrives, the churn who is there, an engine how models are trained and merged. A process that comes
again is a new Node with a later session; what was due to the last one is void, and what was sent to it is lost.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol, get_args

from gossipnet.events import (
    Action,
    Arrived,
    Broadcast,
    Cancel,
    Evaluate,
    Event,
    Fetch,
    Finish,
    Merge,
    PeerDown,
    PeerUp,
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
from gossipnet.sim.pace import Pace, Times
from gossipnet.sim.post import Mail, Post
from gossipnet.sim.presets import Conditions
from gossipnet.sim.speeds import node_speeds
from gossipnet.sim.transfers import Arrivals, Parts, Piece
from gossipnet.streams import generator
from gossipnet.topology import Topology
from gossipnet.wire import Message

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
    times: Times = field(default_factory=Times)
    notice_s: float = 1.0  # until a node takes a neighbor to be gone
    seconds: float = 0.0  # so long after all have started they end in good order; 0 is never
    stop_on_failure: bool = True


@dataclass(frozen=True, slots=True)
class Notice:
    """A node looks whether its link to `peer` is there; with `gone`, long enough after it may have gone."""

    peer: int
    gone: bool


@dataclass(frozen=True, slots=True)
class Chase:
    """What a node fetches may be overdue."""


class Jobs(list[Job]):
    """Work of one kind that is due at one time."""


class Happening(NamedTuple):
    """What else is due to a node. A Move is a tuple: it happens whatever process there is."""

    node: int
    life: int
    what: Event | Notice | Chase | Move


Due = Mail | Jobs | Happening
TURN = "turn"  # the move by which a cut begins or ends
START = "start"  # the move of a node that starts later than others


@dataclass(slots=True)
class Place:
    """One simulated node: the state machine, and what it fetches."""

    node: Node
    arrivals: Arrivals
    moves: Iterator[Move]
    here: bool = True  # its process is there
    life: int = 0  # counts its comings and goings
    work: Work | None = None  # what is under way
    sees: set[int] = field(default_factory=set)  # peers that it takes to be there
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
        self._network = network_of(topology, setting)
        speeds = node_speeds(setting.conditions.speed, topology, setting.seed)
        self._pace = Pace(setting.times, speeds, setting.seed)
        self._until_s = self._pace.all_started_s + setting.seconds if setting.seconds else math.inf
        churn = churns.make(setting.conditions.churn)
        self.places = [
            Place(self._new_node(i, SESSION), Arrivals(i, SESSION), churn(i, generator(setting.seed, i, "churn")))
            for i in range(topology.n)
        ]
        self._clock: Clock[Due] = Clock()
        self.post = Post(topology.n, self._network, setting.parts, self._clock.push)
        self._jobs: dict[type[Work], dict[float, Jobs]] = {kind: {} for kind in get_args(Work)}
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
            at = self._pace.start_s(i)
            place.here = i not in absent and not at
            if at and i not in absent:
                self._push(at, i, (at, START))
            for peer in place.node.peers if i not in absent else ():
                self._push(at, i, Notice(peer, gone=peer in absent))
            if place.here:
                self._start(i)
        for at in self._network.turns():
            self._push(at, 0, (at, TURN))

    def _start(self, i: int) -> None:
        self._push(self.now, i, Started())
        if self._until_s < math.inf:
            self._push(self._until_s, i, Stopped())

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

    def _push(self, at: float, i: int, what: "Event | Notice | Chase | Move") -> None:
        self._clock.push(at, Happening(i, self.places[i].life, what))

    def _next(self) -> None:
        due = self._clock.pop()
        if isinstance(due, Mail):
            self.post.take(self._clock.now)
            self._deliver(due)
        elif isinstance(due, Jobs):
            del self._jobs[type(due[0].work)][self._clock.now]
            places = self.places
            jobs = [job for job in due if places[job.node].work is job.work]
            if jobs:
                self._work(jobs)
        else:
            i, life, what = due
            place = self.places[i]
            if isinstance(what, tuple):
                self._move(i, place, what[1])
            elif life == place.life and place.here:
                self._happen(i, place, what)

    # --- what is due -------------------------------------------------------------------------------------------

    def _ask_for(self, at: float, i: int, place: Place, work: Work) -> None:
        """Have work done at that time, together with all of its kind that is due then."""
        place.work = work
        jobs = self._jobs[type(work)].get(at)
        if jobs is None:
            jobs = self._jobs[type(work)][at] = Jobs()
            self._clock.push(at, jobs)
        jobs.append(Job(i, work))

    def _work(self, jobs: Sequence[Job]) -> None:
        """Jobs of one kind that are due now: their results are events."""
        evaluated = isinstance(jobs[0].work, Evaluate)
        for (i, work), event in zip(jobs, self.engine.carry_out(jobs), strict=True):
            self.places[i].work = None
            if evaluated and not work.final:  # type: ignore[union-attr]  # they are of one kind
                self._outlet.sample(self.now, i, work.round)
            self._handle(i, event)

    def _deliver(self, mail: Mail) -> None:
        """Each node gets at once what comes to it now."""
        whole = self._parts.whole
        for i, items in mail.items():
            place = self.places[i]
            if not place.here:
                continue
            if whole:
                self._handle(i, Arrived(items))  # type: ignore[arg-type]  # then there are no pieces
                continue
            for item in items:
                if isinstance(item, Piece):
                    self._take_in(i, place, item)
                else:
                    self._handle(i, Arrived([item]))

    def _happen(self, i: int, place: Place, due: "Event | Notice | Chase") -> None:
        match due:
            case Notice():
                self._look(i, place, due)
            case Chase():
                place.chase_at = None
                self._request(i, place, place.arrivals.wake(self.now))
            case Woke():
                place.wake_at = None
                deadline = place.node.deadline
                if deadline is None:
                    return
                if deadline > self.now:  # it was put off
                    self._wake(i, place, deadline)
                else:
                    self._handle(i, due)
            case _:
                self._handle(i, due)

    def _handle(self, i: int, event: Event) -> None:
        place = self.places[i]
        node = place.node
        for action in node.handle(event, self._clock.now):
            self._carry_out(i, place, action)
        if node.deadline is not None:
            self._wake(i, place, node.deadline)

    def _wake(self, i: int, place: Place, deadline: float) -> None:
        """See to it that the node wakes at its deadline, or before."""
        if place.wake_at is None or deadline < place.wake_at:
            place.wake_at = deadline
            self._push(deadline, i, Woke())

    def _carry_out(self, i: int, place: Place, action: Action) -> None:
        _ACTIONS[type(action)](self, i, place, action)

    def _report(self, i: int, place: Place, action: Report) -> None:
        self._outlet.report(self._clock.now, i, action.event, action.round, action.numbers)

    def _merge(self, i: int, place: Place, action: Merge) -> None:
        self._ask_for(self._clock.now + self._pace.merge_s, i, place, action)

    def _evaluate(self, i: int, place: Place, action: Evaluate) -> None:
        takes_s = 0.0 if action.final else self._pace.evaluate_s
        self._ask_for(self._clock.now + takes_s, i, place, action)

    def _save(self, i: int, place: Place, action: Save) -> None:
        self._ask_for(self._clock.now, i, place, action)

    def _fetch(self, i: int, place: Place, action: Fetch) -> None:
        self._request(i, place, place.arrivals.begin(action.message, self.now))

    def _cancel(self, i: int, place: Place, action: Cancel) -> None:
        place.arrivals.cancel(action.peer)

    def _begin(self, i: int, place: Place, action: Train) -> None:
        """It is trained when it is due. The step under way when time is up is the last one, as in the live world."""
        each_s, left_s = self._pace.step_s(i), self._until_s - self.now
        if left_s < math.inf:
            steps = min(action.steps, max(1, math.ceil(left_s / each_s - 1e-9)))  # sums of times are not exact
            action = replace(action, steps=steps)
        if action.round == 1:
            self._outlet.sample(self.now, i, 0)
        self.engine.begin(i, action)
        self._ask_for(self._clock.now + action.steps * each_s, i, place, action)

    def _finish(self, i: int, place: Place, action: Finish) -> None:
        place.error, place.here, place.work, self.ended_s = action.error, False, None, self.now
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
        if not self.post.send(action, self._clock.now):
            self._push(self.now, i, SendDropped(action.message))

    def _broadcast(self, i: int, place: Place, action: Broadcast) -> None:
        if not self.post.broadcast(action, self._clock.now):
            for send in action.each():
                self._send(i, place, send)

    def _request(self, i: int, place: Place, requests: list[Message]) -> None:
        """Ask for chunks, and look again when they are overdue."""
        for message in requests:
            self.post.request(message, self.now)
        deadline = place.arrivals.deadline
        if deadline is not None and (place.chase_at is None or deadline < place.chase_at):
            place.chase_at = deadline
            self._push(deadline, i, Chase())

    def _serve(self, i: int, place: Place, serve: Serve) -> None:
        n_sent = self.post.serve(serve, i, place.node.config.session, self.now)
        self._handle(i, Served(serve.peer, serve.pull, n_sent, self._parts.n_chunks))

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
        if what == START:
            self._start_late(i, place)
            return
        if what == "crash":
            self._crash(i, place)
        elif what == "leave":
            self._handle(i, Stopped())
        else:
            self._come(i, place, what)
        self._schedule_move(i, place)

    def _start_late(self, i: int, place: Place) -> None:
        """Whoever started before sees it now. One that churn has started meanwhile runs already."""
        if place.life:
            return
        place.here = True
        for peer in place.node.peers:
            self._push(self.now, peer, Notice(i, gone=False))
        self._start(i)

    @property
    def _over(self) -> bool:
        return self._stopped or self.now >= self._until_s

    def _crash(self, i: int, place: Place) -> None:
        place.here, place.work = False, None
        place.life += 1
        self._outlet.report(self.now, i, "crashed", max(1, place.node.round), {})
        for peer in place.node.peers:
            self._notice_both(i, peer)

    def _come(self, i: int, place: Place, what: str) -> None:
        before = place.node
        place.life += 1
        self.post.lose(i)
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


_ACTIONS: Mapping[type[Any], Callable[[World, int, Place, Any], None]] = {
    Send: World._send,
    Broadcast: World._broadcast,
    Report: World._report,
    Train: World._begin,
    Merge: World._merge,
    Evaluate: World._evaluate,
    Save: World._save,
    Fetch: World._fetch,
    Cancel: World._cancel,
    Serve: World._serve,
    Finish: World._finish,
}


def network_of(topology: Topology, setting: Setting) -> Network:
    """The network of a world. Raises BadInput."""
    check_nodes(setting.conditions.churn, topology.n)
    return Network(topology, setting.conditions, setting.seed, parse_cuts(setting.cuts, topology.n))
