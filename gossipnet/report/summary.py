"""summary.json: what a run came to, in one flat object. What does not apply is null."""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gossipnet.errors import BadInput
from gossipnet.report.metrics import Metrics, plain

THRESHOLDS = (0.50, 0.60, 0.70, 0.80, 0.85, 0.90, 0.95, 0.97, 0.98, 0.99)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The keys of summary.json in their order. Accuracies are shares in [0, 1], means are over nodes that finished."""

    nodes: int
    rounds: int  # done
    world: str  # live | sim
    topology: str
    merge: str
    spectral_gap: float | None = None
    wall_s: float | None = None
    startup_s: float | None = None  # until every node has begun to train
    evaluation_s: float | None = None  # wall time spent on accuracy
    virtual_s: float | None = None  # sim only
    node_updates: int | None = None  # local steps, summed over nodes
    node_updates_per_s: float | None = None  # of the time that is neither start-up nor evaluation
    mean_accuracy: float | None = None
    min_accuracy: float | None = None
    std_accuracy: float | None = None
    mean_model_accuracy: float | None = None  # of the average of all final models
    evaluated_nodes: int | None = None
    consensus_distance: float | None = None  # sqrt(mean_i |x_i - mean|^2)
    bytes_sent: int | None = None
    bytes_per_node_round: float | None = None
    messages_sent: int | None = None
    messages_refused: Mapping[str, int] = dataclasses.field(default_factory=dict)  # reason: count
    peak_rss_bytes_per_node: float | None = None
    rounds_to_accuracy: Mapping[str, int | None] = dataclasses.field(default_factory=dict)  # "0.80": round
    digests: Mapping[str, str] = dataclasses.field(default_factory=dict)  # node: hex of its final vector
    left: tuple[int, ...] = ()  # nodes that did not finish

    def to_json(self) -> str:
        """Strict JSON, indented; a number that is not finite is null."""
        values = {f.name: plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return json.dumps(values, indent=2, allow_nan=False)

    @classmethod
    def from_file(cls, path: Path) -> "Summary":
        """Raises BadInput that names the file, if it does not hold exactly the keys of a summary."""
        try:
            held = json.loads(path.read_bytes())
        except OSError as error:
            raise BadInput(f"cannot read {str(path)!r}: {error.strerror}; expected a summary.json") from error
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path}: not JSON; expected the summary.json of a finished run") from error
        return cls(**_checked(held, path))


def rounds_to_accuracy(metrics: Metrics) -> dict[str, int | None]:
    """For each of THRESHOLDS the first round in which the nodes' evaluated accuracy reaches it in the mean.

    A node that was evaluated twice in a round counts with the later figure.
    """
    latest: dict[tuple[float, float], float] = {}
    columns = (metrics.column("evaluated", name) for name in ("round", "node", "accuracy"))
    for round_, node, accuracy in zip(*columns, strict=True):
        if not (math.isnan(accuracy) or math.isnan(round_)):
            latest[round_, node] = accuracy
    by_round: dict[float, list[float]] = {}
    for (round_, _), accuracy in latest.items():
        by_round.setdefault(round_, []).append(accuracy)
    means = [(int(r), float(np.mean(by_round[r]))) for r in sorted(by_round)]
    # A mean of shares k/n may fall short of the threshold by rounding alone.
    return {f"{t:.2f}": next((r for r, mean in means if mean >= t - 1e-9), None) for t in THRESHOLDS}


def _checked(held: object, path: Path) -> dict[str, Any]:
    if not isinstance(held, dict):
        raise BadInput(f"{path}: got a {type(held).__name__}, expected the JSON object of a finished run")
    types_of = typing.get_type_hints(Summary)
    missing = [k for k in types_of if k not in held]
    unknown = [k for k in held if k not in types_of]
    if missing or unknown:
        wrong = f"no key {missing[0]!r}" if missing else f"unknown key {unknown[0]!r}"
        raise BadInput(f"{path}: {wrong} in a summary; it is from another version: run it again")
    for key, value in held.items():
        if not _fits(value, types_of[key]):
            raise BadInput(f"{path}: {key} cannot be {str(value)[:60]!r}; run it again")
    return {**held, "left": tuple(held["left"])}


def _fits(value: object, kind: Any) -> bool:
    """Whether a value from JSON is of an annotated type; a whole number is also a float, a bool is no number."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return any(_fits(value, k) for k in inside)
    if origin is tuple:
        return isinstance(value, list) and all(_fits(v, inside[0]) for v in value)
    if origin is Mapping:
        return isinstance(value, dict) and all(_fits(v, inside[1]) for v in value.values())
    if kind is type(None):
        return value is None
    return not isinstance(value, bool) and isinstance(value, (int, float) if kind is float else kind)
