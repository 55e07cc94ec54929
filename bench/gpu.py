"""Swarms, exchange and merges on one GPU. Prints JSON; without a GPU one line on stderr, and exit status 2.

    python bench/gpu.py [--nodes 8 32] [--rounds 20] [--task digits] [--numel 11000000] [--pairs 5]

- swarms: a ring of node processes that share the GPU, each with a CUDA context of its own: seconds until all train,
  seconds per round after that, and the most memory of the device that they held together, as the device tells it;
- exchange: one model again and again from a vector on the GPU in one process to a vector on the GPU in another, through
  snapshot, offer, fetch, checks and admission; `ratio` compares its speed with the same between vectors on the CPU;
- merges: of own + `--neighbors` models. `resident`, models on the GPU: bytes per second over k + 2 passes against
  copy_ there (2 passes). `streamed`, models in pinned memory, as a node has them: against copying those models in.

Pairs alternate, and ratios are medians over pairs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from gossipnet.arena import Arena
from gossipnet.codec import make_codec
from gossipnet.events import Merge, Merged, Save, Saved, Train, Trained
from gossipnet.live.driver import Driver, Place
from gossipnet.merge import Group, make_merge
from gossipnet.model import Entry, ModelSpec, Snapshot
from gossipnet.node import Node, NodeConfig
from gossipnet.topology import Neighborhood, Row
from gossipnet.training.merging import Incoming, Merging
from gossipnet.training.staging import make_staging

RULES = ("average", "variance-corrected", "sign-aligned")
WARM_UP = 4  # models before the clock starts
WIDTH = 1024


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall time of `work`, with all that it has left the device to do."""
    synchronize(device)
    begun = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - begun


# --- swarms --------------------------------------------------------------------------------------------------------


@contextmanager
def watched(device: torch.device) -> Iterator[dict[str, int]]:
    """`most_bytes`: by how much the memory in use of the device, by whatever process, grew at most meanwhile."""
    found, done = {"most_bytes": 0}, threading.Event()
    if device.type != "cuda":
        yield found
        return
    free_at_first = torch.cuda.mem_get_info(device)[0]

    def watch() -> None:
        while not done.wait(0.05):
            found["most_bytes"] = max(found["most_bytes"], free_at_first - torch.cuda.mem_get_info(device)[0])

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def swarm(given: argparse.Namespace, nodes: int, device: torch.device) -> dict[str, Any]:
    """One run of `gossipnet swarm`."""
    with tempfile.TemporaryDirectory() as folder, watched(device) as memory:
        words = ["swarm", "--nodes", nodes, "--rounds", given.rounds, "--task", given.task, "--model", given.model]
        words += ["--device", device, "--topology", "ring", "--out", f"{folder}/run", "--json"]
        begun = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "gossipnet", *map(str, words)], stdout=subprocess.PIPE, check=True)
        command_s = time.perf_counter() - begun
    summary = json.loads(done.stdout)
    busy_s = summary["wall_s"] - summary["startup_s"] - summary["evaluation_s"]
    return {
        "startup_s": summary["startup_s"],
        "round_s": busy_s / given.rounds,
        "command_s": command_s,
        "device_bytes": memory["most_bytes"],
        "device_bytes_per_node": memory["most_bytes"] // nodes,
        "mean_accuracy": summary["mean_accuracy"],
    }


# --- exchange ------------------------------------------------------------------------------------------------------


def side(given: argparse.Namespace) -> None:
    """One of two nodes: 0 sends its vector each round, 1 copies it into its own and prints the seconds per model."""
    from silence import Silence

    torch.set_num_threads(1)
    own, rounds, device = given.side, WARM_UP + given.models, torch.device(given.device)
    spec, codec = dense_spec(given.numel), make_codec("float32")
    row = Row(targets=(1,)) if own == 0 else Row(weights=((0, 0.5),))
    node = Node(Neighborhood(own, (row,)), NodeConfig(rounds, 1, spec.digest, session=time.time_ns(), evaluates=False))
    place = Place(own, given.ends[own], {1 - own: given.ends[1 - own]}, bytes(8), time.monotonic())
    driver = Driver(place, node, spec, codec, 1 << 19, 1 << 20, Silence())
    staging = make_staging(device, codec, driver.arena)
    vector = torch.zeros(given.numel, device=device)
    driver.start()
    begun = 0.0
    while (action := driver.actions.get()) is not None:
        match action:
            case Train():
                driver.post(trained(action.round, spec, vector, staging if own == 0 else None))
            case Merge():
                vector.copy_(action.members[0].snapshot.storage)
                if float(vector[0]) != action.round:
                    raise RuntimeError("another model than the one that was sent")
                now = time.perf_counter()
                begun = now if action.round == WARM_UP else begun
                if action.round == rounds:
                    print((now - begun) / given.models, flush=True)
                del action
                driver.post(Merged())
            case Save():
                driver.post(Saved())
    driver.end()
    if driver.crash is not None:
        raise driver.crash
    if driver.finish.error is not None:
        raise RuntimeError(driver.finish.error)


def trained(round: int, spec: ModelSpec, vector: torch.Tensor, staging: Any) -> Callable[[], Trained]:
    """A model that changes, as models do; what makes the event runs in the I/O thread."""
    if staging is None:
        return lambda: Trained(Snapshot(spec.digest, round, round, 1, None), 1, 0.0)
    vector[0] = round
    parcel = staging(vector)
    return lambda: Trained(Snapshot(spec.digest, round, round, 1, parcel()), 1, 0.0)


def model_s(given: argparse.Namespace, device: torch.device) -> float:
    """Seconds per model between two processes."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, __file__, "--ends", f"ipc://{folder}/0", f"ipc://{folder}/1", "--device", str(device)]
        words += ["--numel", str(given.numel), "--models", str(given.models)]
        sides = [subprocess.Popen([*words, "--side", str(i)], stdout=subprocess.PIPE, text=True) for i in (1, 0)]
        try:
            outputs = [process.communicate(timeout=600)[0] for process in sides]
        finally:
            for process in sides:
                process.kill()
    if any(process.returncode for process in sides):
        raise RuntimeError(f"the exchange on {device} failed")
    return float(outputs[0])


def exchange(given: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    pairs = [(model_s(given, device), model_s(given, torch.device("cpu"))) for _ in range(given.pairs)]
    return {
        "model_bytes": 4 * given.numel,
        "device_model_s": statistics.median(there for there, _ in pairs),
        "cpu_model_s": statistics.median(here for _, here in pairs),
        "ratio": statistics.median(here / there for there, here in pairs),
    }


# --- merges --------------------------------------------------------------------------------------------------------


def dense_spec(numel: int) -> ModelSpec:
    """Square matrices, WIDTH wide, and what is left in one vector."""
    size = WIDTH * WIDTH
    entries = [Entry(f"{i}.weight", (WIDTH, WIDTH), i * size, size, False) for i in range(numel // size)]
    rest = numel % size
    return ModelSpec((*entries, *([Entry("rest", (rest,), numel - rest, rest, False)] if rest else [])))


def merges(given: argparse.Namespace, text: str, device: torch.device) -> dict[str, float]:
    """Both ratios of one rule, and the memory of the device that a merge of streamed models takes beside them."""
    k, spec, rule = given.neighbors, dense_spec(given.numel), make_merge(text)
    weight = 1 / (k + 1)
    matrix = torch.randn(k + 1, given.numel, device=device)
    group = Group(vectors=matrix, weights=torch.full((k + 1,), weight, device=device), spec=spec)
    target = torch.empty(given.numel, device=device)
    arena = Arena(k)
    make_staging(device, make_codec("float32"), arena)  # gives the arena memory that suits the device
    rows = [torch.from_numpy(arena.take(4 * given.numel)).view(torch.float32).copy_(row) for row in matrix[1:]]
    merging = Merging(matrix[0].clone(), spec, rule)
    incoming = [Incoming(row, weight, 1, 1) for row in rows]

    def streamed() -> None:
        merging((weight, 1, 1), incoming, measure=False)

    def brought() -> None:
        for row in rows:
            target.copy_(row, non_blocking=True)

    works = (lambda: target.copy_(matrix[0]), lambda: rule(group), brought, streamed)
    for work in works:
        work()
    times = [[seconds(work, device) for work in works] for _ in range(given.repeats)]
    return {
        "resident_ratio": statistics.median((k + 2) / merge / (2 / copy) for copy, merge, _, _ in times),
        "streamed_ratio": statistics.median(bring / merge for _, _, bring, merge in times),
        "copy_gb_per_s": 8e-9 * given.numel / statistics.median(t[0] for t in times),
        "pinned_to_device_gb_per_s": 4e-9 * k * given.numel / statistics.median(t[2] for t in times),
        "streamed_device_bytes": extra_bytes(streamed, device),
    }


def extra_bytes(work: Callable[[], object], device: torch.device) -> int:
    """The most memory of the device that `work` has taken beyond what was in use."""
    if device.type != "cuda":
        return 0
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="*", default=[8, 32], help="sizes of swarms")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--task", default="digits", help="of the swarms")
    parser.add_argument("--model", default="", help="of the swarms; the task's own unless given")
    parser.add_argument("--numel", type=int, default=11_000_000, help="numbers in a model that is exchanged or merged")
    parser.add_argument("--models", type=int, default=20, help="exchanged in one run")
    parser.add_argument("--pairs", type=int, default=5, help="of exchanges")
    parser.add_argument("--neighbors", type=int, default=4, help="models merged with the own one")
    parser.add_argument("--repeats", type=int, default=15, help="of merges")
    parser.add_argument("--device", default="cuda:0", help="cpu tries the program out, and measures nothing of use")
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--ends", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    os.environ["OMP_NUM_THREADS"] = "1"
    if given.side is not None:
        side(given)
        return
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("bench/gpu.py: torch sees no CUDA device here: run it on a machine with one", file=sys.stderr)
        sys.exit(2)
    found = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "swarms": {str(nodes): swarm(given, nodes, device) for nodes in given.nodes},
        "exchange": exchange(given, device),
        "merges": {text: merges(given, text, device) for text in RULES},
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
