"""What a swarm costs beyond its training: `gossipnet swarm` against the same training with no exchange.

    GOSSIPNET_DATA=... python bench/swarm.py [--pairs 3] [--task mnist] [--model lenet5]

Runs the two in turn, each as a command of its own, and prints JSON: the medians, and the ratios of

- seconds per round: (wall - start-up - evaluation) / rounds of the swarm, against the same of mere training;
- command to finish: from the start of the command to its end, evaluation and report included, against the same.

The bare side is written by hand: one forked process per node, torch.optim.SGD, the same model, data split, batch size
and number of steps, one thread each; no evaluation, no files. It is not made slower than need be: data and all of
torch, the compiler that the first optimizer imports included, are loaded once before the fork.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def bare(args: argparse.Namespace) -> None:
    """Train in `nodes` processes without exchange; print the seconds that the training took."""
    import numpy as np
    import torch
    import torch._dynamo  # else every process would import it by itself, for seconds

    from gossipnet.data.models import make_model
    from gossipnet.data.partition import partition
    from gossipnet.data.task import make_task

    task = make_task(args.task)
    parts = partition("iid", task.train.targets, len(task.train), args.nodes, 0)
    read, write = os.pipe()
    children = []
    for node in range(args.nodes):
        pid = os.fork()
        if pid == 0:
            torch.set_num_threads(1)
            rng = np.random.default_rng(node)
            model = make_model(args.model, task)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
            begun = time.monotonic()
            for _ in range(args.rounds * args.local_steps):
                inputs, targets = task.train.batch(rng.choice(parts[node], args.batch_size))
                loss = task.loss(model(inputs), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            os.write(write, f"{begun} {time.monotonic()}\n".encode())
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    times = [tuple(map(float, line.split())) for line in os.read(read, 1 << 16).decode().splitlines()]
    print(json.dumps({"training_s": max(end for _, end in times) - max(begun for begun, _ in times)}))


def run(command: list[str]) -> tuple[dict, float]:
    """The JSON that a command prints, and how long it took."""
    begun = time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout), time.monotonic() - begun


def pair(args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """One run of each."""
    size = ["--nodes", args.nodes, "--rounds", args.rounds, "--local-steps", args.local_steps]
    same = [*map(str, size), "--batch-size", str(args.batch_size), "--task", args.task, "--model", args.model]
    alone, alone_s = run([sys.executable, __file__, "--bare", *same])
    swarm = ["swarm", *same, "--topology", "ring", "--lr", "0.05", "--json", "--out", str(folder), "--overwrite"]
    summary, swarm_s = run([sys.executable, "-m", "gossipnet", *swarm])
    busy_s = summary["wall_s"] - summary["startup_s"] - summary["evaluation_s"]
    return {
        "bare_round_s": alone["training_s"] / args.rounds,
        "swarm_round_s": busy_s / args.rounds,
        "bare_command_s": alone_s,
        "swarm_command_s": swarm_s,
        "startup_s": summary["startup_s"],
        "evaluation_s": summary["evaluation_s"],
        "mean_accuracy": summary["mean_accuracy"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--local-steps", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--task", default="mnist")
    parser.add_argument("--model", default="lenet5")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.bare:
        bare(args)
        return
    folder = Path(tempfile.mkdtemp(prefix="gossipnet-bench-"))
    try:
        pairs = [pair(args, folder / "run") for _ in range(args.pairs)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    medians = {key: statistics.median(p[key] for p in pairs) for key in pairs[0]}
    ratios = {
        "round": statistics.median(p["swarm_round_s"] / p["bare_round_s"] for p in pairs),
        "command": statistics.median(p["swarm_command_s"] / p["bare_command_s"] for p in pairs),
    }
    settings = {k: v for k, v in vars(args).items() if k != "bare"}
    print(json.dumps({"settings": settings, "ratios": ratios, "medians": medians, "pairs": pairs}, indent=2))


if __name__ == "__main__":
    main()
