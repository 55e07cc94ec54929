"""Two processes, each with half of the ten digits: both learn all ten, of which one saw only five.

python docs/examples/halves.py                  # the small digits of scikit-learn
python docs/examples/halves.py --task mnist     # MNIST, under $GOSSIPNET_DATA
"""

import argparse
import subprocess
import sys
import tempfile

import numpy as np
import torch

import gossipnet


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", default="digits", choices=["digits", "mnist"])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--half", type=int, help="0: digits 0 to 4; 1: 5 to 9; both, in two processes, unless given")
    parser.add_argument("--folder", help="for the two sockets")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.half is not None:
        train(given)
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--task", given.task, "--steps", str(given.steps), "--folder", folder]
        processes = [subprocess.Popen([*command, "--half", str(half)]) for half in (0, 1)]
        sys.exit(max(process.wait() for process in processes))


def train(given: argparse.Namespace) -> None:
    task = gossipnet.make_task(given.task)
    mine = np.flatnonzero(task.train.targets // 5 == given.half)
    torch.manual_seed(0)  # the same first weights in both
    size = int(np.prod(task.train.shape))
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(size, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    draw = np.random.default_rng(given.half)
    ends = [f"ipc://{given.folder}/{half}" for half in (0, 1)]
    listen = ends[given.half]
    # in step: two that start and train at different speeds would have learnt little of each other in so short a time
    with gossipnet.join(model, listen=listen, peers=ends, merge="average", local_steps=2, quorum="all") as gossip:
        for _ in range(given.steps):
            inputs, targets = task.train.batch(draw.choice(mine, 32))
            loss = torch.nn.functional.cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            gossip.step()
        merges = gossip.status().merges
    inputs, targets = task.test.batch(np.arange(len(task.test)))
    with torch.no_grad():
        right = model(inputs).argmax(1) == targets
    own = targets // 5 == given.half
    print(
        f"half {given.half}: accuracy {right.float().mean():.3f} over all ten digits, "
        f"{right[~own].float().mean():.3f} over the five never seen; {merges} merges",
        flush=True,
    )


if __name__ == "__main__":
    main()
