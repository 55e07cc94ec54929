"""How long a local swarm takes to start: from the command until every node has merged for the first time.

    python bench/startup.py [--nodes 32] [--runs 3] [--task digits] [--model mlp] [--start fork]

Runs `gossipnet swarm` with two rounds of twenty local steps on a ring, and prints JSON: for each run the seconds from
just before the command is started until the last node's first `merged` line (`merged_s`), until the first and the last
node began to train, and until the command had ended; the medians; and the load of the machine before and after.
Times in metrics.jsonl count from the launcher's own beginning; what the command takes before that, Python's start
included, is taken from when it wrote config.toml, and added.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def one(args: argparse.Namespace, folder: Path) -> dict:
    """One run."""
    words = ["swarm", "--nodes", args.nodes, "--task", args.task, "--rounds", 2, "--out", folder, "--overwrite"]
    words += ["--model", args.model] if args.model else []
    words += ["--set", f"swarm.start={args.start}", "--set", "report.evaluate_every=2"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun, begun_at = time.monotonic(), time.time()
    subprocess.run(
        [sys.executable, "-m", "gossipnet", *map(str, words)], check=True, stdout=subprocess.DEVNULL, timeout=600
    )
    ended_s = time.monotonic() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    file = folder / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    # written just before the clock of the run begins
    ahead_s = (folder / "config.toml").stat().st_mtime - begun_at
    first: dict[int, float] = {}
    for r in lines:
        if r["event"] == "merged":
            first.setdefault(r["node"], r["time_s"])
    started = [r["time_s"] for r in lines if r["event"] == "started"]
    assert len(first) == args.nodes, f"only {len(first)} of {args.nodes} nodes have merged"
    return {
        "merged_s": round(ahead_s + max(first.values()), 2),
        "first_started_s": round(ahead_s + min(started), 2),
        "last_started_s": round(ahead_s + max(started), 2),
        "ended_s": round(ended_s, 2),
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=32)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--task", default="digits")
    parser.add_argument("--model", default="")
    parser.add_argument("--start", default="fork", choices=("fork", "spawn"))
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gossipnet-bench-"))
    load = os.getloadavg()
    try:
        runs = [one(args, folder / "run") for _ in range(args.runs)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    loads = {"before": load, "after": os.getloadavg()}
    print(json.dumps({"settings": vars(args), "load": loads, "medians": medians, "runs": runs}, indent=2))


if __name__ == "__main__":
    main()
