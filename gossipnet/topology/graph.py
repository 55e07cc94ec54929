"""Topology: the nodes, who sends to whom in each round, and the mixing matrix W that follows.

An edge (i, j) of a directed topology says that i sends to j, so that j gives weight to i's model: W[j, i] > 0. An
undirected edge does so both ways and is stored once, with i < j. A fixed topology has one round; a schedule has a
period of several, and starts again after the last.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gossipnet.errors import BadInput
from gossipnet.topology.mixing import Mixing, make_mixing
from gossipnet.topology.row import Neighborhood, Row

if TYPE_CHECKING:
    import numpy as np

    from gossipnet.topology.spectrum import Spectrum

Edge = tuple[int, int]
Attributes = Mapping[str, Any]
MIXING_WEIGHT = "mixing_weight"  # the edge attribute that sets W_ij itself, instead of the mixing


@dataclass(frozen=True)
class Topology:
    """A connected graph (or a period of them) with its mixing. Made by `make_topology`, which checks it."""

    name: str
    labels: tuple[str, ...]  # of nodes 0..n-1
    rounds: tuple[tuple[Edge, ...], ...]  # the edges of each round of the period, sorted
    directed: bool = False
    mixing: str = "metropolis"
    node_attributes: Mapping[int, Attributes] = field(default_factory=dict, hash=False)  # address, device, ...
    edge_attributes: Mapping[Edge, Attributes] = field(default_factory=dict, hash=False)  # latency_s, ...
    given_weights: tuple[Mapping[Edge, float], ...] = field(default=(), hash=False)  # per round, instead of the mixing

    @property
    def n(self) -> int:
        return len(self.labels)

    @property
    def period(self) -> int:
        """Rounds until the edges repeat; 1 if they never change."""
        return len(self.rounds)

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """Every edge that some round uses, sorted."""
        return self.rounds[0] if self.period == 1 else tuple(sorted(set().union(*self.rounds)))

    def neighborhood(self, node: int) -> Neighborhood:
        """What node number `node` (0..n-1) needs to know. Raises BadInput outside that range."""
        if not 0 <= node < self.n:
            raise BadInput(f"no node {node} in {self.name}: it has {self.n} nodes, 0 to {self.n - 1}")
        return Neighborhood(node, tuple(self.row(node, r) for r in range(1, self.period + 1)))

    def row(self, node: int, round: int = 1) -> Row:
        """The mixing row and the targets of `node` in that round (the first is 1)."""
        k = (round - 1) % self.period
        heard, told = self._adjacency[k]
        sources = heard[node]
        if self.given_weights:
            given = self.given_weights[k]
            weights = [given[self._stored(j, node)] for j in sources]
        elif not sources:
            weights = []
        else:
            weights = _checked(self._mix(len(sources), [len(told[j]) for j in sources]), len(sources), self.mixing)
        return Row(tuple((j, w) for j, w in zip(sources, weights, strict=True) if w > 0), tuple(told[node]))

    def matrix(self, round: int = 1) -> "np.ndarray":
        """W of that round, (n, n) float64; row i is the weights that node i gives."""
        import numpy as np

        w = np.zeros((self.n, self.n))
        for i in range(self.n):
            row = self.row(i, round)
            for j, weight in row.weights:
                w[i, j] = weight
            w[i, i] = row.own
        return w

    @cached_property
    def spectrum(self) -> "Spectrum":
        """The eigenvalues that matter, of W or of the product of a whole period."""
        from gossipnet.topology.spectrum import spectrum

        return spectrum(self)

    @property
    def spectral_gap(self) -> float:
        """1 - |lambda_2|, in [0, 1]; larger mixes faster. For a schedule, see `Spectrum.gap`."""
        return self.spectrum.gap

    def link(self, source: int, target: int) -> Attributes:
        """What is known of the link source -> target, such as latency_s and bandwidth_bytes_per_s; maybe nothing."""
        return self.edge_attributes.get(self._stored(source, target), {})

    @property
    def addresses(self) -> tuple[str | None, ...]:
        """Where each node listens, from the file; None where it says nothing."""
        return tuple(self.node_attributes.get(i, {}).get("address") for i in range(self.n))

    @property
    def devices(self) -> tuple[str | None, ...]:
        """The torch device of each node, from the file; None where it says nothing."""
        return tuple(self.node_attributes.get(i, {}).get("device") for i in range(self.n))

    @property
    def speeds(self) -> tuple[float, ...]:
        """How fast each node computes, from the file; 1 is full speed."""
        return tuple(float(self.node_attributes.get(i, {}).get("speed", 1.0)) for i in range(self.n))

    def to_dict(self) -> dict[str, Any]:
        """The content of a run's topology.json."""
        return {
            "name": self.name,
            "n": self.n,
            "labels": list(self.labels),
            "edges": [list(e) for e in self.edges],
            "directed": self.directed,
            "spectral_gap": self.spectral_gap,
        }

    def _stored(self, i: int, j: int) -> Edge:
        return (i, j) if self.directed or i < j else (j, i)

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}  # not the caches: one holds a local function

    @cached_property
    def _mix(self) -> Mixing:
        return make_mixing(self.mixing)

    @cached_property
    def _adjacency(self) -> tuple[tuple[list[list[int]], list[list[int]]], ...]:
        """Per round: whom each node hears, and whom it sends to, sorted."""
        return tuple(self._adjacency_of(edges) for edges in self.rounds)

    def _adjacency_of(self, edges: tuple[Edge, ...]) -> tuple[list[list[int]], list[list[int]]]:
        heard: list[list[int]] = [[] for _ in range(self.n)]
        told: list[list[int]] = [[] for _ in range(self.n)] if self.directed else heard
        for i, j in edges:
            heard[j].append(i)
            told[i].append(j)
        for peers in (*heard, *(told if self.directed else ())):
            peers.sort()
        return heard, told


def _checked(weights: Any, count: int, mixing: str) -> list[float]:
    """A mixing may be the user's: its row must be `count` weights >= 0 that sum to at most 1. Raises BadInput."""
    row = [float(w) for w in weights]
    total = math.fsum(row)
    if len(row) != count or not all(w >= 0 for w in row) or not total <= 1 + 1e-9:
        raise BadInput(f"mixing {mixing!r} gave {row}; expected {count} weights >= 0 that sum to at most 1")
    return row
