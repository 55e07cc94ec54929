"""A device that comes and goes: one process stays, the other trains through pauses, leaves, and comes back anew.

python docs/examples/comes_and_goes.py
"""

import tempfile
import threading
import time

import torch

import gossipnet


def train(gossip: gossipnet.Gossip, steps: int) -> None:
    for _ in range(steps):
        with torch.no_grad():  # stands for a local step
            gossip.vector.add_(0.001 * torch.randn_like(gossip.vector))
        gossip.step()
        time.sleep(0.002)


def stay(ends: list[str], over: threading.Event) -> None:
    """The node that is always there, until the device has gone for good."""
    seen = ["down"]

    def tell(endpoint: str, state: str) -> None:
        seen.append(state)
        print(f"the device is {state}", flush=True)

    with gossipnet.join(torch.nn.Linear(10, 10), listen=ends[0], peers=ends, local_steps=5, on_neighbor=tell) as gossip:
        while not over.is_set() or seen[-1] != "down":
            train(gossip, 5)


def train_until_merged(gossip: gossipnet.Gossip) -> None:
    before = gossip.status().merges
    while gossip.status().merges == before:
        train(gossip, 5)


with tempfile.TemporaryDirectory() as folder:
    ends = [f"ipc://{folder}/{i}" for i in range(2)]
    over = threading.Event()
    other = threading.Thread(target=stay, args=(ends, over))
    other.start()
    for _ in range(2):  # the second time it is a new process, as far as the other can see
        with gossipnet.join(torch.nn.Linear(10, 10), listen=ends[1], peers=ends, local_steps=5) as gossip:
            train_until_merged(gossip)
            gossip.pause()  # no network, or no battery to spare: it goes on alone
            train(gossip, 500)
            gossip.resume()
            train_until_merged(gossip)
            print(f"the device has done {gossip.status().steps} steps and {gossip.status().merges} merges", flush=True)
    over.set()
    other.join()
