"""A simulated world of which every rule is checked after every event, and models of one number to fill it with."""

import random
from collections import defaultdict
from dataclasses import dataclass, field, replace

from gossipnet.events import (
    Arrived,
    Broadcast,
    Evaluate,
    Evaluated,
    Merge,
    Merged,
    Received,
    Save,
    Saved,
    Train,
    Trained,
)
from gossipnet.model import Snapshot
from gossipnet.node import NodeConfig
from gossipnet.sim.world import SESSION, World
from gossipnet.transfer import WINDOW
from gossipnet.wire import Reason, Refusal

MOST_EVENTS = 250_000  # of a seed: more is a storm; 16 nodes that fetch large models make half of it
DIGEST = b"specspec"
WORK = Train | Merge | Evaluate | Save


class Broken(AssertionError):
    """A rule that holds after every event does not."""


@dataclass(frozen=True, slots=True)
class Model:
    """What a snapshot of the tests holds: who made it when, and one number in place of a vector."""

    node: int
    session: int
    round: int
    value: float


@dataclass
class TrivialEngine:
    """Models of one number, which training leaves alone: merging shows in it, and nothing else does."""

    configs: list[NodeConfig]
    values: list[float]
    ages: list[int] = field(default_factory=list)
    sessions: list[int] = field(default_factory=list)
    made: set[Model] = field(default_factory=set)

    def __post_init__(self):
        self.ages = [0] * len(self.values)
        self.sessions = [SESSION] * len(self.values)

    def config(self, node, session):
        self.sessions[node] = session
        return replace(self.configs[node], session=session)

    def begin(self, node, work):
        pass

    def lost(self, node, empty):
        if empty:
            self.ages[node] = 0

    def carry_out(self, jobs):
        return [self.do(node, work) for node, work in jobs]

    def do(self, node, work):
        match work:
            case Train():
                self.ages[node] += work.steps
                model = Model(node, self.sessions[node], work.round, self.values[node])
                self.made.add(model)
                return Trained(Snapshot(DIGEST, work.round, self.ages[node], 1, model), work.steps, 1.0)
            case Merge():
                self.ages[node] = max([self.ages[node], *(m.snapshot.age for m in work.members)])
                others = sum(m.weight * m.snapshot.storage.value for m in work.members)
                self.values[node] = work.own_weight * self.values[node] + others
                return Merged({})
            case Evaluate():
                return Evaluated({})
            case Save():
                return Saved()


class Watched(World):
    """A world in which every rule is checked after every event, and which can spoil what is on its way.

    An event changes nothing but the node that it is of, so that node is looked at. What is said of a broken rule is
    put together only where one is: there are millions of events.
    """

    def __init__(self, *args):
        super().__init__(*args)
        self.log = []
        self.verbose = False
        self.corrupt_rate = 0.0
        self.chance = random.Random(self.setting.seed)
        self.seen = defaultdict(lambda: (0, 0, 0))  # (node, life) -> age, merged, steps
        self.sessions = defaultdict(dict)  # (node, life) -> the session of each of its peers
        self.merged_at = {}  # (peer, node) -> when a model of the peer was last merged
        self.merged = defaultdict(lambda: (0, 0))  # (peer, node, life) -> of which process and round that was
        self.busy = {}
        self.events = 0

    # --- what happens ------------------------------------------------------------------------------------------

    def _next(self):
        self.events += 1
        if self.events >= MOST_EVENTS:
            raise Broken(f"{MOST_EVENTS} events by {self.now:.2f} s: a storm")
        super()._next()

    def _handle(self, i, event):
        if self.corrupt_rate and isinstance(event, Arrived):
            event = Arrived([self.spoil(item) for item in event.items])
        elif self.corrupt_rate and isinstance(event, Received):
            event = self.spoil(event)
        if self.verbose:
            self.log.append(f"{self.now:8.3f} node {i}: {event!r:.200}")
        super()._handle(i, event)
        place = self.places[i]
        self.check_node(i, place)
        self.check_peers(i, place)
        self.check_transfers(place)

    def spoil(self, event):
        """What comes of a model whose bytes arrive as others: what was pushed is a refusal, and no offer."""
        if isinstance(event, Broadcast):
            refusal = Refusal(Reason.CORRUPT, "spoilt", event.sender)
            return Received(refusal) if self.unlucky() else event
        message = event.message
        if isinstance(message, Refusal) or not isinstance(event.snapshot, Snapshot) or not self.unlucky():
            return event
        refusal = Refusal(Reason.CORRUPT, "spoilt", message.sender)
        return Received(refusal) if self.setting.parts.whole else replace(event, snapshot=refusal)

    def unlucky(self):
        return self.chance.random() < self.corrupt_rate

    def _take_in(self, i, place, piece):
        if self.corrupt_rate and self.unlucky():  # and nobody made what the model then would be
            forged = replace(piece.snapshot, storage=replace(piece.snapshot.storage, value=-1.0))
            chunk = replace(piece.message.body, checksum=bytes(8))
            piece = replace(piece, message=replace(piece.message, body=chunk), snapshot=forged)
        sender, index = piece.message.sender, piece.message.body.index
        transfer = place.arrivals._fetches._transfers.get(sender)
        wanted = transfer is not None and index in transfer.absent
        super()._take_in(i, place, piece)
        if wanted and index not in transfer.absent:
            self.check_piece(transfer, piece)

    def _carry_out(self, i, place, action):
        if isinstance(action, WORK):
            life, under_way = self.busy.get(i, (None, None))
            if life == place.life and under_way is not None:
                raise Broken(f"{action} while {under_way}")
            self.busy[i] = (place.life, action)
            if isinstance(action, Merge):
                self.check_merge(i, place.node, action)
        super()._carry_out(i, place, action)

    def _work(self, jobs):
        for job in jobs:
            self.busy[job.node] = (None, None)
        super()._work(jobs)

    # --- the rules ---------------------------------------------------------------------------------------------

    def check_node(self, i, place):
        node = place.node
        depth, held = node.config.depth, node.inbox_size
        if held > len(node.peers) * (depth if node.in_step else 1):
            raise Broken(f"an inbox of {held} models")
        if len(node._outbox) > depth:
            raise Broken(f"{len(node._outbox)} snapshots kept")
        if node.deadline is not None and node.deadline < self.now - 1e-9:
            raise Broken(f"a timer at {node.deadline} in the past")
        before, now = self.seen[i, place.life], (node.age, node.merged, node.steps)
        if not (before[0] <= now[0] and before[1] <= now[1] and before[2] <= now[2]):
            raise Broken(f"age, merged, steps went from {before} to {now}")
        self.seen[i, place.life] = now

    def check_peers(self, i, place):
        """Of each peer there is one process at a time, never an earlier one than before, and models of no other."""
        node, known, latest = place.node, self.sessions[i, place.life], self.engine.sessions
        for number, peer in node.peers.items():
            session = peer.session
            if session == known.get(number, 0):
                continue
            if session < known.get(number, 0):
                raise Broken(f"the session of {number} went back")
            if session > latest[number]:
                raise Broken(f"a session of {number} that never was")
            known[number] = session
        for peer, snapshot in node._inbox.models():
            if snapshot.storage.session != known.get(peer):
                raise Broken(f"models of two lives of {peer}")

    def check_transfers(self, place):
        held = place.arrivals._fetches._transfers
        if len(held) > len(place.node.peers):
            raise Broken(f"{len(held)} fetches")
        for transfer in held.values():
            if len(transfer.asked) > WINDOW:
                raise Broken("more chunks under way than the window")
            if transfer.asked and transfer.moved_at + transfer.stall_s < self.now - 1e-9:
                raise Broken("a timer of a fetch in the past")

    def check_piece(self, transfer, piece):
        """A chunk that was let in is one of the model that was offered, with the bytes that were sent."""
        offer, model = transfer.message, piece.snapshot.storage
        if model not in self.engine.made:
            raise Broken(f"a chunk of {model} that nobody made")
        if (model.node, model.session, model.round) != (offer.sender, offer.session, offer.body.round):
            raise Broken(f"a chunk of {model} in {offer}")

    def check_merge(self, i, node, merge):
        total = merge.own_weight + sum(m.weight for m in merge.members)
        if not (abs(total - 1) < 1e-9 and merge.own_weight >= 0):
            raise Broken(f"a row that sums to {total}")
        if len({m.peer for m in merge.members}) != len(merge.members):
            raise Broken("two models of one peer")
        row = dict(node.neighborhood.at(merge.round).weights)
        for m in merge.members:
            model, session = m.snapshot.storage, node.peers[m.peer].session
            if row.get(m.peer) != m.weight:
                raise Broken(f"a weight of {m.weight} for {m.peer}")
            if model not in self.engine.made:
                raise Broken(f"merges {model} that nobody made")
            if (model.node, model.round, model.session) != (m.peer, m.snapshot.round, session):
                raise Broken(f"{model} taken for one of {m.peer} in session {session}")
            if node.in_step and model.round != merge.round:
                raise Broken(f"round {model.round} merged in {merge.round}")
            before, self.merged[m.peer, i, self.places[i].life] = (
                self.merged[m.peer, i, self.places[i].life],
                (session, model.round),
            )
            if not before < (session, model.round):
                raise Broken(f"{model} merged after round {before[1]}")
            self.merged_at[m.peer, i] = self.now


class Quiet:
    """Nobody listens."""

    def report(self, *args):
        pass

    sample = failure = report
