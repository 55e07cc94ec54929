"""What one node that is ten times slower costs a ring of eight: time to an accuracy, free-running against in step.

    GOSSIPNET_DATA=... python bench/straggler.py [--pairs 1] [--task mnist] [--accuracy 0.90] [--step-s 0.05]

Runs `gossipnet swarm` in turn in step (quorum all) and free-running (quorum 0), with node 0 at `speed=0.1` in a file of
the topology, and as a baseline in step with all at full speed. Prints JSON: for each, the seconds from when all
nodes train until the mean over nodes of their latest evaluated accuracy has reached `--accuracy` (`mean_s`), and until
each of them has (`every_s`), both on the clock of the run, from its metrics.jsonl. Then the run is interrupted.

Each local step takes at least `--step-s` seconds, ten times that on the slow node: eight nodes on few cores would
otherwise slow each other down, and a node that waits would make the others faster, unlike on eight machines.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

SLOW, SPEED, NODES = 0, 0.1, 8


def paced(of: str = "mnist", step_s: float = 0.05):
    """A task (for --task) whose local steps take at least so long; measuring takes as long as it takes."""
    from torch import is_grad_enabled

    from gossipnet.data.task import make_task

    task = make_task(of)
    last = 0.0

    def loss(outputs, targets):
        nonlocal last
        if is_grad_enabled():
            time.sleep(max(0.0, last + step_s - time.monotonic()))
            last = time.monotonic()
        return task.loss(outputs, targets)

    return replace(task, loss=loss)


def ring(folder: Path, speed: float) -> Path:
    """The topology's file: a ring whose node SLOW has that speed."""
    file = folder / f"ring-{speed:g}.edges"
    lines = [f"{i} speed={speed}" if i == SLOW else str(i) for i in range(NODES)]
    file.write_text("\n".join(lines + [f"{i} {(i + 1) % NODES}" for i in range(NODES)]) + "\n")
    return file


def reached(lines: list[dict], wanted: float) -> dict[str, float | None]:
    """When the mean and when every node had the accuracy, in seconds since all nodes had begun to train."""
    began = max((r["time_s"] for r in lines if r["event"] == "started"), default=0.0)
    latest: dict[int, float] = {}
    mean_s = every_s = None
    for r in sorted((r for r in lines if r["event"] == "evaluated"), key=lambda r: r["time_s"]):
        latest[r["node"]] = r["accuracy"]
        if len(latest) == NODES:
            at = round(r["time_s"] - began, 2)
            mean_s = at if mean_s is None and statistics.mean(latest.values()) >= wanted else mean_s
            every_s = at if every_s is None and min(latest.values()) >= wanted else every_s
    return {"mean_s": mean_s, "every_s": every_s}


def one(args: argparse.Namespace, folder: Path, quorum: str, speed: float) -> dict:
    """One run, up to the accuracy or the time limit."""
    out = folder / "run"
    shutil.rmtree(out, ignore_errors=True)  # else the reports of the last run are read
    task = args.task if args.step_s == 0 else f"{__file__}:paced:of={args.task},step_s={args.step_s}"
    words = ["swarm", "--topology", ring(folder, speed), "--nodes", NODES, "--task", task, "--rounds", 100_000]
    words += ["--local-steps", args.local_steps, "--lr", args.lr, "--quorum", quorum, "--init", args.init]
    words += ["--set", f"report.evaluate_every={args.evaluate_every}", "--set", "report.evaluate_samples=1000"]
    words += ["--set", f"training.seconds={args.limit_s}", "--out", out, "--overwrite"]
    process = subprocess.Popen(
        [sys.executable, "-m", "gossipnet", *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    found: dict = {}
    while process.poll() is None:
        time.sleep(0.5)
        file = out / "metrics.jsonl"
        lines = [json.loads(line) for line in file.read_text().split("\n")[:-1]] if file.exists() else []
        found = reached(lines, args.accuracy)
        if found["every_s"] is not None:
            process.send_signal(signal.SIGINT)
            process.wait()
    summary = json.loads((out / "summary.json").read_text())
    merged = [r for r in lines if r["event"] == "merged"]
    slow = [r for r in merged if r["node"] == SLOW]
    return {
        **found,
        "rounds_of_the_slow_node": len(slow),
        "rounds_of_the_others": round((len(merged) - len(slow)) / (NODES - 1), 1),
        "mean_accuracy_at_the_end": summary["mean_accuracy"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--task", default="mnist")
    parser.add_argument("--accuracy", type=float, default=0.90)
    parser.add_argument("--step-s", type=float, default=0.05)
    parser.add_argument("--local-steps", type=int, default=10)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--init", default="same")
    parser.add_argument("--evaluate-every", type=int, default=2)
    parser.add_argument("--limit-s", type=float, default=300)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gossipnet-bench-"))
    kinds = {"in_step": ("all", SPEED), "free_running": ("0", SPEED), "in_step_without_a_slow_node": ("all", 1.0)}
    try:
        pairs = [{name: one(args, folder, *kind) for name, kind in kinds.items()} for _ in range(args.pairs)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ratios = {}
    for key in ("mean_s", "every_s"):
        both = [(p["in_step"][key], p["free_running"][key]) for p in pairs]
        known = [a / b for a, b in both if a is not None and b]
        ratios[f"in step / free-running, {key}"] = statistics.median(known) if known else None
    print(json.dumps({"settings": vars(args), "load": os.getloadavg(), "ratios": ratios, "pairs": pairs}, indent=2))


if __name__ == "__main__":
    main()
