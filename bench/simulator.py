"""Node updates per second of the simulator, against what a person would write by hand for that one case.

    GOSSIPNET_DATA=... python bench/simulator.py [stacked|workers|both] [--pairs 3] [--rounds 30] [--nodes 1000]

Two cases, each in alternated pairs; prints JSON with the medians and the median of the pairs' ratios. Where gossipy is
installed (pip install gossipy-dfl), it does the same as far as it can, a third in each pair (bench/gossipy_rate.py).

- stacked: `logistic` on 784 inputs. By hand: all models as one tensor, torch.vmap of the gradient, one step of SGD,
  then the same merge rule under torch.vmap over the neighbors' models.
- workers: `lenet5`. By hand: two processes of one thread, each with half of the nodes as modules of its own, that train
  and merge in a plain loop; a process merges what its own nodes made, and sends nothing.

Both: MNIST, regular:d=4, one local step of 32 per merge, in step, the same rule, as many rounds after a first one that
is not timed, nothing evaluated in between. The simulator is timed by bench/rounds.py, with `--train auto` as a user has
it; by hand nothing is saved, so that the simulator's saving of all models is left out, and told apart: `saving_s`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BATCH, LR = 32, 0.05


def stacked_by_hand(args: argparse.Namespace) -> float:
    """Updates per second of a stacked loop."""
    import numpy as np
    import torch
    from torch.func import functional_call, grad, vmap

    from gossipnet import Group, ModelSpec, make_merge, make_task, make_topology
    from gossipnet.data.models import make_model

    torch.set_num_threads(1)
    task, rule = make_task("mnist"), make_merge(args.merge)
    module = make_model("logistic", task)
    spec = ModelSpec.of(module)
    neighbors = rows_of(make_topology("regular:d=4", n=args.nodes, seed=0), args.nodes)
    at = torch.tensor([[i, *(j for j, _ in row)] for i, row in enumerate(neighbors)])
    weights = torch.tensor([[1 - sum(w for _, w in row), *(w for _, w in row)] for row in neighbors])
    parts = np.array_split(np.random.default_rng(0).permutation(len(task.train)), args.nodes)
    first = {k: v.detach() for k, v in module.named_parameters()}
    models = torch.cat([v.reshape(-1) for v in first.values()]).repeat(args.nodes, 1)
    rng = np.random.default_rng(1)

    def loss(parameters: dict, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return task.loss(functional_call(module, parameters, (inputs,)), targets)

    def merge(vectors: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return rule(Group(vectors=vectors, weights=weights, spec=spec))

    def round_of(models: torch.Tensor) -> torch.Tensor:
        chosen = np.concatenate([rng.choice(part, BATCH) for part in parts])
        inputs, targets = task.train.batch(chosen)
        inputs, targets = inputs.view(args.nodes, BATCH, 1, 28, 28), targets.view(args.nodes, BATCH)
        views = spec.views(models)
        for name, gradient in vmap(grad(loss))(views, inputs, targets).items():
            views[name].sub_(gradient, alpha=LR)
        return vmap(merge)(models[at], weights)

    models = round_of(models)
    begun = time.perf_counter()
    for _ in range(args.rounds):
        models = round_of(models)
    return args.nodes * args.rounds / (time.perf_counter() - begun)


def rows_of(topology: object, nodes: int) -> list[list[tuple[int, float]]]:
    """Neighbors and weights of each node."""
    return [list(topology.neighborhood(i).at(1).weights) for i in range(nodes)]  # type: ignore[attr-defined]


def loop_by_hand(args: argparse.Namespace) -> float:
    """Updates per second of two processes that train and merge in plain loops."""
    halves = [
        subprocess.Popen([sys.executable, __file__, "half", *passed(args)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    times = [json.loads(half.communicate()[0]) for half in halves]
    return args.nodes // 2 * 2 * args.rounds / (max(t["end"] for t in times) - min(t["begin"] for t in times))


def half(args: argparse.Namespace) -> None:
    """Half of the nodes in one thread; prints when it began and ended."""
    import numpy as np
    import torch

    from gossipnet import Group, ModelSpec, make_merge, make_task, make_topology
    from gossipnet.data.models import make_model
    from gossipnet.model import bind

    torch.set_num_threads(1)
    nodes = args.nodes // 2
    task, rule = make_task("mnist"), make_merge(args.merge)
    modules = [make_model("lenet5", task) for _ in range(nodes)]
    spec, vectors = ModelSpec.of(modules[0]), [bind(module) for module in modules]
    optimizers = [torch.optim.SGD(module.parameters(), lr=LR) for module in modules]
    neighbors = rows_of(make_topology("regular:d=4", n=nodes, seed=0), nodes)
    parts = np.array_split(np.random.default_rng(0).permutation(len(task.train)), args.nodes)
    rng = np.random.default_rng(1)

    def one_round() -> None:
        for module, optimizer, part in zip(modules, optimizers, parts[:nodes], strict=True):
            inputs, targets = task.train.batch(rng.choice(part, BATCH))
            loss = task.loss(module(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        merged = []
        for vector, row in zip(vectors, neighbors, strict=True):
            weights = torch.tensor([1 - sum(w for _, w in row), *(w for _, w in row)])
            group = Group(vectors=torch.stack([vector, *(vectors[j] for j, _ in row)]), weights=weights, spec=spec)
            merged.append(rule(group).clone())
        for vector, new in zip(vectors, merged, strict=True):
            vector.copy_(new)

    one_round()
    begun = time.monotonic()
    for _ in range(args.rounds):
        one_round()
    print(json.dumps({"begin": begun, "end": time.monotonic()}))


def simulated(args: argparse.Namespace, model: str, folder: Path) -> dict[str, Any]:
    """What bench/rounds.py found, one round more than by hand for the first is not timed."""
    from rounds import command, one_step_a_round

    experiment = one_step_a_round(
        args.rounds + 1, task="mnist", model=model, nodes=args.nodes, batch_size=BATCH, lr=LR, merge=args.merge
    )
    done = subprocess.run(command(experiment, folder), check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def passed(args: argparse.Namespace) -> list[str]:
    return ["--nodes", str(args.nodes), "--rounds", str(args.rounds), "--merge", args.merge]


def by_hand(args: argparse.Namespace, case: str) -> float:
    """In a process of its own, as the simulator is."""
    return figure_of(Path(__file__), f"{case}-by-hand", *passed(args))


def gossipy(args: argparse.Namespace, model: str) -> float:
    """In a process of its own, too."""
    return figure_of(Path(__file__).with_name("gossipy_rate.py"), model, str(args.nodes), str(args.rounds))


def figure_of(program: Path, *words: str) -> float:
    """What a program prints last; gossipy draws a progress bar before."""
    done = subprocess.run([sys.executable, str(program), *words], check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.splitlines()[-1])


def measure(args: argparse.Namespace, case: str, model: str, with_gossipy: bool) -> dict[str, object]:
    hands, sims, others = [], [], []
    with tempfile.TemporaryDirectory(prefix="gossipnet-bench-") as folder:
        for pair in range(args.pairs):
            hands.append(by_hand(args, case))
            sims.append(simulated(args, model, Path(folder) / f"run-{pair}"))
            if with_gossipy:
                others.append(gossipy(args, model))
    rates = [sim["updates_per_s"] for sim in sims]
    beside: dict[str, object] = {}
    if others:
        beside["gossipy_per_s"] = statistics.median(others)
        beside["over_gossipy"] = statistics.median(sim / other for sim, other in zip(rates, others, strict=True))
    return {
        "model": model,
        "by_hand_per_s": statistics.median(hands),
        "simulator_per_s": statistics.median(rates),
        "ratio": statistics.median(sim / hand for sim, hand in zip(rates, hands, strict=True)),
        **beside,
        "saving_s": statistics.median(sim["saving_s"] for sim in sims),
        "pairs": list(zip(hands, rates, *([others] if others else []), strict=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    hidden = ("stacked-by-hand", "workers-by-hand", "half")
    parser.add_argument("case", nargs="?", default="both", choices=("stacked", "workers", "both", *hidden))
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--merge", default="variance-corrected")
    args = parser.parse_args()
    if args.case == "half":
        half(args)
    elif args.case in hidden:
        print(stacked_by_hand(args) if args.case == "stacked-by-hand" else loop_by_hand(args))
    else:
        from gossipy_rate import why_not

        if reason := why_not():
            print(f"without gossipy: {reason}", file=sys.stderr)
        cases = {"stacked": "logistic", "workers": "lenet5"}
        wanted = cases if args.case == "both" else {args.case: cases[args.case]}
        found = {case: measure(args, case, model, reason is None) for case, model in wanted.items()}
        settings = {k: v for k, v in vars(args).items() if k != "case"}
        print(json.dumps({"settings": settings, "load": os.getloadavg()[0], **found}, indent=2))


if __name__ == "__main__":
    main()
