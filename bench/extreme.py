"""Learning in gossip learning's worst case: half of all messages dropped, delays of 1 to 10 cycles, 10 % of nodes away.

    python bench/extreme.py [--rounds 200] [--nodes 16] [--seeds 3] [--init same] [--merge average] [--times 6]

For each merge rule and seed: the accuracy of a run without failures after R rounds, and of runs under
`network.preset=extreme`, free-running as the others are, after up to 6 R rounds. Prints JSON: the accuracies, and the
first of 1, 2, 4 and 6 times the rounds that comes within 1 point; null is none. R must be enough for the run without
failures to have learnt what it can: with fewer, more rounds would make up for anything. Each row goes to stderr as
soon as it is there.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import gossipnet
from gossipnet import Experiment

RULES = ("average", "variance-corrected", "sign-aligned")
TIMES = (1, 2, 4, 6)


def accuracy(experiment: Experiment) -> float:
    """The mean over nodes, on the whole test set."""
    with tempfile.TemporaryDirectory() as folder:
        found = gossipnet.run(experiment, "sim", Path(folder) / "run").summary.mean_accuracy
    assert found is not None
    return found


def compare(base: Experiment, most: Sequence[int]) -> dict[str, object]:
    """One rule, without failures and with."""
    free = accuracy(base)
    harsh: dict[int, float] = {}
    for times in most:
        harsh[times] = accuracy(base.replace(preset="extreme", rounds=times * base.rounds, on_failure="continue"))
        if harsh[times] >= free - 0.01:
            break
    enough = next((times for times, found in harsh.items() if found >= free - 0.01), None)
    return {
        "merge": base.merge,
        "init": base.init,
        "seed": base.seed,
        "failure_free": round(free, 4),
        "extreme": {f"{times}x": round(found, 4) for times, found in harsh.items()},
        "times_the_rounds": enough,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--merge", choices=RULES, action="append", help="default: all")
    parser.add_argument("--times", type=int, action="append", help="of the rounds; default: 1, 2, 4, 6")
    parser.add_argument("--init", choices=("same", "own"), action="append", help="default: both")
    given = parser.parse_args()
    base = Experiment(
        nodes=given.nodes,
        topology="regular:d=4",
        task="digits",
        rounds=given.rounds,
        local_steps=5,
        batch_size=16,
        quorum=0,
        partition="dirichlet:alpha=0.5",
        evaluate_every=10**6,
        train="stacked",
    )
    rows = []
    for seed, init, rule in product(range(given.seeds), given.init or ("same", "own"), given.merge or RULES):
        rows.append(compare(base.replace(merge=rule, init=init, seed=seed), given.times or TIMES))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(json.dumps({"rounds": given.rounds, "nodes": given.nodes, "rules": rows}, indent=1))


if __name__ == "__main__":
    main()
