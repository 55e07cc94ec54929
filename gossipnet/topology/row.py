"""What one node knows of the topology: whom it hears, whom it sends to, and how much each model counts.

Plain numbers only (no networkx, no numpy), so that a small device can hold it and a launcher can send it as JSON.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gossipnet.errors import BadInput


@dataclass(frozen=True)
class Row:
    """One node's part of one round: its row of W and the nodes that it sends to.

    `weights` holds (peer, W_ij), sorted by peer, each > 0 and in all at most 1; `targets` is sorted.
    """

    weights: tuple[tuple[int, float], ...] = ()
    targets: tuple[int, ...] = ()

    @cached_property
    def sources(self) -> frozenset[int]:
        """The nodes whose models count."""
        return frozenset(peer for peer, _ in self.weights)

    @cached_property
    def own(self) -> float:
        """W_ii, what the peers leave: in [0, 1]."""
        return max(0.0, 1.0 - math.fsum(w for _, w in self.weights))


@dataclass(frozen=True)
class Neighborhood:
    """All that node number `node` needs of a topology. One row if the topology is fixed, else one row per round."""

    node: int
    rows: tuple[Row, ...]

    @cached_property
    def peers(self) -> tuple[int, ...]:
        """Every node that this one ever hears or sends to, sorted."""
        return tuple(sorted(set(self.sources).union(*(row.targets for row in self.rows))))

    @cached_property
    def sources(self) -> tuple[int, ...]:
        """Every node whose models ever count here, sorted."""
        return tuple(sorted({peer for row in self.rows for peer, _ in row.weights}))

    def at(self, round: int) -> Row:
        """The row of that round; the first round is 1, and after the last row comes the first again."""
        return self.rows[(round - 1) % len(self.rows)]

    @cached_property
    def untold(self) -> tuple[tuple[int, ...], ...]:
        """Of each row the sources, of any, that the node does not send to, sorted."""
        return tuple(tuple(sorted(set(self.sources).difference(row.targets))) for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, fit for JSON and msgpack; `from_dict` takes them back."""
        rows = [{"weights": [list(pair) for pair in r.weights], "targets": list(r.targets)} for r in self.rows]
        return {"node": self.node, "rows": rows}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Neighborhood":
        """The inverse of `to_dict`. Raises BadInput if `data` is anything else."""
        try:
            rows = tuple(_row(r) for r in data["rows"])
            node = int(data["node"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"not a neighborhood ({type(error).__name__}: {error}); expected node and rows") from None
        if not rows:
            raise BadInput(f"the neighborhood of node {node} has no rows; expected at least one")
        return cls(node, rows)


def _row(data: Mapping[str, Any]) -> Row:
    weights = tuple(sorted((int(peer), float(weight)) for peer, weight in data["weights"]))
    total = math.fsum(w for _, w in weights)
    if not all(w > 0 for _, w in weights) or not total <= 1 + 1e-9:
        raise ValueError(f"weights must be positive and sum to at most 1, got {[w for _, w in weights]}")
    return Row(weights, tuple(sorted(map(int, data["targets"]))))
