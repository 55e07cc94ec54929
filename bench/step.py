"""How long `gossip.step()` takes with a 44 MB model, and what it costs a training loop. Prints JSON.

    python bench/step.py --neighbors 2 --steps 200 --pairs 3

A process trains a multilayer perceptron of 11 million parameters, free-running, while its neighbors (processes of the
same model, which train too little to be busy) send theirs. The other side of each pair is the same loop, in the same
process and with the neighbors still there, without gossip: it is paused. `step_ms` is of all calls with gossip,
`share_of_loop` how much of the loop's time they were, `slowdown` the ratio of the medians of both sides' seconds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import torch

import gossipnet

WIDTH = 1913  # three layers of it: 11 million parameters


def make_model(width: int) -> torch.nn.Module:
    torch.manual_seed(0)
    layers = [torch.nn.Linear(width, width) for _ in range(3)]
    return torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])


def local_step(model: torch.nn.Module, inputs: torch.Tensor) -> None:
    """Plain SGD; torch.optim would be imported first."""
    model(inputs).square().mean().backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.sub_(parameter.grad, alpha=1e-3)
            parameter.grad = None


def send(given: argparse.Namespace) -> None:
    """A neighbor: a round every `every_s` seconds, until it is ended."""
    model = make_model(given.width)
    with gossipnet.join(model, listen=given.send, peers=given.peers, merge=given.merge, local_steps=1) as gossip:
        while True:
            gossip.step()
            time.sleep(given.every_s)


def loop(
    model: torch.nn.Module, inputs: torch.Tensor, gossip: gossipnet.Gossip, steps: int
) -> tuple[float, list[float]]:
    """Seconds in all, and of each call of step()."""
    calls = []
    begun = time.perf_counter()
    for _ in range(steps):
        local_step(model, inputs)
        before = time.perf_counter()
        gossip.step()
        calls.append(time.perf_counter() - before)
    return time.perf_counter() - begun, calls


def wait_for(gossip: gossipnet.Gossip, state: str) -> None:
    while any(neighbor.state != state for neighbor in gossip.status().neighbors):
        time.sleep(0.05)


def measure(given: argparse.Namespace, ends: list[str]) -> dict[str, Any]:
    model, inputs = make_model(given.width), torch.randn(given.batch, given.width)
    options: dict[str, Any] = {"merge": given.merge, "local_steps": given.local_steps}
    pairs, calls = [], []
    with gossipnet.join(model, listen=ends[0], peers=ends, **options) as gossip:
        wait_for(gossip, "up")
        loop(model, inputs, gossip, given.local_steps)
        for _ in range(given.pairs):
            with_s, taken = loop(model, inputs, gossip, given.steps)
            calls += taken
            gossip.pause()
            without_s, _ = loop(model, inputs, gossip, given.steps)
            gossip.resume()
            wait_for(gossip, "up")
            pairs.append((with_s, without_s))
        status = gossip.status()
    calls.sort()
    return {
        "parameters": gossip.vector.numel(),
        "neighbors": given.neighbors,
        "steps": len(calls),
        "merges": status.merges,
        "step_ms": {name: 1e3 * calls[int(q * (len(calls) - 1))] for name, q in QUANTILES.items()},
        "share_of_loop": sum(calls) / sum(with_s for with_s, _ in pairs),
        "local_step_ms": 1e3 * statistics.median(without_s for _, without_s in pairs) / given.steps,
        "slowdown": statistics.median(with_s / without_s for with_s, without_s in pairs),
    }


QUANTILES = {"median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--neighbors", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200, help="of each side of a pair")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--local-steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--merge", default="variance-corrected")
    parser.add_argument("--every-s", type=float, default=1.0, help="between two models of a neighbor")
    parser.add_argument("--send", help=argparse.SUPPRESS)
    parser.add_argument("--peers", nargs="*", default=[], help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.send:
        send(given)
        return
    with tempfile.TemporaryDirectory() as folder:
        ends = [f"ipc://{folder}/{i}" for i in range(given.neighbors + 1)]
        options = ["--width", str(given.width), "--merge", given.merge, "--every-s", str(given.every_s)]
        others = [
            subprocess.Popen([sys.executable, __file__, *options, "--send", end, "--peers", ends[0]])
            for end in ends[1:]
        ]
        try:
            print(json.dumps(measure(given, ends), indent=2))
        finally:
            for other in others:
                other.terminate()
                other.communicate()


if __name__ == "__main__":
    main()
