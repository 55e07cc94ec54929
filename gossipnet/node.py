"""One node as a function of its events: `Node.handle(event, now) -> actions`, and a `deadline` to read.

Theory of operation
-------------------
A node goes through rounds: train, offer the model to its targets, wait for models of its sources, merge them,
perhaps evaluate, next round. It does none of this itself: it asks for it with actions, and learns of it by events.
There is no clock, socket, thread or tensor here; `now` (seconds, any origin, never backwards) comes in with each event.

Two numbers decide how it waits. `quorum` is how many models it waits for: None means all (*in step*), 0 means none
(*free-running*). `patience_s` bounds the wait of the quorums between; None means learnt.

In step, the inbox is keyed (peer, round) and a merge takes exactly its own round. Two rounds fit (`depth`), because a
neighbor may be one round ahead of us, never two: it needs our model of this round before it goes on. Neighbors that
take our models without sending any are held back by Acks instead. At the deadline we ask again for what is missing;
only PeerDown, or a peer that has moved past the round, ends the wait. So without faults the members of every merge,
and hence every bit of the result, depend on nothing but the seed.

A model too large to be pushed is only offered. What we want we fetch, one model of a peer at a time; a newer offer
waits for the one under way, and takes the place of one that waits. We keep `depth` snapshots for those who fetch from
us, and while all of them are being fetched a free-running node offers nothing new.

Free-running, and with any quorum between, the inbox holds the newest model of each peer and a merge empties it; but the
model that a neighbor ended its last round with is merged again and again by one that is slower.

A source that is down, gone or late gives no model, and its weight stays with the node itself: rows still sum to 1.
When a peer comes back, both sides take it up again from the later of their two rounds. A node whose sources are all
two rounds ahead of it (it was restarted) leaves out the rounds in between.

State table: the phase, the one result event that it expects, and what follows.

    NEW         Started    TRAINING
    TRAINING    Trained    WAITING, and MERGING at once if enough is there
    WAITING     (models)   MERGING; with nothing to merge, as after Merged
    MERGING     Merged     EVALUATING if due, else the next round: TRAINING, HOLDING, or the end
    EVALUATING  Evaluated  the next round
    HOLDING     (Acks)     TRAINING, once our targets have room for another model
    CLOSING     Evaluated  SAVING: the whole test set, after the last round or a Stopped
    SAVING      Saved      LEAVING if a target still needs our last model, else DONE
    LEAVING     (Byes)     DONE
    DONE                   every event is ignored

Received, Arrived, SendDropped, Served, Woke, PeerUp, PeerDown and Stopped may come in any phase, Failed in any that
expects a result. A result event out of turn raises LocalError. Nothing that a peer sends raises anything.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from gossipnet.asks import Asks
from gossipnet.errors import LocalError
from gossipnet.events import (
    Action,
    Arrived,
    Broadcast,
    Cancel,
    Evaluate,
    Evaluated,
    Event,
    Failed,
    Fetch,
    Finish,
    Member,
    Merge,
    Merged,
    PeerDown,
    PeerUp,
    Received,
    Report,
    Save,
    Saved,
    Send,
    SendDropped,
    Serve,
    Served,
    Started,
    Stopped,
    Train,
    Trained,
    Woke,
)
from gossipnet.inbox import Inbox
from gossipnet.model import Snapshot
from gossipnet.outbox import Outbox
from gossipnet.peer import Peer, round_of
from gossipnet.topology import Neighborhood
from gossipnet.wait import Wait
from gossipnet.wire import Ack, Ask, Body, Bye, Chunk, Gone, Hello, Message, Offer, Pull, Reason, Refusal


class Phase(Enum):
    NEW = "new"
    TRAINING = "training"
    WAITING = "waiting"
    MERGING = "merging"
    EVALUATING = "evaluating"
    HOLDING = "holding"
    CLOSING = "closing"
    SAVING = "saving"
    LEAVING = "leaving"
    DONE = "done"


# an Enum looks its members up at many times the cost of a name, and each event asks for some
NEW, TRAINING, WAITING, MERGING, EVALUATING, HOLDING, CLOSING, SAVING, LEAVING, DONE = Phase

EXPECTED: Mapping[Phase, type[Any]] = {
    NEW: Started,
    TRAINING: Trained,
    MERGING: Merged,
    EVALUATING: Evaluated,
    CLOSING: Evaluated,
    SAVING: Saved,
}
_WAITS = (WAITING, HOLDING, LEAVING)  # for somebody else


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What a node needs to know besides its neighborhood."""

    rounds: int
    local_steps: int
    digest: bytes  # of the ModelSpec
    samples: int = 1  # training samples of this node, told to its neighbors
    session: int = 1  # larger at each start of the same node
    quorum: int | None = None  # None = all, in step; 0 = free-running
    patience_s: float | None = None  # None = learnt; of no effect in step
    depth: int = 2  # rounds that the inbox takes, snapshots that we keep
    max_age: int = 0  # free-running: refuse models of peers that fell this many rounds behind; 0 = never
    evaluate_every: int = 0  # rounds; 0 = only at the end
    evaluates: bool = True  # False: somebody else measures for the swarm


class Node:
    """One node. Feed `handle` every event; carry out every action that it returns; feed Woke at `deadline`."""

    def __init__(self, neighborhood: Neighborhood, config: NodeConfig) -> None:
        self.neighborhood = neighborhood
        self.config = config
        self.in_step = config.quorum is None
        self.phase = NEW
        self.round = 0  # the round worked on; 0 before the first
        self.merged = 0  # the last round that is done
        self.age = 0  # local steps folded into the model
        self.steps = 0  # local steps done here
        self.deadline: float | None = None
        self.peers = {peer: Peer() for peer in neighborhood.peers}
        self.refused: Counter[Reason] = Counter()
        self.dropped_sends = 0
        self._inbox = Inbox(config.quorum is None, config.depth, config.max_age, config.rounds)
        self._wait = Wait(config.quorum, config.patience_s, self.peers, self._inbox)
        self.patience = self._wait.patience
        self._outbox = Outbox(neighborhood, self.in_step, config.depth, self.peers)
        self._row = neighborhood.at(1)  # of the round worked on
        self._n_up = 0  # peers to which the link is there
        self._loss = 0.0
        self._members: tuple[Member, ...] = ()
        self._began = 0.0  # when the local steps of this round did
        self._took_s = 0.0  # by the local steps of this round
        self._merge_at = 0.0  # when what is merged was taken
        self._asks = Asks()
        self._stopping = False
        self._now = 0.0
        self._out: list[Action] = []

    @property
    def inbox_size(self) -> int:
        """Models held; never more than sources x depth."""
        return len(self._inbox)

    def handle(self, event: Event, now: float) -> list[Action]:
        """The actions that follow from `event` at time `now`, in order.

        Raises LocalError, and nothing else, if the driver breaks the contract.
        """
        self._now = now
        if self.phase is DONE:
            return []
        found = _REACTIONS.get(type(event))
        if found is None:
            raise LocalError(f"{event!r} is no event")
        react, due = found
        if due and self.phase not in due:
            raise LocalError(f"{type(event).__name__} while {self.phase.value}: {self._expectation()}")
        out: list[Action] = []
        self._out = out
        react(self, event)
        return out

    # --- results of our own actions ---------------------------------------------------------------------------

    def _started(self, _: Started) -> None:
        self._report("started")
        self._next_round()

    def _trained(self, event: Trained) -> None:
        self.age += event.steps
        self.steps += event.steps
        self._loss = event.loss
        if self._stopping:
            self._close()
            return
        if self._outbox.keep(self.round, event.snapshot, self._now):
            self._offer(self._row.targets, self.round)
        else:  # all are being fetched: who hears of the newest only now will let go of an older one
            self._offer(self._outbox.uninformed(), self._outbox.newest)
        self.phase = WAITING
        self._took_s = self._now - self._began
        self._wait.begin(self._row.weights, self.round, self._took_s, self._now)
        self._asks.begin(self._took_s)
        if self._wait.is_over(self._now):
            self._merge()
        else:
            self._set_deadline()

    def _merged(self, event: Merged) -> None:
        age = self.age
        for member in self._members:
            if member.snapshot.age > age:
                age = member.snapshot.age
        self.age = age
        self._round_done(event.numbers)

    def _evaluated(self, event: Evaluated) -> None:
        if self.phase is CLOSING:
            self._report("finished", event.numbers)
            self.phase = SAVING
            self._out.append(Save(self.merged))
            return
        self._report("evaluated", event.numbers)
        self._next_round()

    def _saved(self, _: Saved) -> None:
        self.phase = LEAVING
        self._asks.begin_otherwise()
        self._leave_if_done()
        self._set_deadline()

    def _failed(self, event: Failed) -> None:
        if self.phase not in EXPECTED or self.phase is NEW:
            raise LocalError(f"Failed while {self.phase.value}: no action is under way")
        self._report("failed", {"error": event.error})
        self._say_goodbye()
        self._finish(event.error)

    # --- the course of a round ---------------------------------------------------------------------------------

    def _next_round(self) -> None:
        """Go on to the round after `merged`, or later if all our sources are further; or to the end."""
        following = self._following_round()
        if self._stopping or following > self.config.rounds:
            self._close()
            return
        self._work_on(following)
        self._inbox.forget_before(following)
        self.phase = HOLDING
        self._began = self._now
        self._train_if_room()
        if self.phase is HOLDING:
            self._asks.begin_otherwise()
        self._set_deadline()

    def _work_on(self, round: int) -> None:
        self.round = round
        self._row = self.neighborhood.at(round or 1)

    def _following_round(self) -> int:
        following, nearest = self.merged + 1, math.inf
        if not self.in_step:
            return following
        # A source may be `depth` rounds past our last Ack by right. And the nearest counts, not the furthest: one
        # neighbor that lies about its round moves nobody.
        for number in self.neighborhood.sources:
            peer = self.peers[number]
            if peer.up and peer.reachable(self.round):
                if peer.round <= self.merged + self.config.depth:
                    return following
                nearest = min(nearest, peer.round)
        return following if nearest == math.inf else int(nearest)

    def _train_if_room(self) -> None:
        """Start the round once no target would have to refuse its model; only in step is there such a bound."""
        if self.phase is HOLDING and not self._outbox.full(self.round):
            self.phase = TRAINING
            self._began = self._now
            self._out.append(Train(self.round, self.config.local_steps))

    def _merge_if_ready(self) -> None:
        if self.phase is WAITING and self._wait.is_over(self._now):
            self._merge()

    def _merge(self) -> None:
        self._members = self._inbox.take(self._row.weights, self.round)
        self._merge_at = self._now
        if not self._members:
            self._round_done({})
            return
        if self.in_step:
            self._asks.over(self._now - self._wait.since)
        self.phase = MERGING
        own_weight = self._row.own
        if len(self._members) < len(self._row.weights):
            own_weight = max(0.0, 1.0 - math.fsum(m.weight for m in self._members))
        self._out.append(Merge(self.round, own_weight, self.age, self._members))

    def _round_done(self, numbers: Mapping[str, Any]) -> None:
        self.merged = self.round
        course = self._course()
        course.update(numbers)
        self._report("merged", course)
        self._members = ()
        if self.merged == self.config.rounds:
            self._say_goodbye()
        else:
            self._acknowledge()
        if self.config.evaluates and self._evaluation_due():
            self.phase = EVALUATING
            self._out.append(Evaluate(self.merged, final=False))
        else:
            self._next_round()

    def _evaluation_due(self) -> bool:
        every = self.config.evaluate_every
        return bool(every) and (self.merged % every == 0 or self.merged == self.config.rounds)

    def _course(self) -> dict[str, Any]:
        """What a round came to. Figures per neighbor only now and then: a dense graph has many."""
        lags = {} if self.in_step else {m.peer: self.round - m.snapshot.round for m in self._members}
        numbers: dict[str, Any] = {
            "loss": self._loss,
            "age": self.age,
            "steps": self.steps,
            "merged": len(self._members),
            "staleness": sum(lags.values()) / len(lags) if lags else 0.0,
            "wait_s": self._merge_at - self._wait.since,
            "train_s": self._took_s,
            "merge_s": self._now - self._merge_at,
            "neighbors_up": self._n_up,
        }
        if self._evaluation_due():
            numbers["held_s"] = {str(m.peer): self._merge_at - m.came_at for m in self._members}
        if not self.in_step and self._evaluation_due():
            numbers["lag"] = {str(peer): lag for peer, lag in lags.items()}
            if self._wait.learns:
                numbers["patience_s"] = {str(p): self.patience.of(p) for p in self.neighborhood.sources}
        return numbers

    def _acknowledge(self) -> None:
        """Tell the sources that will not hear it from our next offer."""
        if self.in_step:
            untold = self.neighborhood.untold
            for peer in untold[self.merged % len(untold)]:  # the first row is that of round 1
                self._send(peer, Ack(self.merged))

    # --- the end -----------------------------------------------------------------------------------------------

    def _close(self) -> None:
        """Measure and save what we have. On an early end the neighbors hear of it first."""
        if self._stopping:
            self._say_goodbye()
        self._work_on(self.merged)
        self.deadline = None
        if self.config.evaluates:
            self.phase = CLOSING
            self._out.append(Evaluate(self.merged, final=True))
        else:
            self.phase = SAVING
            self._out.append(Save(self.merged))

    def _say_goodbye(self) -> None:
        for peer in self.peers:
            self._send(peer, Bye(self.merged))

    def _leave_if_done(self) -> None:
        if self.phase is LEAVING and (self._stopping or not self._outbox.needing(self.merged)):
            self._finish(None)

    def _finish(self, error: str | None, bad_input: bool = False) -> None:
        self.phase = DONE
        self.deadline = None
        self._inbox.clear()
        self._outbox.clear()
        self._out.append(Finish(error, bad_input))

    def _stopped(self, _: Stopped) -> None:
        self._stopping = True
        if self.phase in (WAITING, HOLDING):
            self._close()
        elif self.phase is NEW:
            self._finish(None)
        self._leave_if_done()

    # --- what comes in -----------------------------------------------------------------------------------------

    def _received(self, event: Received) -> None:
        self._take_in(event.message, event.snapshot)
        self._progress()

    def _arrived(self, event: Arrived) -> None:
        """In step nearly all are models that we wait for now or next: there is a short way for those."""
        waits = self.in_step and self.merged < self.round
        first = self.round + (self.phase is MERGING)
        last = self.round + self.config.depth - 1 if waits else 0
        peers, digest, sources = self.peers, self.config.digest, self._row.sources
        for item in event.items:
            if not isinstance(item, Broadcast):
                self._take_in(item.message, item.snapshot)
            elif (
                first <= (round := item.snapshot.round) <= last
                and (peer := peers.get(item.sender)) is not None
                and peer.session == item.session
                and not peer.foreign
                and peer.fetching is None
                and item.snapshot.digest == digest
                and item.sender in (sources if round == self.round else self.neighborhood.at(round).sources)
                and self._inbox.put(item.sender, item.snapshot, self._now)
            ):
                peer.trained(round)
            else:
                self._take_in(item.to(self.neighborhood.node).message, item.snapshot)
            if self.phase is DONE:
                return
        self._progress()

    def _take_in(self, message: Message | Refusal, snapshot: Snapshot | Refusal | None) -> None:
        if isinstance(message, Refusal):
            self._refuse(message.reason, message.sender)
            return
        peer = self.peers.get(message.sender)
        if peer is None:
            self._refuse(Reason.STRANGER, message.sender)
        elif message.session < peer.session:
            self._refuse(Reason.SESSION, message.sender)
        else:
            if message.session > peer.session:
                self._new_session(message.sender, peer, message.session)
            self._read(message, peer, snapshot)

    def _read(self, message: Message, peer: Peer, snapshot: Snapshot | Refusal | None) -> None:
        sender, body = message.sender, message.body
        match body:
            case Offer():  # first, for most are
                self._offered(message, peer, body, snapshot)
            case Hello():
                self._hello(sender, peer, body)
            case Ask():
                self._asked(sender, body.round)
            case Pull():
                self._pulled(sender, body)
            case Gone():
                self._gone(sender, peer, body.round)
            case Chunk():
                self._refuse(Reason.UNEXPECTED, sender)  # those that we fetch never come here
            case Ack():
                self._works_on(peer, body.round + 1)
            case Bye():
                peer.said_goodbye(body.round)

    def _hello(self, sender: int, peer: Peer, hello: Hello) -> None:
        if hello.digest != self.config.digest:
            self._refuse(Reason.SPEC, sender)
            if not peer.foreign:
                peer.foreign = True
                self._report("spec_mismatch", {"peer": sender, "digest": hello.digest.hex()})
            self._give_up_on_foreign(sender, peer)
            return
        peer.greeted = True
        self._works_on(peer, hello.round)
        if self.in_step and self._is_lost(hello.round):
            self._send(sender, Gone(hello.round))

    def _is_lost(self, round: int) -> bool:
        """A model of ours that somebody may wait for, but that was made by an earlier process, or left out."""
        return 0 < round < self.round and round not in self._outbox

    def _give_up_on_foreign(self, sender: int, peer: Peer) -> None:
        """A neighbor that was started with another model, before anything was merged, is the operator's mistake.

        Both sides end, each after its own Hello is out, so that both can name it. Later it is only a refusal:
        nobody who turns up can end a running swarm.
        """
        if peer.foreign and peer.up and self.merged == 0:
            self._finish(
                f"node {sender} runs a model of another shape than ours ({self.config.digest.hex()}): "
                "start all nodes from the same experiment file",
                bad_input=True,
            )

    def _works_on(self, peer: Peer, round: int, trained: bool = False) -> None:
        """The peer works on `round`, and has perhaps trained it: it keeps the last `depth` models."""
        peer.works_on(round)
        peer.keeps_from(round - self.config.depth + trained, self.round)

    def _offered(self, message: Message, peer: Peer, offer: Offer, snapshot: Snapshot | Refusal | None) -> None:
        reason = self._fault(message.sender, peer, offer)
        if reason is not Reason.SPEC:
            self._works_on(peer, offer.round, trained=True)
        if isinstance(snapshot, Refusal):
            reason = snapshot.reason
        if reason is not None:
            self._refuse(reason, message.sender)
        elif isinstance(snapshot, Snapshot):
            self._admit(message.sender, peer, offer, snapshot)
        else:
            self._fetch(peer, message)
        if peer.fetching is not None and snapshot is not None and message == peer.fetching:
            self._fetch_next(peer)

    def _admit(self, sender: int, peer: Peer, offer: Offer, snapshot: Snapshot) -> None:
        if offer.round > peer.newest:
            peer.newest = offer.round
        self._inbox.put(sender, snapshot, self._now)
        self._wait.came(sender, self._now)

    def _fetch(self, peer: Peer, message: Message) -> None:
        """Fetch this model now, or after the one that is on its way; once is enough."""
        if peer.fetching is None:
            peer.fetching = message
            self._out.append(Fetch(message))
        elif round_of(message) != round_of(peer.fetching):
            peer.waiting = message

    def _fetch_next(self, peer: Peer) -> None:
        waiting, peer.fetching, peer.waiting = peer.waiting, None, None
        if waiting is None or not isinstance(waiting.body, Offer):
            return
        if self._fault(waiting.sender, peer, waiting.body) is None:
            self._fetch(peer, waiting)

    def _pulled(self, sender: int, pull: Pull) -> None:
        found = self._outbox.pull(sender, pull.round, self._now)
        if found is not None:
            self._out.append(Serve(sender, pull, found))
            return
        self._send(sender, Gone(pull.round))
        if not self.in_step and (aside := self._outbox.set_aside(sender, self._now)):
            self._offer([sender], aside)

    def _fault(self, sender: int, peer: Peer, offer: Offer) -> Reason | None:
        if offer.digest != self.config.digest or peer.foreign:
            return Reason.SPEC
        if sender not in self.neighborhood.at(max(1, offer.round)).sources:
            return Reason.UNEXPECTED
        fallen = 0 if self.in_step else peer.fell_behind(self.round - offer.round)
        return self._inbox.fault(sender, offer.round, peer.newest, self.round, self.merged, self._members, fallen)

    def _gone(self, sender: int, peer: Peer, round: int) -> None:
        """The peer has no model of that round, and will have none: wait no longer for it."""
        if peer.fetching is not None and round_of(peer.fetching) == round:
            self._out.append(Cancel(sender))
            if not self.in_step:
                peer.waiting = None  # gone as well, by now; an offer of what is kept for us follows
            self._fetch_next(peer)
        if self.in_step and round == self.round:
            peer.awaited_from = max(peer.awaited_from, round + 1)

    def _asked(self, sender: int, round: int) -> None:
        self._greet(sender)  # it may want our model, or only to know how far we are
        if self._is_lost(round):
            self._send(sender, Gone(round))
        if not self._outbox.has_for(sender, round):
            return
        offered, at = self.peers[sender].offered
        crossed = offered == round and self._now - at < self._asks.after_s / 2
        if not crossed:  # our offer is not on its way
            self._offer([sender], round)

    def _refuse(self, reason: Reason, sender: int | None) -> None:
        self.refused[reason] += 1
        count = self.refused[reason]
        if count & (count - 1) == 0:  # 1, 2, 4, 8, ...: a flood of rubbish is no flood of reports
            numbers: dict[str, Any] = {"reason": str(reason), "count": count}
            self._report("refused", numbers | ({"peer": sender} if sender in self.peers else {}))

    # --- links -------------------------------------------------------------------------------------------------

    def _peer_up(self, event: PeerUp) -> None:
        peer = self._peer(event.peer)
        if peer.up:
            return
        peer.came_up(self.round)
        self._n_up += 1
        self._report("peer_up", {"peer": event.peer})
        self._introduce(event.peer)
        self._give_up_on_foreign(event.peer, peer)
        self._progress()

    def _introduce(self, number: int) -> None:
        """Tell a peer that knows nothing of us where we are, and offer it what it may need."""
        self._greet(number)
        for round in self._outbox.needed_by(number):
            self._offer([number], round)

    def _peer_down(self, event: PeerDown) -> None:
        peer = self._peer(event.peer)
        if peer.up:
            self._n_up -= 1
            self._report("peer_down", {"peer": event.peer})
        peer.went_down()
        self._wait.forget(event.peer)
        self._outbox.forget(event.peer)
        self._progress()

    def _new_session(self, sender: int, peer: Peer, session: int) -> None:
        if peer.session:
            self._inbox.forget_peer(sender)
            self._out.append(Cancel(sender))
            self._wait.forget(sender)
            peer.started_again(session, self.round)
            self._outbox.forget(sender)
            if peer.greeted:  # nobody has noticed that the last process is gone, and what we sent to it is lost
                self._introduce(sender)
        peer.session = session

    def _send_dropped(self, event: SendDropped) -> None:
        self._peer(event.message.receiver).offered = (0, 0.0)
        self.dropped_sends += 1  # an offer will be asked for again; the rest is repeated on the next occasion

    def _served(self, event: Served) -> None:
        self._peer(event.peer)
        self._outbox.left(event.peer, event.pull, event.n_sent, event.n_chunks)

    def _woke(self, _: Woke) -> None:
        if self.deadline is None or self._now < self.deadline:
            return
        self._progress()
        if self.deadline is not None and self._now >= self.deadline:
            wanted = self.round if self.phase is WAITING else 0  # 0: only tell us how far you are
            for peer in self._laggards():
                self._send(peer, Ask(wanted))
            came_at = self._inbox.last_came_at(wanted) if self.in_step else None  # else it is of another wait
            self._asks.asked(None if came_at is None else came_at - self._wait.since)
            self.deadline = self._now + self._asks.every_s

    def _progress(self) -> None:
        """Something changed that we may have waited for."""
        if self.phase is WAITING:
            self._merge_if_ready()
        elif self.phase is HOLDING:
            self._train_if_room()
        else:
            self._leave_if_done()
        self._set_deadline()

    def _set_deadline(self) -> None:
        """Ask again in a while, if there is somebody to ask; with a quorum, no longer than our patience lasts."""
        if self.phase not in _WAITS or not ((self.phase is WAITING and self._wait.is_for_word()) or self._laggards()):
            self.deadline = None
            return
        until = self._wait.until(self._now) if self.phase is WAITING else None
        if until is not None:
            self.deadline = until
        elif self.deadline is None:
            self.deadline = self._now + self._asks.every_s

    def _laggards(self) -> list[int]:
        """Whom the present phase waits for."""
        if self.phase is WAITING:
            return self._wait.silent()
        if self.phase is HOLDING:
            return self._outbox.full(self.round)
        return self._outbox.needing(self.merged) if self.phase is LEAVING else []

    # --- small things ------------------------------------------------------------------------------------------

    def _peer(self, number: int) -> Peer:
        if number not in self.peers:
            raise LocalError(f"node {number} is no neighbor of node {self.neighborhood.node}")
        return self.peers[number]

    def _expectation(self) -> str:
        expected = EXPECTED.get(self.phase)
        return f"expected {expected.__name__}" if expected else "no action is under way"

    def _greet(self, peer: int) -> None:
        done = self.phase in (CLOSING, SAVING, LEAVING)
        self._send(peer, Hello(self.merged + 1 if done else max(1, self.round), self.config.digest))

    def _offer(self, peers: Sequence[int], round: int) -> None:
        offered = (round, self._now)
        for number in peers:
            self.peers[number].offered = offered
        if self._n_up < len(self.peers):
            peers = [number for number in peers if self.peers[number].up]
        sent = Broadcast(tuple(peers), self.neighborhood.node, self.config.session, self._outbox[round])
        self._out.extend([sent] if len(peers) > 1 else sent.each())

    def _send(self, peer: int, body: Body, snapshot: Snapshot | None = None) -> None:
        if self.peers[peer].up:
            self._out.append(Send(Message(self.neighborhood.node, peer, self.config.session, body), snapshot))

    def _report(self, event: str, numbers: Mapping[str, Any] | None = None) -> None:
        self._out.append(Report(event, self.round or 1, numbers or {}))


_Reaction = Callable[[Node, Any], None]
_REACTS: Mapping[type[Any], _Reaction] = {
    Started: Node._started,
    Trained: Node._trained,
    Merged: Node._merged,
    Evaluated: Node._evaluated,
    Saved: Node._saved,
    Failed: Node._failed,
    Received: Node._received,
    Arrived: Node._arrived,
    SendDropped: Node._send_dropped,
    Served: Node._served,
    Woke: Node._woke,
    PeerUp: Node._peer_up,
    PeerDown: Node._peer_down,
    Stopped: Node._stopped,
}
_REACTIONS: Mapping[type[Any], tuple[_Reaction, tuple[Phase, ...]]] = {  # and the phases in which a result is due
    kind: (react, tuple(phase for phase, expected in EXPECTED.items() if expected is kind))
    for kind, react in _REACTS.items()
}
