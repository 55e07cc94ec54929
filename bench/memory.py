"""Memory of a swarm against that of training alone, in alternated pairs on one machine. Prints JSON.

    GOSSIPNET_DATA=... python bench/memory.py --nodes 8 --pairs 3

One side is `gossipnet swarm` (MNIST, lenet5, ring, in step); the other as many processes, forked likewise from one that
has imported torch and loaded the data, which only train: the same Trainer, no node, no socket, no merge. Counted is
the proportional set size (Pss of /proc/PID/smaps_rollup: private pages, and shared ones divided by who shares them),
summed over the training processes and the one they were forked from, once all are in their steady state: the median
of samples in time. `ratio` is the median over pairs; `ratio_with_launcher` counts the swarm's launcher too, for which
training alone has no counterpart; `ratio_of_private` leaves out mapped files such as libtorch, whose pages are shared
with any other torch program that happens to run.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ENOUGH = 3  # rounds that every process has done before its memory is in its steady state


def pss_bytes(pid: int) -> dict[str, int]:
    """`all` of a process, and what is `private` to this side: anonymous pages, no files that others map too."""
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    kib = {name.rstrip(":"): int(number) for name, number, *_ in lines}
    return {"all": kib["Pss"] * 1024, "private": kib["Pss_Anon"] * 1024}


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def settings(given: argparse.Namespace) -> dict[str, object]:
    never = 10**6  # the run is stopped when enough has been seen; measuring accuracy is no part of either side
    return {"nodes": given.nodes, "task": given.task, "rounds": never, "local_steps": 20, "evaluate_every": never}


# --- the two sides -------------------------------------------------------------------------------------------------


@contextmanager
def swarm(given: argparse.Namespace) -> Iterator[tuple[int, list[int]]]:
    """(launcher, [fork server, nodes...]) of a swarm in its steady state."""
    from gossipnet import Experiment

    with tempfile.TemporaryDirectory() as scratch:
        file, run = Path(scratch) / "experiment.toml", Path(scratch) / "run"
        file.write_text(Experiment(**settings(given)).to_toml())  # type: ignore[arg-type]
        command = [sys.executable, "-m", "gossipnet", "swarm", str(file), "--out", str(run)]
        talk = Path(scratch) / "talk.txt"
        with talk.open("w") as out:
            launcher = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            wait_for(lambda: merged(run / "metrics.jsonl") >= {(n, ENOUGH) for n in range(given.nodes)}, launcher)
            [server] = children(launcher.pid)
            yield launcher.pid, [server, *children(server)]
        finally:
            for _ in range(2):  # at once
                launcher.send_signal(signal.SIGINT)
                time.sleep(0.2)
            launcher.wait(timeout=60)


def merged(file: Path) -> set[tuple[int, int]]:
    """The (node, round) that a metrics.jsonl, which is being written, has so far."""
    if not file.is_file():
        return set()
    lines = (json.loads(line) for line in file.read_text().splitlines() if line.endswith("}"))
    return {(line["node"], line["round"]) for line in lines if line["event"] == "merged"}


@contextmanager
def alone(given: argparse.Namespace) -> Iterator[tuple[int, list[int]]]:
    """(none, [parent, trainers...]) of processes that only train."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, __file__, "--train-in", scratch, "--nodes", str(given.nodes), "--task", given.task]
        parent = subprocess.Popen(command)
        try:
            done = [Path(scratch) / str(node) for node in range(given.nodes)]
            wait_for(lambda: all(file.exists() for file in done), parent)
            trainers = children(parent.pid)
            yield 0, [parent.pid, *trainers]
        finally:
            for pid in children(parent.pid):
                os.kill(pid, signal.SIGKILL)
            parent.wait(timeout=60)


def train_only(given: argparse.Namespace) -> None:
    """What the parent of the other side does: load, fork, wait. A trainer leaves a file once it is under way."""
    import gc

    import torch

    from gossipnet import Experiment, make_task
    from gossipnet.training.build import build_trainer, split
    from gossipnet.training.randomness import seed_process

    experiment = Experiment(**settings(given))  # type: ignore[arg-type]
    task = make_task(experiment.task)
    parts = split(experiment, task)
    gc.collect()
    gc.freeze()
    for node in range(experiment.nodes):
        if os.fork() == 0:
            torch.set_num_threads(1)
            seed_process(experiment.seed, node)
            trainer = build_trainer(experiment, node, task, parts[node])
            for round in range(1, experiment.rounds):
                trainer.train(round, experiment.local_steps)
                if round == ENOUGH:
                    (Path(given.train_in) / str(node)).touch()
    for _ in range(experiment.nodes):
        os.wait()


# --- the measurement -----------------------------------------------------------------------------------------------


def wait_for(true: Callable[..., Any], process: "subprocess.Popen[bytes]") -> None:
    began = time.monotonic()
    while not true():
        if process.poll() is not None or time.monotonic() - began > 600:
            raise RuntimeError("the processes ended, or were not under way within ten minutes: try `gossipnet swarm`")
        time.sleep(0.2)


def sample(given: argparse.Namespace, side: Callable[..., Any]) -> dict[str, float]:
    """Medians over the samples, in bytes."""
    taken = []
    with side(given) as (launcher, processes):
        for _ in range(given.samples):
            sums = [pss_bytes(pid) for pid in processes]
            here = pss_bytes(launcher)["all"] if launcher else 0
            taken.append({name: sum(s[name] for s in sums) for name in ("all", "private")} | {"launcher": here})
            time.sleep(given.every_s)
    return {name: statistics.median(t[name] for t in taken) for name in ("all", "private", "launcher")}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--task", default="mnist")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--samples", type=int, default=7, help="of each side, in one run of it")
    parser.add_argument("--every-s", type=float, default=0.5, help="between two samples")
    parser.add_argument("--train-in", help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    if given.train_in:
        train_only(given)
        return
    pairs = []
    for _ in range(given.pairs):
        pairs.append({"swarm": sample(given, swarm), "alone": sample(given, alone)})
        print(json.dumps(pairs[-1]), file=sys.stderr)
    print(json.dumps({"nodes": given.nodes, "task": given.task, **outcome(pairs)}, indent=2))


def outcome(pairs: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Medians over the pairs."""

    def ratio(of: Callable[[dict[str, float]], float]) -> float:
        return round(statistics.median(of(p["swarm"]) / of(p["alone"]) for p in pairs), 4)

    return {
        "swarm_bytes": statistics.median(p["swarm"]["all"] for p in pairs),
        "alone_bytes": statistics.median(p["alone"]["all"] for p in pairs),
        "launcher_bytes": statistics.median(p["swarm"]["launcher"] for p in pairs),
        "ratio": ratio(lambda side: side["all"]),
        "ratio_of_private": ratio(lambda side: side["private"]),
        "ratio_with_launcher": ratio(lambda side: side["all"] + side["launcher"]),
        "target": "ratio <= 1.05",
    }


if __name__ == "__main__":
    main()
