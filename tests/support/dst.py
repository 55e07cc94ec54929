"""Deterministic simulation testing: random swarms in random trouble, watched after every event.

A seed is a scenario: 8 to 16 nodes, a topology, a quorum, models pushed or fetched, drops, duplicates, jitter, cuts,
crashes, comers and leavers. After HEAL_S all trouble ends; then every edge must exchange within BOUND_S, and all nodes
must end when told to. A seed that breaks a rule prints the command that shows it again:

    python tests/support/dst.py --seed 17             # one, with what happened
    python tests/support/dst.py --seeds 0-5000        # many, as `make dst` does
"""

import argparse
import random
import sys
from collections import defaultdict
from dataclasses import dataclass, field, replace

from gossipnet.events import Evaluate, Evaluated, Merge, Merged, Save, Saved, Train, Trained
from gossipnet.model import Snapshot
from gossipnet.node import Node, NodeConfig, Phase
from gossipnet.sim.presets import Conditions
from gossipnet.sim.transfers import Parts
from gossipnet.sim.world import SESSION, Setting, World
from gossipnet.topology import make_topology
from gossipnet.transfer import WINDOW
from gossipnet.wire import Payload

HEAL_S = 8.0  # all trouble is over
BOUND_S = 60.0  # an Ask is repeated after 8 s at the latest, and a model on its way may have to be let go first
MOST_EVENTS = 60_000  # of a seed: more is a storm
DIGEST = b"specspec"
TOPOLOGIES = (
    "ring regular:d=4 small-world:k=4,p=0.3 erdos-renyi:p=0.4 star complete exponential tree path scale-free:m=2"
    " random-matchings:rounds=3 one-peer-exponential"
).split()


class Broken(AssertionError):
    """A rule that holds after every event does not."""


@dataclass(frozen=True)
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
    """A world in which every rule is checked after every event."""

    def __init__(self, *args):
        super().__init__(*args)
        self.log = []
        self.verbose = False
        self.seen = defaultdict(lambda: (0, 0, 0))  # (node, life) -> age, merged, steps
        self.sessions = {}
        self.merged_at = {}  # (peer, node) -> when a model of the peer was last merged
        self.busy = {}
        self.events = 0

    def _handle(self, i, event):
        self.events += 1
        check(self.events < MOST_EVENTS, f"{MOST_EVENTS} events by {self.now:.2f} s: a storm")
        if self.verbose:
            self.log.append(f"{self.now:8.3f} node {i}: {event!r:.200}")
        super()._handle(i, event)
        self.check_node(i, self.places[i].node)
        self.check_transfers(i, self.places[i])

    def _carry_out(self, i, place, action):
        if isinstance(action, Train | Merge | Evaluate | Save):
            life, under_way = self.busy.get(i, (None, None))
            check(life != place.life or under_way is None, f"{action} while {under_way}")
            self.busy[i] = (place.life, action)
        if isinstance(action, Merge):
            self.check_merge(i, place.node, action)
        super()._carry_out(i, place, action)

    def _work(self, jobs):
        for job in jobs:
            self.busy[job.node] = (None, None)
        super()._work(jobs)

    def check_node(self, i, node: Node):
        peers, depth = len(node.peers), node.config.depth
        check(node.inbox_size <= peers * (depth if node.in_step else 1), f"an inbox of {node.inbox_size}")
        check(len(node._own) <= depth, f"{len(node._own)} snapshots kept")
        check(node.deadline is None or node.deadline >= self.now - 1e-9, f"a timer at {node.deadline} in the past")
        before, now = self.seen[i, self.places[i].life], (node.age, node.merged, node.steps)
        check(all(a <= b for a, b in zip(before, now, strict=True)), f"age, merged, steps went from {before} to {now}")
        self.seen[i, self.places[i].life] = now
        for number, peer in node.peers.items():
            key = i, self.places[i].life, number
            check(peer.session >= self.sessions.get(key, 0), f"the session of {number} went back")
            check(peer.session <= self.engine.sessions[number], f"a session of {number} that never was")
            self.sessions[key] = peer.session

    def check_transfers(self, i, place):
        held = place.arrivals._fetches._transfers
        check(len(held) <= len(place.node.peers), f"{len(held)} fetches")
        check(all(len(t.asked) <= WINDOW for t in held.values()), "more chunks under way than the window")

    def check_merge(self, i, node, merge):
        total = merge.own_weight + sum(m.weight for m in merge.members)
        check(abs(total - 1) < 1e-9 and merge.own_weight >= 0, f"a row that sums to {total}")
        row = dict(node.neighborhood.at(merge.round).weights)
        check(len({m.peer for m in merge.members}) == len(merge.members), "two models of one peer")
        for m in merge.members:
            check(row.get(m.peer) == m.weight, f"a weight of {m.weight} for {m.peer}")
            check(m.snapshot.storage in self.engine.made, "a model that nobody made")
            model = m.snapshot.storage
            check((model.node, model.round) == (m.peer, m.snapshot.round), f"{model} taken for one of {m.peer}")
            check(model.session == node.peers[m.peer].session, f"a model of an earlier life of {m.peer}")
            check(not node.in_step or model.round == merge.round, f"round {model.round} merged in {merge.round}")
            self.merged_at[m.peer, i] = self.now


def check(good, said):
    if not good:
        raise Broken(said)


class Quiet:
    """Nobody listens."""

    def report(self, *args):
        pass

    sample = failure = report


@dataclass
class Scenario:
    """What a seed stands for."""

    seed: int

    def __post_init__(self):
        self.rng = rng = random.Random(self.seed)
        self.n = rng.randint(8, 16)
        if rng.random() < 0.5:
            self.n += self.n % 2
        self.topology = self.make_topology()
        self.quorum = rng.choice([None, None, 0, 1, 2])
        self.faulty = rng.random() < 0.9
        self.payload_bytes = rng.choice([10, 3000, 20_000])
        self.config = NodeConfig(
            rounds=10**6,
            local_steps=rng.randint(1, 3),
            digest=DIGEST,
            quorum=self.quorum,
            patience_s=rng.choice([None, 0.3, 2.0]) if self.quorum else None,
            depth=rng.choice([2, 2, 3, 4]),
            max_age=rng.choice([0, 0, 5]),
            evaluate_every=rng.choice([0, 2]),
            evaluates=rng.random() < 0.5,
        )
        self.world = Watched(self.topology, self.setting(), self.engine(), Quiet())
        if self.faulty:
            for i, place in enumerate(self.world.places):
                place.moves = iter(self.moves(i))

    def make_topology(self):
        for name in self.rng.sample(TOPOLOGIES, len(TOPOLOGIES)):
            try:
                return make_topology(name, n=self.n, seed=self.seed)
            except ValueError:  # not of this size, or no name of ours
                continue
        raise AssertionError("no topology")

    def engine(self):
        self.start = [self.rng.random() for _ in range(self.n)]
        return TrivialEngine([self.config] * self.n, list(self.start))

    def setting(self):
        rng = self.rng
        some = lambda most: rng.random() * most if self.faulty and rng.random() < 0.6 else 0.0  # noqa: E731
        jitter = some(1.0)
        conditions = Conditions(
            latency_s=rng.choice([0.0, 0.001, 0.1, 0.7]),
            jitter_s=jitter,
            bandwidth_bytes_per_s=rng.choice([0, 0, 50_000]) if self.faulty else 0,
            drop_rate=some(0.6),
            duplicate_rate=some(0.5),
            reorder_rate=some(1.0) if jitter else 0.0,
            speed=rng.choice(["same", "log-normal", "stragglers:share=0.3,factor=0.2"]),
        )
        self.parts = parts = Parts(Payload("float32", self.payload_bytes, bytes(8)), rng.choice([0, 1 << 19]), 1024)
        cuts = [self.cut() for _ in range(rng.choice([0, 0, 1, 2]))] if self.faulty else []
        return Setting(conditions=conditions, parts=parts, seed=self.seed, cuts=cuts, compute_s=0.5, notice_s=0.5)

    def cut(self):
        begin, end = sorted(round(self.rng.uniform(0, HEAL_S), 2) for _ in range(2))
        nodes = self.rng.sample(range(self.n), self.n)
        some, others = nodes[: self.n // 2], nodes[self.n // 2 :]
        one_way = f" > {' '.join(map(str, others))}" if self.rng.random() < 0.3 else ""
        return f"{begin}..{end + 0.01:.2f} {' '.join(map(str, some))}{one_way}"

    def moves(self, i):
        """Comings and goings of a node, all over by HEAL_S."""
        rng = self.rng
        if rng.random() < 0.6:
            return []
        times = sorted(rng.uniform(0, HEAL_S) for _ in range(2 * rng.randint(1, 4)))
        whats = [rng.choice(["restart", "restart-empty"]) if k % 2 else "crash" for k in range(len(times))]
        kind = rng.random()
        if kind < 0.1:
            return list(zip(times, ["join", *whats[:-1]], strict=True))[: len(times) - 1]
        if kind < 0.2:
            whats[-1] = "restart"
            return [*zip(times, whats, strict=True), (HEAL_S, rng.choice(["leave", "crash"]))]
        return list(zip(times, whats, strict=True))

    def run(self):
        world = self.world
        world.run(until_s=HEAL_S)
        self.heal()
        edges = self.edges()
        bound_s = BOUND_S + self.behind_s()
        while world.now < HEAL_S + bound_s and world._clock and not self.exchanged(edges):
            world.run(until_s=world.now + 1.0 if world._clock.next_time <= world.now + 1.0 else world._clock.next_time)
        late = [edge for edge in edges if not self.exchanged([edge]) and self.waits(*edge)]
        check(not late, f"no exchange over {late} within {bound_s:.0f} s after all trouble was over")
        world.interrupt()
        world._stop()
        world.run()
        left = {i: p.error for i, p in enumerate(world.places) if p.here and p.node.phase is not Phase.DONE}
        check(not left and not world.failed, f"never ended: {left or [world.places[i].error for i in world.failed]}")
        if not self.faulty:
            self.check_conserved()
        return world

    def behind_s(self):
        """How long those that are behind take, in step, to the round of those that went on without them."""
        if self.quorum is not None:
            return 0.0
        rounds = [place.node.merged for place in self.world.places if place.here]
        latency = 4 * self.world.setting.conditions.latency_s  # offer, pull, chunks, and what is queued before them
        each_s = max(self.world._step_s) * self.config.local_steps + latency + self.parts.n_chunks / 4 + 1.0
        return (max(rounds, default=0) - min(rounds, default=0)) * each_s

    def heal(self):
        """Nothing gets lost, comes twice or late any more."""
        network = self.world._network
        calm = {"drop_rate": 0.0, "duplicate_rate": 0.0, "jitter_s": 0.0, "reorder_rate": 0.0}
        network._default |= calm
        for line in network._lines.values():
            line._drop_rate = line._duplicate_rate = line._jitter_s = line._reorder_rate = 0.0

    def edges(self):
        """(from, to) of every edge whose ends are both there, and given weight in some round."""
        here = {i for i, place in enumerate(self.world.places) if place.here}
        found = {(j, i) for i in here for row in self.world.places[i].node.neighborhood.rows for j, _ in row.weights}
        return sorted(edge for edge in found if set(edge) <= here)

    def exchanged(self, edges):
        return all(self.world.merged_at.get(edge, -1.0) > HEAL_S for edge in edges)

    def waits(self, j, i):
        """Whether the edge still has to: both ends are there, and models of one may be what the other takes."""
        places = self.world.places
        here = places[i].here and places[j].here
        pulls = self.topology.period > 1 and not self.parts.whole  # a model is kept for the targets of its own round
        return here and not (self.quorum is not None and (self.config.max_age or pulls))

    def check_conserved(self):
        """In step, without trouble, on edges both ways, metropolis weights keep the mean of all models."""
        world = self.world
        rounds = {place.node.merged for place in world.places}
        if self.quorum is None and not self.topology.directed and len(rounds) == 1:
            before, after = sum(self.start), sum(world.engine.values)
            check(abs(before - after) < 1e-9, f"the sum of all models went from {before} to {after}")


def play(seed, verbose=False):
    """Run one seed. Raises Broken, or whatever else is wrong, with the command that shows it again."""
    scenario = Scenario(seed)
    scenario.world.verbose = verbose
    try:
        return scenario.run()
    except Exception as error:
        for line in scenario.world.log[-400:]:
            print(line)
        again = f"python tests/support/dst.py --seed {seed}"
        raise Broken(f"{again}: at {scenario.world.now:.3f} s, {type(error).__name__}: {error}") from error


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Random swarms in random trouble, watched after every event.")
    parser.add_argument("--seed", type=int, help="one seed, with what happened")
    parser.add_argument("--seeds", default="0-5000", help="FIRST-LAST")
    given = parser.parse_args(arguments)
    first, last = (given.seed, given.seed) if given.seed is not None else map(int, given.seeds.split("-"))
    broken, events = 0, 0
    for seed in range(first, last + 1):
        try:
            events += play(seed, verbose=given.seed is not None).events
        except Broken as error:
            broken += 1
            print(error, flush=True)
    print(f"{last - first + 1} seeds, {events} events, {broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
