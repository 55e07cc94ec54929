"""Run folders as a swarm would leave them, written in milliseconds: `make_run` is the maker."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gossipnet.report import Metrics, Recorder, Summary, rounds_to_accuracy

LAYERS = ("0.weight", "2.weight", "4.weight")
MakeRun = Callable[..., Path]


def ring(n: int) -> list[list[int]]:
    return [[i, (i + 1) % n] for i in range(n)] if n > 2 else [[0, 1]][: n - 1]


def reports(
    nodes: int = 8,
    rounds: int = 20,
    every: int = 2,
    final: float = 0.95,
    kept: float = 0.95,
    seed: int = 0,
    lag: float = 0,
) -> Iterator[dict[str, Any]]:
    """Reports of a swarm whose accuracy saturates at `final` and whose weight variance falls to `kept`."""
    draw = np.random.default_rng(seed)
    talent = draw.normal(0, 0.02, nodes)
    for r in range(1, rounds + 1):
        grown = 1 - math.exp(-5 * r / rounds)
        for i in range(nodes):
            at = {"time_s": round(0.8 * r + 0.01 * i, 6), "node": i, "round": r}
            merged = {"loss": 2.3 * (1 - grown) + 0.1, "age": 20 * r, "merged": min(2, nodes - 1)}
            merged |= {"variance_ratio": kept ** (1 / rounds) if nodes > 1 else None, "staleness": lag * draw.random()}
            merged |= {
                "bytes_sent": 480_000 * r if nodes > 1 else 0,
                "messages_sent": 2 * r,
                "neighbors_up": min(2, nodes - 1),
            }
            yield {**at, "event": "merged", **merged}
        if r % every == 0 or r == rounds:
            for i in range(nodes):
                score = float(np.clip(0.1 + (final - 0.1) * grown + talent[i] * (1.2 - grown), 0, 1))
                at = {"time_s": round(0.8 * r + 0.3, 6), "node": i, "round": r}
                yield {**at, "event": "evaluated", "accuracy": score, "loss": 2.3 * (1.02 - score), "samples": 500}
            ratios = {name: (kept + (1 - kept) * (1 - grown)) * (1 + 0.1 * k) for k, name in enumerate(LAYERS)}
            swarm = {"consensus_distance": 10 * (1.1 - grown) ** 3, "nodes": nodes, "variance_ratios": ratios}
            yield {"time_s": 0.8 * r + 0.4, "node": None, "event": "consensus", "round": r, **swarm}
    for i in range(nodes):
        at = {"time_s": 0.8 * rounds + 1, "node": i, "round": rounds}
        yield {**at, "event": "finished", "accuracy": float(np.clip(final + talent[i] / 5, 0, 1)), "loss": 0.2}


def summary_of(metrics: Metrics, nodes: int, rounds: int, merge: str, **other: Any) -> Summary:
    scores = metrics.column("finished", "accuracy")
    scores = scores if scores.size else np.array([0.5])
    values: dict[str, Any] = {
        "nodes": nodes,
        "rounds": rounds,
        "world": "live",
        "topology": "ring",
        "merge": merge,
        "spectral_gap": 0.2,
        "wall_s": 20.5,
        "startup_s": 3.1,
        "evaluation_s": 1.2,
        "node_updates": 20 * nodes * rounds,
        "node_updates_per_s": 20 * nodes * rounds / 16.2,
        "mean_accuracy": float(scores.mean()),
        "min_accuracy": float(scores.min()),
        "std_accuracy": float(scores.std()),
        "mean_model_accuracy": float(scores.mean()) + 0.004,
        "evaluated_nodes": nodes,
        "consensus_distance": 0.01,
        "bytes_sent": 480_000 * nodes * rounds if nodes > 1 else 0,
        "bytes_per_node_round": 480_000.0 if nodes > 1 else 0.0,
        "messages_sent": 2 * nodes * rounds,
        "rounds_to_accuracy": rounds_to_accuracy(metrics),
        "digests": {str(i): "00" * 16 for i in range(nodes)},
        **other,
    }
    return Summary(**values)


def config_text(nodes: int, rounds: int, merge: str) -> str:
    return f"""
[swarm]
name = "swarm"
nodes = {nodes}
seed = 0
[topology]
graph = "ring"
[task]
name = "digits"
partition = "dirichlet:alpha=0.3"
[training]
rounds = {rounds}
lr = 0.05
[merge]
rule = {json.dumps(merge)}
"""


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """`make_run("name", merge=..., nodes=..., parts=...)` -> a folder with the parts whose names are given."""

    def make(
        name: str = "run",
        merge: str = "variance-corrected",
        nodes: int = 8,
        rounds: int = 20,
        parts: str = "config metrics summary topology partition",
        records: list[dict[str, Any]] | None = None,
        other: dict[str, Any] | None = None,
        **how: Any,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        told = list(reports(nodes, rounds, **how)) if records is None else records
        if "metrics" in parts:
            with Recorder(folder / "metrics.jsonl") as recorder:
                for record in told:
                    recorder.write(record)
        if "config" in parts:
            (folder / "config.toml").write_text(config_text(nodes, rounds, merge))
        if "summary" in parts:
            (folder / "summary.json").write_text(
                summary_of(Metrics(told), nodes, rounds, merge, **(other or {})).to_json()
            )
        if "topology" in parts:
            held = {"name": "ring", "n": nodes, "labels": list(range(nodes)), "edges": ring(nodes), "directed": False}
            (folder / "topology.json").write_text(json.dumps(held))
        if "partition" in parts:
            counts = np.random.default_rng(1).integers(0, 40, (nodes, 10)).tolist()
            (folder / "partition.json").write_text(json.dumps({"classes": list(range(10)), "counts": counts}))
        return folder

    return make
