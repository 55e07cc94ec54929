"""Where to put the nodes of a drawing: distances on paper follow distances in the graph."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gossipnet.topology.graph import Topology

CROWDED = 600  # nodes; above, everything goes on a circle
ITERATIONS = 200
_CIRCLES = ("ring", "complete", "exponential", "one-peer-exponential", "random-matching", "random-regular", "base")


def layout(topology: "Topology") -> np.ndarray:
    """Positions (n, 2) float64 in [0, 1], the y axis pointing down. The same topology is always drawn the same."""
    n = topology.n
    pairs = n * (n - 1) / 2 * (2 if topology.directed else 1)
    dense = n > 3 and len(topology.edges) > 0.45 * pairs
    if n <= 3 or n > CROWDED or dense or topology.name.partition(":")[0] in _CIRCLES:
        return _fitted(circle(n))
    distances = _distances(topology)
    hubs = np.flatnonzero((distances == 1).sum(1) == n - 1)
    if len(hubs) == 1 and len(topology.edges) == n - 1:
        return _fitted(_star(n, int(hubs[0])))
    return _fitted(_upright(stress(distances)))


def circle(n: int) -> np.ndarray:
    """Clockwise from the top."""
    angle = 2 * np.pi * np.arange(n) / max(n, 1) - np.pi / 2
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _star(n: int, hub: int) -> np.ndarray:
    return np.insert(circle(n - 1), hub, 0.0, axis=0)


def _distances(topology: "Topology") -> np.ndarray:
    """Hops between all nodes, ignoring directions, (n, n)."""
    n = topology.n
    adjacent = np.zeros((n, n), dtype=np.float32)
    for i, j in topology.edges:
        adjacent[i, j] = adjacent[j, i] = 1
    distances = np.full((n, n), np.inf)
    front = np.eye(n, dtype=np.float32)
    for hops in range(n):
        new = (front > 0) & np.isinf(distances)
        if not new.any():
            break
        distances[new] = hops
        front = new.astype(np.float32) @ adjacent
    return distances


def stress(distances: np.ndarray) -> np.ndarray:
    """Positions (n, 2) whose distances come closest to `distances`, nearby pairs first.

    Stress majorization (Gansner, Koren and North 2004) with weights 1 / d^2, from a classical scaling.
    """
    n = len(distances)
    weights = 1 / np.square(distances + np.eye(n)) - np.eye(n)
    laplacian = np.diag(weights.sum(1)) - weights
    solve = np.linalg.pinv(laplacian)
    x = _classical_scaling(distances) + 0.01 * np.random.default_rng(0).standard_normal((n, 2))  # twins come apart
    for _ in range(ITERATIONS):
        apart = np.linalg.norm(x[:, None] - x[None], axis=2)
        pull = weights * distances / np.maximum(apart, 1e-9)
        x = solve @ ((np.diag(pull.sum(1)) - pull) @ x)
    return x


def _classical_scaling(distances: np.ndarray) -> np.ndarray:
    n = len(distances)
    center = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-0.5 * center @ np.square(distances) @ center)
    return np.asarray(vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 1e-9)))


def _upright(x: np.ndarray) -> np.ndarray:
    """Turned so that the longest extent is horizontal."""
    x = x - x.mean(0)
    _, _, axes = np.linalg.svd(x, full_matrices=False)
    return np.asarray(x @ axes.T)


def _fitted(x: np.ndarray) -> np.ndarray:
    """Scaled by one factor and moved into the unit square, centered."""
    low, high = x.min(0), x.max(0)
    size = float((high - low).max()) or 1.0
    return np.asarray((x - (low + high) / 2) / size + 0.5)
