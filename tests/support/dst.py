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
from dataclasses import dataclass

from watched import DIGEST, Broken, Quiet, TrivialEngine, Watched

from gossipnet.node import NodeConfig, Phase
from gossipnet.sim.pace import Times
from gossipnet.sim.presets import Conditions
from gossipnet.sim.transfers import Parts
from gossipnet.sim.world import Setting
from gossipnet.topology import make_topology
from gossipnet.wire import Payload

HEAL_S = 8.0  # all trouble is over
BOUND_S = 60.0  # an Ask is repeated after 8 s at the latest, and a model on its way may have to be let go first
TOPOLOGIES = (
    "ring regular:d=4 small-world:k=4,p=0.3 erdos-renyi:p=0.4 star complete exponential tree path scale-free:m=2"
    " random-matchings:rounds=3 one-peer-exponential"
).split()


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
        self.payload_bytes = rng.choice([10, 3000, 20_000])  # the last is more chunks than a window
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
            self.world.corrupt_rate = rng.choice([0.0, 0.0, 0.2])
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
        return Setting(conditions=conditions, parts=parts, seed=self.seed, cuts=cuts, times=self.times(), notice_s=0.5)

    def times(self):
        """From a stream of its own: what other seeds stand for stays as it was before there were such times."""
        rng = random.Random(f"times {self.seed}")
        return Times(
            compute_s=0.5,
            spread=rng.choice([0.0, 0.0, 0.2]),
            merge_s=rng.choice([0.0, 0.0, 0.1]),
            evaluate_s=rng.choice([0.0, 0.0, 1.0]),
            start_s=[rng.choice([0.0, rng.uniform(0, 4)]) for _ in range(self.n)] if rng.random() < 0.3 else (),
        )

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
        late = self.edges()
        until_s = HEAL_S + BOUND_S + self.behind_s()
        while world.now < until_s and world._clock and (late := self.late(late)):
            world.run(until_s=max(world.now + 0.5, world._clock.next_time))
        if late := self.late(late):
            raise Broken(f"no exchange over {late} within {until_s - HEAL_S:.0f} s after all trouble was over")
        world.interrupt()
        world._stop()
        world.run()
        left = {i: p.error for i, p in enumerate(world.places) if p.here and p.node.phase is not Phase.DONE}
        if left or world.failed:
            raise Broken(f"never ended: {left or [world.places[i].error for i in world.failed]}")
        if not self.faulty:
            self.check_conserved()
        return world

    def behind_s(self):
        """How long those that are behind take, in step, to the round of those that went on without them; with a quorum,
        how long an edge of a schedule takes to have its turn, at its sender and then at its receiver."""
        times, steps = self.world.setting.times, self.config.local_steps
        work_s = max(self.world._pace._step_s) * steps + times.merge_s + times.evaluate_s
        if self.quorum is not None:
            return 2 * (self.topology.period - 1) * work_s
        rounds = [place.node.merged for place in self.world.places if place.here]
        latency = 4 * self.world.setting.conditions.latency_s  # offer, pull, chunks, and what is queued before them
        each_s = work_s + latency + self.parts.n_chunks / 4 + 1.0
        return (max(rounds, default=0) - min(rounds, default=0)) * each_s

    def heal(self):
        """Nothing gets lost, spoilt, comes twice or late any more."""
        self.world.corrupt_rate = 0.0
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

    def late(self, edges):
        """Those over which no model has come since all trouble was over, but has to."""
        merged_at = self.world.merged_at
        return [edge for edge in edges if merged_at.get(edge, -1.0) <= HEAL_S and self.waits(*edge)]

    def waits(self, j, i):
        """Whether the edge still has to: both ends are there, and models of one may be what the other takes.

        Where nodes or links are slow, models of some fall behind by more than `max_age`.
        """
        places = self.world.places
        here = places[i].here and places[j].here
        pulls = self.topology.period > 1 and not self.parts.whole  # a model is kept for the targets of its own round
        uneven = self.quorum != 0 or self.world.setting.conditions.speed != "same" or not self.parts.whole
        return here and not (self.quorum is not None and (pulls or (self.config.max_age and uneven)))

    def check_conserved(self):
        """In step, without trouble, on edges both ways, metropolis weights keep the mean of all models."""
        world = self.world
        rounds = {place.node.merged for place in world.places}
        if self.quorum is None and not self.topology.directed and len(rounds) == 1:
            before, after = sum(self.start), sum(world.engine.values)
            if abs(before - after) > 1e-9:
                raise Broken(f"the sum of all models went from {before} to {after}")


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
