"""Where to draw the nodes of a graph: on a circle where its links suit one, else so that distances tell hops.

The second is stress majorization (Gansner, Koren and North 2004): node i moves to the mean of the places that each
other node j would give it, which is hops(i, j) away from j; near pairs count more, by 1 / hops^2. It needs no start
by chance, since it begins at the classical scaling of the same hops: one graph always gives one picture.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from gossipnet.report.metrics import Floats

MOST_SPREAD = 1200  # above, all pairs cost too much


def positions(n: int, edges: NDArray[np.int64], name: str = "") -> Floats:
    """(n, 2) in [-1, 1]."""
    if n == 1:
        return np.zeros((1, 2))
    if n > MOST_SPREAD or len(edges) > 20 * n or name.startswith("small-world") or same_for_all(n, edges):
        return circle(n)
    hub = hub_of(n, edges)
    if hub is not None:
        rim = circle(n - 1)
        return np.insert(rim, hub, 0.0, axis=0)
    return spread(hops(n, edges))


def circle(n: int) -> Floats:
    """(n, 2): clockwise, node 0 on top."""
    turn = 2 * np.pi * np.arange(n) / n
    return np.stack([np.sin(turn), -np.cos(turn)], axis=1)


def same_for_all(n: int, edges: NDArray[np.int64]) -> bool:
    """Whether the graph looks the same from every place of the circle, as ring, complete and exponential do."""
    there = {(int(a), int(b)) for a, b in edges}
    both = there | {(b, a) for a, b in there}
    return all(((a + 1) % n, (b + 1) % n) in both for a, b in both)


def hub_of(n: int, edges: NDArray[np.int64]) -> int | None:
    """The node that every link of a star ends at, None if the graph is no star."""
    ends = np.bincount(edges.ravel(), minlength=n)
    hub = int(ends.argmax())
    return hub if n > 2 and ends[hub] == len(edges) and bool((np.delete(ends, hub) > 0).all()) else None


def hops(n: int, edges: NDArray[np.int64]) -> Floats:
    """(n, n): links on the shortest path, directions ignored; between parts that no path joins, a little more than
    the longest one."""
    near: list[list[int]] = [[] for _ in range(n)]
    for a, b in edges.tolist():
        near[a].append(b)
        near[b].append(a)
    found = np.full((n, n), -1.0)
    for start in range(n):
        row = [-1] * n
        row[start] = 0
        queue = deque([start])
        while queue:
            here = queue.popleft()
            for there in near[here]:
                if row[there] < 0:
                    row[there] = row[here] + 1
                    queue.append(there)
        found[start] = row
    found[found < 0] = found.max() + 2
    return found


def spread(distances: Floats) -> Floats:
    """(n, 2) in [-1, 1] whose distances come as near to the given ones as a plane allows."""
    n = len(distances)
    weights = 1 / np.square(distances + np.eye(n))
    np.fill_diagonal(weights, 0)
    total = weights.sum(axis=1, keepdims=True)
    at = _scaling(distances)
    for _ in range(max(20, min(60, 20_000 // n))):
        pull = weights * distances / (_apart(at) + 1e-9)
        at = (weights @ at + at * pull.sum(axis=1, keepdims=True) - pull @ at) / total
    at = at - (at.max(axis=0) + at.min(axis=0)) / 2
    return np.asarray(at / max(float(np.abs(at).max()), 1e-9))


def _apart(at: Floats) -> Floats:
    """(n, n): the distances between the points."""
    x, y = at.T
    return np.asarray(np.hypot(x[:, None] - x[None, :], y[:, None] - y[None, :]))


def _scaling(distances: Floats) -> Floats:
    """Classical scaling, with a small fixed twist that parts nodes which the hops alone cannot tell apart."""
    n = len(distances)
    square = np.square(distances)
    centered = -0.5 * (square - square.mean(0) - square.mean(1)[:, None] + square.mean())
    values, vectors = np.linalg.eigh(centered)
    at = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0))
    return np.asarray(at * np.sign(at.sum(axis=0) + 1e-12) + 0.1 * circle(n))
