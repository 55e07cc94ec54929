"""A model of a gigabyte goes round a ring of processes, in step: time of a round, memory against a bound. JSON.

    python bench/gigabyte.py --parameters 25000000 --merge average

A node holds at most, in models of 4 bytes a number, with `depth` = exchange.depth and two neighbors in a ring:

    1 own vector + 0 gradients (theirs are sparse in this task) + (depth + 1) snapshots, one being packed
    + 2 neighbors x (depth + 1) rows, `depth` in the inbox or merged and one being fetched + 1 result of a merge

and CONSTANT_BYTES besides: Python, torch, the chunks under way. After the nodes have ended one process measures their
models together, in MEASURING models. Nothing is run if that does not fit into the memory that is available (`--anyway`
runs it nevertheless, and stops it when less than 2 GiB are left). `within` says whether what was measured is under the
bound; the exit status is 1 if not. `peak_other_bytes` is the most of a process that is no node. Peaks are the kernel's
(VmHWM) for each process, and the sum of all at one moment (RssAnon), looked at ten times a second.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gossipnet.machine import available_bytes

CONSTANT_BYTES = 450 << 20
MEASURING = 10
LEFT_BYTES = 2 << 30  # available memory below which a run is stopped
TASK = Path(__file__).with_name("gigabyte_task.py")


def bound_models(depth: int, neighbors: int = 2) -> int:
    """Models that a node of this task holds at most."""
    return 1 + 0 + (depth + 1) + neighbors * (depth + 1) + 1


def bound_bytes(given: argparse.Namespace) -> dict[str, int]:
    """For one node, for the process that measures, and for all that runs at the same time."""
    model = 4 * given.parameters
    node = bound_models(given.depth) * model + CONSTANT_BYTES
    other = MEASURING * model + CONSTANT_BYTES
    return {"node": node, "other": other, "all": max(given.nodes * node, other) + 2 * CONSTANT_BYTES}


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--parameters", type=int, default=250_000_000)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--depth", type=int, default=1)
    parser.add_argument("--merge", nargs="+", default=["average", "variance-corrected"])
    parser.add_argument("--anyway", action="store_true", help="though the bound does not fit into available memory")
    given = parser.parse_args(words)
    bound, available = bound_bytes(given), available_bytes() or 0
    if bound["all"] > available and not given.anyway:
        sys.exit(
            f"{bound['all'] / 1e9:.1f} GB may be needed and {available / 1e9:.1f} GB are available: "
            f"take fewer --parameters, or see --anyway"
        )
    found = {merge: run(given, merge) for merge in given.merge}
    peaks = {"node": "peak_node_bytes", "other": "peak_other_bytes", "all": "peak_bytes"}
    within = all(r[peak] <= bound[part] for r in found.values() for part, peak in peaks.items())
    head = {"parameters": given.parameters, "nodes": given.nodes, "depth": given.depth, "load": os.getloadavg()[0]}
    bounds = {"bound_models": bound_models(given.depth), "bound_bytes": bound}
    print(json.dumps(head | bounds | {"within": within} | found, indent=2))
    sys.exit(not within)


def run(given: argparse.Namespace, merge: str) -> dict[str, Any]:
    """One swarm to its end."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        words = [sys.executable, "-m", "gossipnet", "swarm", "--task", f"{TASK}:bags:parameters={given.parameters}"]
        words += ["--nodes", given.nodes, "--rounds", given.rounds, "--local-steps", 2, "--batch-size", 8]
        words += ["--merge", merge, "--out", folder, "--json", "--set", f"exchange.depth={given.depth}"]
        talk = Path(scratch) / "talk.txt"
        with talk.open("w") as err, (Path(scratch) / "out.json").open("w+") as out:
            process = subprocess.Popen([*map(str, words)], stdout=out, stderr=err)
            try:
                peaks, together = watch(process)
            finally:
                process.terminate()
                process.wait(timeout=120)
            out.seek(0)
            if process.returncode:
                raise SystemExit(f"gossipnet swarm ended with {process.returncode}: {talk.read_text().strip()[-1000:]}")
            summary = json.load(out)
        nodes = {int(file.read_text()) for file in folder.glob("nodes/*/pid")}
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        "peak_node_bytes": max(peak for pid, peak in peaks.items() if pid in nodes),
        "peak_other_bytes": max(peak for pid, peak in peaks.items() if pid not in nodes),
        "peak_bytes": together,
        "round_s": round(round_s(lines, given.nodes), 3),
        "bytes_sent": summary["bytes_sent"],
        "wall_s": round(summary["wall_s"], 2),
    }


def round_s(lines: list[dict[str, Any]], nodes: int) -> float:
    """Median time from one round that all have merged to the next."""
    times: dict[int, list[float]] = {}
    for line in lines:
        if line["event"] == "merged":
            times.setdefault(line["round"], []).append(line["time_s"])
    ends = [max(times[number]) for number in sorted(times) if len(times[number]) == nodes]
    return statistics.median(after - before for before, after in itertools.pairwise(ends))


def watch(process: "subprocess.Popen[bytes]") -> tuple[dict[int, int], int]:
    """Peak of each process, and of all together, until the swarm has ended."""
    most: dict[int, int] = {}
    together = 0
    while process.poll() is None:
        now = {pid: memory_bytes(pid) for pid in descendants(process.pid)}
        together = max(together, sum(anonymous for anonymous, _ in now.values()))
        most |= {pid: max(peak, most.get(pid, 0)) for pid, (_, peak) in now.items()}
        if (available_bytes() or 0) < LEFT_BYTES:
            process.terminate()
            process.wait(timeout=120)
            raise SystemExit("stopped: less than 2 GiB of memory are left on this machine")
        time.sleep(0.1)
    return most, together


def descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(p for child in children for p in descendants(int(child)))]


def memory_bytes(pid: int) -> tuple[int, int]:
    """(anonymous memory now, the most of all kinds so far) of a process; zeros if it has ended."""
    try:
        lines = [line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    except OSError:
        return 0, 0
    kib = {line[0]: int(line[1]) for line in lines if line and line[0] in ("RssAnon:", "VmHWM:")}
    return 1024 * kib.get("RssAnon:", 0), 1024 * kib.get("VmHWM:", 0)


if __name__ == "__main__":
    main()
