"""The log of a run while it goes on: every report to metrics.jsonl, and in the end the summary and the page."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossipnet.report.metrics import Metrics, Recorder
from gossipnet.report.page import write_page
from gossipnet.report.summary import Summary, rounds_to_accuracy
from gossipnet.report.tensorboard import Board


@dataclass(frozen=True, kw_only=True)
class NodeResult:
    """What one node came to. A node that did not finish has an `error`."""

    node: int
    error: str | None = None
    bad_input: bool = False
    digest: str | None = None  # hex of its final vector
    accuracy: float | None = None  # on the whole test set
    steps: int = 0
    bytes_sent: int = 0
    messages_sent: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    evaluation_s: float = 0.0
    peak_rss_bytes: float | None = None


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds of a run; what a world does not have is None."""

    wall_s: float | None = None
    startup_s: float | None = None
    evaluation_s: float | None = None
    virtual_s: float | None = None


_BLOCK = 1 << 20  # numbers; no third vector is made


class Spread:
    """sqrt(mean_i |x_i - mean|^2) of vectors that come one at a time, in memory for two of them as float64.

    Sums are taken of differences to the first vector: near consensus the plain sums of squares would cancel.
    """

    def __init__(self) -> None:
        self.n = 0
        self._first: NDArray[np.float64] | None = None
        self._sum: NDArray[np.float64] | None = None
        self._squares = 0.0

    def add(self, vector: NDArray[np.float32]) -> None:
        """`vector`: (d,)."""
        if self._first is None or self._sum is None:
            self._first = vector.astype(np.float64)
            self._sum = np.zeros_like(self._first)
        for start in range(0, len(vector), _BLOCK):
            block = slice(start, start + _BLOCK)
            difference = vector[block] - self._first[block]
            self._sum[block] += difference
            self._squares += float(difference @ difference)
        self.n += 1

    def distance(self) -> float:
        if self._sum is None:
            return math.nan
        mean = self._sum / self.n
        return math.sqrt(max(0.0, self._squares / self.n - float(mean @ mean)))

    def mean(self) -> NDArray[np.float64]:
        """The mean vector, (d,) float64."""
        assert self._first is not None
        assert self._sum is not None
        mean = self._sum / self.n
        mean += self._first
        return mean


@dataclass(frozen=True)
class Sample:
    """What a node hands in when it is evaluated: its vector, or a sample of it, and each weight tensor's variance."""

    vector: NDArray[np.float32]  # (m,), the same coordinates for all nodes
    scale: float  # d / m
    variances: Mapping[str, float]


class Together:
    """The samples of one round, of the nodes that have handed one in."""

    def __init__(self) -> None:
        self.nodes: set[int] = set()
        self._spread = Spread()
        self._scale = 1.0
        self._variances: dict[str, float] = {}  # sums

    def add(self, node: int, sample: Sample) -> None:
        self.nodes.add(node)
        self._spread.add(sample.vector)
        self._scale = sample.scale
        for name, variance in sample.variances.items():
            self._variances[name] = self._variances.get(name, 0.0) + variance

    def distance(self) -> float:
        """The consensus distance of whole vectors, as the sample has it."""
        return self._spread.distance() * math.sqrt(self._scale)

    def variances(self) -> dict[str, float]:
        """Mean over nodes of the variance of each weight tensor."""
        return {name: total / len(self.nodes) for name, total in self._variances.items()}


class RunLog:
    """Writes the run folder of one run, in either world. `measured`: the nodes that hand in samples.

    With `tensorboard` it writes event files too. Raises BadInput if TensorBoard is not installed.
    """

    def __init__(self, folder: Path, measured: Iterable[int], tensorboard: bool = False) -> None:
        self.folder = folder
        self._board = Board(folder / "tensorboard") if tensorboard else None
        self._recorder = Recorder(folder / "metrics.jsonl")
        self._measured = set(measured)
        self._start: dict[str, float] = {}
        self._rounds: dict[int, Together] = {}

    def write(self, time_s: float, node: int | None, event: str, round: int, numbers: Mapping[str, Any]) -> None:
        """One line of metrics.jsonl."""
        record = {"time_s": round_time(time_s), "node": node, "event": event, "round": round, **numbers}
        self._recorder.write(record)
        if self._board is not None:
            self._board.write(record)

    def write_topology(self, topology: Mapping[str, Any]) -> None:
        (self.folder / "topology.json").write_text(json.dumps(topology) + "\n")

    def write_partition(self, split: Mapping[str, Any]) -> None:
        """How many samples of each class each node holds: `classes` and `counts`; nothing if there are no classes."""
        if split:
            (self.folder / "partition.json").write_text(json.dumps(split) + "\n")

    def measure(self, time_s: float, node: int, round: int, sample: Sample) -> None:
        """A node's sample after `round` (0: before the first). The last of a round makes its `consensus` line."""
        if node in self._measured:
            self._rounds.setdefault(round, Together()).add(node, sample)
            self._consensus_if_complete(time_s, round)

    def forget(self, time_s: float, node: int) -> None:
        """That node will hand in nothing more; what it has handed in counts."""
        self._measured.discard(node)
        for round in sorted(self._rounds):
            self._consensus_if_complete(time_s, round)

    def _consensus_if_complete(self, time_s: float, round: int) -> None:
        together = self._rounds[round]
        if not self._measured <= together.nodes:
            return
        del self._rounds[round]
        variances = together.variances()
        if round == 0:
            self._start = variances
            return
        numbers = {
            "consensus_distance": together.distance(),
            "nodes": len(together.nodes),
            "variance_ratios": {n: v / self._start[n] for n, v in variances.items() if self._start.get(n)},
        }
        self.write(time_s, None, "consensus", round, numbers)

    def abandon(self) -> None:
        """Close the files, and write no summary."""
        self._recorder.close()
        if self._board is not None:
            self._board.close()

    def close(
        self,
        fixed: Mapping[str, Any],
        results: list[NodeResult],
        times: Times,
        consensus_distance: float | None,
        mean_model_accuracy: float | None,
    ) -> Summary:
        """Write summary.json and report.html, and return the summary. `fixed` are the keys known from the start."""
        self._recorder.close()
        if self._board is not None:
            self._board.close()
        metrics = Metrics.from_file(self.folder / "metrics.jsonl")
        summary = summarize(fixed, results, times, metrics, consensus_distance, mean_model_accuracy)
        (self.folder / "summary.json").write_text(summary.to_json() + "\n")
        write_page([self.folder], self.folder / "report.html")
        return summary


def summarize(
    fixed: Mapping[str, Any],
    results: list[NodeResult],
    times: Times,
    metrics: Metrics,
    consensus_distance: float | None,
    mean_model_accuracy: float | None,
) -> Summary:
    """The summary of a run. Means are over the nodes that finished; a node that did not is in `left`.

    `rounds` are those that the furthest node has done: a run that ends early has fewer than it was to have.
    """
    finished = [r for r in results if r.error is None]
    accuracies = np.array([r.accuracy for r in finished if r.accuracy is not None])
    updates = sum(r.steps for r in results)
    refused: Counter[str] = Counter()
    for result in results:
        refused.update(result.refused)
    sent = sum(r.bytes_sent for r in results)
    done = metrics.column("merged", "round")  # a line per node and round
    memory = [r.peak_rss_bytes for r in finished if r.peak_rss_bytes is not None]
    busy_s = (times.wall_s or 0.0) - (times.startup_s or 0.0) - (times.evaluation_s or 0.0)
    return Summary(
        **{**fixed, "rounds": int(done.max(initial=0))},
        wall_s=times.wall_s,
        startup_s=times.startup_s,
        evaluation_s=times.evaluation_s,
        virtual_s=times.virtual_s,
        node_updates=updates,
        node_updates_per_s=updates / busy_s if busy_s > 0 else None,
        mean_accuracy=float(accuracies.mean()) if accuracies.size else None,
        min_accuracy=float(accuracies.min()) if accuracies.size else None,
        std_accuracy=float(accuracies.std()) if accuracies.size else None,
        mean_model_accuracy=mean_model_accuracy,
        evaluated_nodes=int(accuracies.size) or None,
        consensus_distance=consensus_distance,
        bytes_sent=sent,
        bytes_per_node_round=sent / len(done) if len(done) else None,
        messages_sent=sum(r.messages_sent for r in results),
        messages_refused=dict(sorted(refused.items())),
        peak_rss_bytes_per_node=float(np.mean(memory)) if memory else None,
        rounds_to_accuracy=rounds_to_accuracy(metrics),
        digests={str(r.node): r.digest for r in finished if r.digest is not None},
        left=tuple(sorted(r.node for r in results if r.error is not None)),
    )


def round_time(time_s: float) -> float:
    """To the microsecond: what is below that is noise, and in a file only digits."""
    return round(time_s, 6)
