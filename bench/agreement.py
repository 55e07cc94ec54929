"""How far the simulator is from live swarms: accuracy against time, free-running, after `gossipnet sim --like RUN`.

    GOSSIPNET_DATA=... python bench/agreement.py [--seeds 3] [--seconds 12] [--draw agreement.png]

Three kinds of swarms of eight nodes on a ring, which never wait for each other (quorum 0):

- `alike`: each local step takes at least `--step-s` seconds, as on eight machines (see bench/straggler.py);
- `straggler`: the same, but node 0 is `--speed` times as fast;
- `crowded`: steps take what eight processes leave each other of this machine, whatever else it does.

For each kind and seed one swarm runs twice, and the first run is simulated with the times that it took. Curves are the
mean over nodes of their latest accuracies, each node's interpolated between its evaluations, from when all nodes have
one to the end; time counts from the first start. `sim against live` compares the simulation with the run that it is
like, `live against live` the two runs: no simulator can be expected to come closer than a second run does. Prints JSON:
the differences of each pair, and over all pairs the largest and the mean one beside the band that we state.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

NODES = 8
BAND = {"mean": 0.025, "largest": 0.12}  # of accuracy, in [0, 1], over all pairs
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9)
KINDS = ("alike", "straggler", "crowded")
STRAGGLER = Path(__file__).with_name("straggler.py")
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"  # told apart by who sees few colours (Okabe, Ito, 2008)


@dataclass(frozen=True)
class Course:
    """What a run came to: times (k,) and mean accuracies (k,) of its curve, staleness and rounds of its merges."""

    times_s: np.ndarray
    accuracy: np.ndarray
    staleness: list[float]
    rounds: int

    def at(self, times_s: np.ndarray) -> np.ndarray:
        return np.interp(times_s, self.times_s, self.accuracy)

    def reached_s(self, wanted: float) -> float | None:
        """When the mean had that accuracy; None if it never had, or had it already at the first point."""
        above = np.flatnonzero(self.accuracy >= wanted)
        if not above.size or not above[0]:
            return None
        i = above[0]
        return float(np.interp(wanted, self.accuracy[i - 1 : i + 1], self.times_s[i - 1 : i + 1]))


def course(lines: list[dict[str, Any]]) -> Course:
    """Of the reports of a run: the mean over nodes, where all of them have an accuracy."""
    first_s = min(r["time_s"] for r in lines if r["event"] == "started")
    points: dict[int, list[tuple[float, float]]] = {}
    for r in lines:
        if r["event"] == "evaluated":
            points.setdefault(r["node"], []).append((r["time_s"] - first_s, r["accuracy"]))
    times = np.unique([at for node in points.values() for at, _ in node])
    times = times[times >= max(node[0][0] for node in points.values())]
    mean = np.mean([np.interp(times, *zip(*node, strict=True)) for node in points.values()], axis=0)
    merged = [r for r in lines if r["event"] == "merged"]
    return Course(times, mean, [r["staleness"] for r in merged if r["merged"]], len(merged))


def compare(one: Course, other: Course) -> dict[str, Any]:
    """How far two runs are apart: accuracies in [0, 1]; other / one for times to an accuracy and rounds."""
    times = np.linspace(max(one.times_s[0], other.times_s[0]), min(one.times_s[-1], other.times_s[-1]), 200)
    apart = np.abs(one.at(times) - other.at(times))
    reached = {wanted: (one.reached_s(wanted), other.reached_s(wanted)) for wanted in THRESHOLDS}
    return {
        "mean": round(float(apart.mean()), 4),
        "largest": round(float(apart.max()), 4),
        "seconds_compared": round(float(times[-1] - times[0]), 1),
        "time_to_accuracy": {f"{wanted:.2f}": round(b / a, 3) for wanted, (a, b) in reached.items() if a and b},
        "staleness_medians": [round(statistics.median(c.staleness), 3) if c.staleness else None for c in (one, other)],
        "staleness_means": [round(statistics.mean(c.staleness), 3) if c.staleness else None for c in (one, other)],
        "rounds": round(other.rounds / one.rounds, 3),
    }


def over_pairs(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of many comparisons together."""
    ratios = [ratio for pair in pairs for ratio in pair["time_to_accuracy"].values()]
    return {
        "mean": round(statistics.mean(pair["mean"] for pair in pairs), 4),
        "largest": max(pair["largest"] for pair in pairs),
        "time_to_accuracy": [min(ratios), statistics.median(ratios), max(ratios)] if ratios else None,
    }


def command(args: argparse.Namespace, kind: str, seed: int, folder: Path) -> list[Any]:
    """The options of a live run of that kind."""
    pace = 0.0 if kind == "crowded" else args.step_s
    task = f"{STRAGGLER}:paced:of={args.task},step_s={pace}" if pace else args.task
    words = ["--nodes", NODES, "--task", task, "--model", args.model, "--partition", args.partition, "--seed", seed]
    words += ["--topology", ring(folder, args.speed) if kind == "straggler" else "ring", "--rounds", 100_000]
    words += ["--local-steps", args.local_steps, "--batch-size", args.batch_size, "--lr", args.lr, "--quorum", 0]
    words += ["--set", f"training.seconds={args.seconds}", "--set", f"report.evaluate_every={args.evaluate_every}"]
    return [*words, "--set", f"report.evaluate_samples={args.evaluate_samples}"]


def ring(folder: Path, speed: float) -> Path:
    """The topology's file: a ring whose node 0 has that speed."""
    file = folder / "ring.edges"
    nodes = [f"0 speed={speed}", *map(str, range(1, NODES))]
    file.write_text("\n".join([*nodes, *(f"{i} {(i + 1) % NODES}" for i in range(NODES))]) + "\n")
    return file


def run(words: list[Any], out: Path) -> Course:
    """Run that command of gossipnet to its end."""
    line = [sys.executable, "-m", "gossipnet", *map(str, words), "--out", str(out)]
    done = subprocess.run(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(line)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return course([json.loads(text) for text in (out / "metrics.jsonl").read_text().splitlines()])


def three(args: argparse.Namespace, kind: str, seed: int, folder: Path) -> dict[str, Course]:
    """A live run, the same live again, and the first one simulated; without the pauses of a paced task."""
    words, name = command(args, kind, seed, folder), f"{kind}-{seed}"
    live = run(["swarm", *words], folder / name)
    again = run(["swarm", *words], folder / f"{name}-again")
    sim = run(["sim", "--like", folder / name, "--task", args.task], folder / f"{name}-sim")
    return {"live": live, "again": again, "sim": sim}


def draw(courses: dict[str, list[dict[str, Course]]], file: Path) -> None:
    """Every kind in a panel: live runs dark and whole, simulations broken."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(courses), figsize=(3.6 * len(courses), 3.4), sharey=True, squeeze=False)
    styles = {
        "again": {"color": GREY, "linewidth": 1.2, "label": "live, a second time"},
        "live": {"color": BLUE, "linewidth": 1.8, "label": "live"},
        "sim": {"color": ORANGE, "linewidth": 1.8, "linestyle": "--", "label": "sim --like"},
    }
    for panel, (kind, seeds) in zip(panels[0], courses.items(), strict=True):
        for n, runs in enumerate(seeds):
            for name, style in styles.items():
                held = runs[name]
                panel.plot(held.times_s, held.accuracy, **(style if n == 0 else {**style, "label": None}))
        panel.set_title(kind)
        panel.set_xlabel("seconds")
        panel.grid(color="#DDDDDD", linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_ylabel("mean accuracy")
    panels[0][-1].legend(frameon=False, loc="lower right")
    figure.tight_layout()
    figure.savefig(file, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--task", default="mnist")
    parser.add_argument("--model", default="mlp")
    parser.add_argument("--partition", default="dirichlet:alpha=0.3")
    parser.add_argument("--local-steps", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--step-s", type=float, default=0.05)
    parser.add_argument("--speed", type=float, default=0.25)
    parser.add_argument("--evaluate-every", type=int, default=1)
    parser.add_argument("--evaluate-samples", type=int, default=1000)
    parser.add_argument("--draw", type=Path, metavar="FILE.png")
    args = parser.parse_args()
    begun = os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="gossipnet-bench-") as made:
        courses = {kind: [three(args, kind, seed, Path(made)) for seed in range(args.seeds)] for kind in args.kinds}
    found = {
        "sim against live": {kind: [compare(r["live"], r["sim"]) for r in runs] for kind, runs in courses.items()},
        "live against live": {kind: [compare(r["live"], r["again"]) for r in runs] for kind, runs in courses.items()},
    }
    together = {
        name: {kind: over_pairs(held) for kind, held in {**kinds, "all": [*chain(*kinds.values())]}.items()}
        for name, kinds in found.items()
    }
    over_all = together["sim against live"]["all"]
    if args.draw is not None:
        draw(courses, args.draw)
    print(
        json.dumps(
            {
                "settings": vars(args),
                "load": [begun, os.getloadavg()],
                "band": BAND,
                "within": all(over_all[name] <= limit for name, limit in BAND.items()),
                "together": together,
                "pairs": found,
            },
            indent=2,
            default=str,
        )
    )


if __name__ == "__main__":
    main()
