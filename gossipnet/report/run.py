"""A run folder as values. Only metrics.jsonl is needed; any other part may be absent, because the run is still
going, was killed, or is of a kind that has none."""

import dataclasses
import json
import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gossipnet.errors import BadInput
from gossipnet.report.markup import clean
from gossipnet.report.metrics import Metrics
from gossipnet.report.summary import Summary, rounds_to_accuracy

T = TypeVar("T")
MOST_NODES = 100_000  # of a picture that anybody could look at


@dataclass(frozen=True)
class Graph:
    """topology.json. Edges (m, 2) int64, each undirected edge once; all lie in [0, n)."""

    name: str
    n: int
    labels: tuple[str, ...]
    edges: NDArray[np.int64]
    directed: bool = False


@dataclass(frozen=True)
class Split:
    """partition.json: counts (nodes, classes) int64, how many samples of each class each node holds."""

    classes: tuple[str, ...]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Run:
    """`summary` is what the run came to so far if it is not `complete`. `notes` say which files could not be used."""

    path: Path
    name: str
    metrics: Metrics
    summary: Summary
    complete: bool
    config: Mapping[str, str] = dataclasses.field(default_factory=dict)  # "merge.rule": "average"
    graph: Graph | None = None
    split: Split | None = None
    notes: tuple[str, ...] = ()

    @property
    def final_accuracy(self) -> dict[int, float]:
        """Node -> its accuracy in the end, or in its latest evaluation while the run goes on; none of one that left."""
        found: dict[int, float] = {}
        for event in ("evaluated", "finished"):
            columns = self.metrics.column(event, "node"), self.metrics.column(event, "accuracy")
            found.update({int(n): float(a) for n, a in zip(*columns, strict=True) if not math.isnan(n + a)})
        return {n: a for n, a in found.items() if n not in self.summary.left}

    @property
    def final_metrics(self) -> dict[str, float]:
        return final_metrics(self.metrics)

    @property
    def clock(self) -> str:
        return "virtual time" if self.summary.world == "sim" else "time"


def load_run(path: Path) -> Run:
    """Read a run folder. Raises BadInput if there is nothing to show, or a report in the middle is broken."""
    if not path.is_dir():
        raise BadInput(f"no run folder {str(path)!r}; expected the folder that `gossipnet swarm` or `sim` has written")
    notes: list[str] = []
    file = path / "metrics.jsonl"
    metrics = Metrics.from_file(file) if file.is_file() else Metrics(())
    config = _part(path / "config.toml", _config, notes) or {}
    summary = _part(path / "summary.json", Summary.from_file, notes)
    if summary is None and not len(metrics):
        if (path / "cells").is_dir():
            raise BadInput(
                f"{str(path)!r} is a grid of `gossipnet bench`: its page is report.html there, its runs are in cells/"
            )
        raise BadInput(f"{str(path)!r} holds no data: expected reports in metrics.jsonl; wait for the first round")
    return Run(
        path=path,
        name=path.resolve().name,
        metrics=metrics,
        summary=summary or so_far(metrics, config),
        complete=summary is not None,
        config=config,
        graph=_part(path / "topology.json", _graph, notes),
        split=_part(path / "partition.json", _split, notes),
        notes=tuple(notes),
    )


def so_far(metrics: Metrics, config: Mapping[str, str]) -> Summary:
    """What the reports of an unfinished run come to; what only the end of a run tells stays null."""
    accuracy = _latest(metrics, "evaluated", "accuracy")
    sent, messages = _latest(metrics, "merged", "bytes_sent"), _latest(metrics, "merged", "messages_sent")
    rounds = _latest(metrics, "merged", "round")
    distance = metrics.column("consensus", "consensus_distance")
    return Summary(
        nodes=int(config["swarm.nodes"]) if config.get("swarm.nodes", "").isdecimal() else len(metrics.nodes),
        rounds=metrics.last_round,
        world="",
        topology=config.get("topology.graph", ""),
        merge=config.get("merge.rule", ""),
        mean_accuracy=float(accuracy.mean()) if accuracy.size else None,
        min_accuracy=float(accuracy.min()) if accuracy.size else None,
        std_accuracy=float(accuracy.std()) if accuracy.size else None,
        evaluated_nodes=accuracy.size or None,
        consensus_distance=float(distance[-1]) if distance.size else None,
        bytes_sent=int(sent.sum()) if sent.size else None,
        bytes_per_node_round=float(sent.sum() / rounds.sum()) if sent.size and rounds.sum() else None,
        messages_sent=int(messages.sum()) if messages.size else None,
        messages_refused=refusals(metrics),
        rounds_to_accuracy=rounds_to_accuracy(metrics),
    )


def refusals(metrics: Metrics) -> dict[str, int]:
    """Reason -> refused messages, summed over nodes; each node's reports carry its own running count."""
    nodes, counts = metrics.column("refused", "node"), metrics.column("refused", "count")
    latest: dict[tuple[str, float], float] = {}
    for reason, node, number in zip(metrics.text("refused", "reason"), nodes, counts, strict=True):
        latest[reason, node] = 0.0 if math.isnan(number) else number
    total: dict[str, int] = {}
    for (reason, _), number in latest.items():
        total[reason] = total.get(reason, 0) + int(number)
    return total


def final_metrics(metrics: Metrics) -> dict[str, float]:
    """The test loss and the task's own metrics in the end, without accuracy, each the mean over nodes."""
    event = "finished" if "finished" in metrics.events else "evaluated"
    names = [n for n in metrics.names(event) if n not in ("accuracy", "samples")]
    found = {n: _latest(metrics, event, n) for n in names}
    return {"test loss" if n == "loss" else n.replace("_", " "): float(v.mean()) for n, v in found.items() if v.size}


def _latest(metrics: Metrics, event: str, name: str) -> NDArray[np.float64]:
    """(nodes that reported it,) the last number of each."""
    columns = metrics.column(event, "node"), metrics.column(event, name)
    found = {n: v for n, v in zip(*columns, strict=True) if not math.isnan(n + v)}
    return np.array(list(found.values()), dtype=np.float64)


def _part(path: Path, read: Callable[[Path], T], notes: list[str]) -> T | None:
    """A part of the folder, or None with a note: one damaged file must not cost the whole page."""
    if not path.is_file():
        return None
    try:
        return read(path)
    except (BadInput, OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        notes.append(f"{path.name} cannot be used: {clean(error, 200)}")
        return None


def _config(path: Path) -> dict[str, str]:
    sections = tomllib.loads(path.read_text(encoding="utf-8"))
    flat = {(s, k): v for s, held in sections.items() if isinstance(held, dict) for k, v in held.items()}
    return {f"{s}.{k}": clean(v if isinstance(v, str) else json.dumps(v, default=str)) for (s, k), v in flat.items()}


def _graph(path: Path) -> Graph:
    held = json.loads(path.read_bytes())
    n = held["n"]
    if not isinstance(n, int) or not 0 < n <= MOST_NODES:
        raise ValueError(f"it is of {n} nodes")
    labels = tuple(clean(label, 40) for label in held.get("labels") or range(n))
    edges = np.array(held["edges"], dtype=np.int64).reshape(-1, 2)
    if len(labels) != n or (edges.size and not 0 <= edges.min() <= edges.max() < n):
        raise ValueError(f"its labels or edges do not fit {n} nodes")
    return Graph(str(held.get("name", "")), n, labels, edges, bool(held.get("directed", False)))


def _split(path: Path) -> Split:
    held = json.loads(path.read_bytes())
    classes = tuple(clean(c, 40) for c in held["classes"])
    counts = np.array(held["counts"], dtype=np.int64)
    if counts.ndim != 2 or not counts.size or counts.shape[1] != len(classes) or counts.min() < 0:
        raise ValueError(f"counts of shape {counts.shape} do not fit {len(classes)} classes")
    return Split(classes, counts)
