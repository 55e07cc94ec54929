"""What the simulator costs beside training: 1,000 nodes, regular:d=4, 20 rounds in step, models of no numbers.

    python bench/bookkeeping.py [--nodes 1000] [--rounds 20] [--repeats 3]

Prints JSON: seconds on one core (CPU time of this process), median and least, and microseconds for each event; with
--profile where they go, on stderr. The target is 0.6 s.
"""

import argparse
import cProfile
import json
import pstats
import sys
import time
from statistics import median

from gossipnet.events import Evaluate, Evaluated, Event, Merge, Merged, Save, Saved, Train, Trained
from gossipnet.model import Snapshot
from gossipnet.node import NodeConfig
from gossipnet.sim.presets import Conditions
from gossipnet.sim.transfers import Parts
from gossipnet.sim.world import Setting, World
from gossipnet.topology import Topology, make_topology
from gossipnet.wire import Payload

DIGEST = b"specspec"


class NoTraining:
    """Answers every job at once."""

    def __init__(self, rounds: int) -> None:
        self._config = NodeConfig(rounds=rounds, local_steps=1, digest=DIGEST, evaluates=False)
        self.events = 0

    def config(self, node: int, session: int) -> NodeConfig:
        return self._config

    def begin(self, node: int, work: Train) -> None:
        pass

    def carry_out(self, jobs: list) -> list[Event]:
        self.events += len(jobs)
        return [self._do(job.work) for job in jobs]

    def _do(self, work: Train | Merge | Evaluate | Save) -> Event:
        match work:
            case Train():
                return Trained(Snapshot(DIGEST, work.round, work.round, 1, None), 1, 0.0)
            case Merge():
                return Merged()
            case Evaluate():
                return Evaluated({})
        return Saved()


class Nobody:
    """Listens to no report."""

    def report(self, *args: object) -> None:
        pass

    sample = failure = report


def once(topology: Topology, rounds: int) -> tuple[float, int]:
    """Seconds of CPU time, and messages delivered."""
    parts = Parts(Payload("float32", 4, bytes(8)), 1 << 19, 1 << 20)
    world = World(topology, Setting(conditions=Conditions(), parts=parts, seed=0), NoTraining(rounds), Nobody())
    begun = time.process_time()
    world.run()
    took_s = time.process_time() - begun
    assert all(place.node.merged == rounds for place in world.places)
    return took_s, sum(world.post.messages_sent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    topology = make_topology("regular:d=4", n=given.nodes)
    found = [once(topology, given.rounds) for _ in range(given.repeats)]
    seconds = [took_s for took_s, _ in found]
    messages = found[0][1]
    print(
        json.dumps(
            {
                "nodes": given.nodes,
                "rounds": given.rounds,
                "messages": messages,
                "cpu_s": round(median(seconds), 3),
                "least_cpu_s": round(min(seconds), 3),
                "us_per_message": round(1e6 * median(seconds) / messages, 2),
                "target_s": 0.6,
            }
        )
    )
    if given.profile:
        profile = cProfile.Profile()
        profile.runcall(once, topology, given.rounds)
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(18)


if __name__ == "__main__":
    main()
