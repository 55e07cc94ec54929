"""One swarm of 16 nodes on six topologies of the catalogue, with three tasks beyond digits. Prints a table and JSON.

    GOSSIPNET_DATA=... python bench/catalogue_swarm.py --world sim --rounds 10 --json results.json

Everything but the topology is the same in the rows of a task: samples, split, first weights, batches, merge rule. The
tasks are MNIST (lenet5, classes split by Dirichlet(0.3)), the next character of a text (logistic; by default the
LICENSE of this checkout) and a regression on scikit-learn's diabetes table (mlp; nodes hold more or less of it). Scores
are those of the final models on the whole test set: accuracy, and of the regression the test loss, where 1 is that of
guessing the mean.
"""

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gossipnet
from gossipnet.report.tables import aligned

ROOT = Path(__file__).parents[1]
NODES = 16
TOPOLOGIES = ("ring-16", "barbell-8", "torus-4x4", "hypercube-16", "exponential-16", "one-peer-exponential-16")


def diabetes(folder: Path) -> Path:
    """scikit-learn's diabetes table (442 patients, 10 features, progression) as a CSV file in `folder`."""
    from sklearn.datasets import load_diabetes

    data, file = load_diabetes(), folder / "diabetes.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow([*data.feature_names, "progression"])
        writer.writerows([*map(float, row), float(y)] for row, y in zip(data.data, data.target, strict=True))
    return file


def swarms(folder: Path, text: Path) -> dict[str, dict[str, Any]]:
    """Task -> what its swarm is, apart from topology, rounds and seed."""
    return {
        "mnist": {"task": "mnist", "partition": "dirichlet:alpha=0.3"},
        "text": {
            "task": f"text:path={text},length=8",
            "model": "logistic",
            "partition": "dirichlet:alpha=0.3",
            "lr": 2.0,
        },
        "diabetes": {
            "task": f"table:path={diabetes(folder)},target=progression",
            "partition": "quantity:alpha=1,min_samples=8",
            "batch_size": 16,
            "lr": 0.01,
        },
    }


def measure(experiment: gossipnet.Experiment, world: str, folder: Path) -> dict[str, Any]:
    """One run: its summary's figures, and for a task without accuracy the test loss in their place."""
    result = gossipnet.run(experiment, world, folder)
    summary = result.summary
    loss = result.metrics.column("finished", "loss")
    accurate = summary.mean_accuracy is not None
    return {
        "score": "accuracy" if accurate else "test loss",
        "mean": summary.mean_accuracy if accurate else float(loss.mean()),
        "worst": summary.min_accuracy if accurate else float(loss.max()),
        "consensus_distance": summary.consensus_distance,
        "bytes_per_node_round": summary.bytes_per_node_round,
        "spectral_gap": summary.spectral_gap,
        "wall_s": summary.wall_s,
    }


def grid(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A record for each task and topology, as each is done."""
    with tempfile.TemporaryDirectory() as scratch:
        known = swarms(Path(scratch), given.text)
        for task in given.tasks:
            for topology in given.topologies:
                experiment = gossipnet.Experiment(
                    nodes=NODES, topology=topology, rounds=given.rounds, seed=given.seed, **known[task]
                )
                found = measure(experiment, given.world, Path(scratch) / task / topology)
                yield {"task": task, "topology": topology, **found}


def table(records: list[dict[str, Any]]) -> str:
    """A line per topology; per task the mean, the worst node and the consensus distance."""
    tasks = list(dict.fromkeys(r["task"] for r in records))
    head = ["topology", "gap", *(f"{task} {name}" for task in tasks for name in ("mean", "worst", "apart"))]
    lines = []
    for topology in dict.fromkeys(r["topology"] for r in records):
        held = {r["task"]: r for r in records if r["topology"] == topology}
        cells = [cell for task in tasks for cell in _cells(held[task])]
        lines.append([topology, f"{next(iter(held.values()))['spectral_gap']:.3f}", *cells])
    return aligned([head, *lines])


def _cells(record: dict[str, Any]) -> list[str]:
    show = "{:.1%}" if record["score"] == "accuracy" else "{:.3f}"
    return [show.format(record["mean"]), show.format(record["worst"]), f"{record['consensus_distance']:.3g}"]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--world", choices=("sim", "live"), default="sim")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tasks", nargs="+", default=["mnist", "text", "diabetes"])
    parser.add_argument("--topologies", nargs="+", default=TOPOLOGIES, help="of 16 nodes")
    parser.add_argument("--text", type=Path, default=ROOT / "LICENSE", help="file of the text task")
    parser.add_argument("--json", type=Path, help="where to write the records")
    given = parser.parse_args(arguments)
    records = []
    for record in grid(given):
        print(f"{record['task']} {record['topology']}: {record['mean']:.4f}", file=sys.stderr)
        records.append(record)
    if given.json is not None:
        kept = {k: v for k, v in vars(given).items() if k not in ("json", "text")}
        given.json.write_text(json.dumps({"settings": kept, "records": records}, indent=2) + "\n")
    print(table(records))


if __name__ == "__main__":
    main()
