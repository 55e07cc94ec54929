"""Partitions: which samples each node holds. `partition("dirichlet:alpha=0.1", targets, size, n_nodes, seed)`.

A partition is a factory of `split(targets, size, n_nodes, rng) -> one index array per node`. What every split must be
is checked here for all of them: disjoint, every sample used once, no node empty.
"""

import csv
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gossipnet.data.files import own_file
from gossipnet.errors import BadInput, unknown
from gossipnet.registry import Registry

Split = Callable[[np.ndarray | None, int, int, np.random.Generator], list[np.ndarray]]

partitions: Registry[Split] = Registry("partition", "partition")


def partition(
    text: str, targets: np.ndarray | None, size: int, n_nodes: int, seed: int, groups: np.ndarray | None = None
) -> list[np.ndarray]:
    """Sorted int64 indices into `size` samples, one array per node, none empty; the same for the same seed.

    `targets` is the class of each sample, (size,) integers, or None where there are no classes; `groups` is what each
    sample belongs to, (size,) of any kind, for the partition `column`.
    Raises BadInput if there are fewer samples than nodes, or no classes for a split that goes by them.
    """
    split: Split = partitions.make(text, groups=groups)
    if n_nodes < 1:
        raise BadInput(f"a partition needs at least 1 node; got {n_nodes}")
    if size < n_nodes:
        raise BadInput(f"{size} samples cannot be split over {n_nodes} nodes: use at most {size} nodes or more data")
    if targets is not None and len(targets) != size:
        raise BadInput(f"got {len(targets)} targets for {size} samples; expected one per sample")
    parts = split(targets, size, n_nodes, np.random.default_rng(seed))
    return _checked(text, parts, size, n_nodes)


def class_counts(targets: np.ndarray | None, parts: Sequence[np.ndarray]) -> dict[str, list[Any]]:
    """`classes`: in order; `counts`: for each node how many samples it holds of each. Empty if there are no classes."""
    if targets is None:
        return {}
    classes, index = np.unique(_labels("class counts", targets), return_inverse=True)
    counts = [np.bincount(index[part], minlength=len(classes)).tolist() for part in parts]
    return {"classes": classes.tolist(), "counts": counts}


@partitions.register("iid")
def iid() -> Split:
    """Shuffled and dealt evenly: sizes differ by at most one."""
    return lambda targets, size, n_nodes, rng: np.array_split(rng.permutation(size), n_nodes)


@partitions.register("dirichlet")
def dirichlet(alpha: float = 0.5, min_samples: int = 1) -> Split:
    """Each class is shared out by its own Dirichlet(alpha) draw over the nodes: smaller alpha, more skewed.

    The usual label-skew benchmark (Yurochkin et al. 2019). A node left with fewer than `min_samples` takes samples at
    random from the node that holds most, so that even an extreme draw can be trained on.
    """
    _positive("dirichlet", alpha)

    def split(targets: np.ndarray | None, size: int, n_nodes: int, rng: np.random.Generator) -> list[np.ndarray]:
        labels = _labels("partition 'dirichlet'", targets)
        shares: list[list[np.ndarray]] = [[] for _ in range(n_nodes)]
        for label in np.unique(labels):
            members = rng.permutation(np.flatnonzero(labels == label))
            cuts = _cuts(rng.dirichlet(np.full(n_nodes, alpha)), len(members))
            for mine, part in zip(shares, np.split(members, cuts), strict=True):
                mine.append(part)
        return _top_up([np.concatenate(mine) for mine in shares], min_samples, "dirichlet", rng)

    return split


@partitions.register("shards")
def shards(per_node: int = 2) -> Split:
    """Sorted by class, cut into equal shards, `per_node` of them to each node: fewer means fewer classes per node.

    McMahan et al. 2017.
    """
    if per_node < 1:
        raise BadInput(f"partition 'shards', option 'per_node': got {per_node}, expected at least 1")

    def split(targets: np.ndarray | None, size: int, n_nodes: int, rng: np.random.Generator) -> list[np.ndarray]:
        labels = _labels("partition 'shards'", targets)
        count = n_nodes * per_node
        if count > size:
            fix = f"use per_node={size // n_nodes} at most"
            raise BadInput(f"{size} samples cannot be cut into {n_nodes} x {per_node} shards: {fix}")
        order = rng.permutation(size)
        pieces = np.array_split(order[np.argsort(labels[order], kind="stable")], count)
        dealt = rng.permutation(count).reshape(n_nodes, per_node)
        return [np.concatenate([pieces[s] for s in mine]) for mine in dealt]

    return split


@partitions.register("quantity")
def quantity(alpha: float = 0.5, min_samples: int = 1) -> Split:
    """All nodes see the same classes, but their sizes are one Dirichlet(alpha) draw: smaller alpha, more uneven."""
    _positive("quantity", alpha)

    def split(targets: np.ndarray | None, size: int, n_nodes: int, rng: np.random.Generator) -> list[np.ndarray]:
        cuts = _cuts(rng.dirichlet(np.full(n_nodes, alpha)), size)
        return _top_up(np.split(rng.permutation(size), cuts), min_samples, "quantity", rng)

    return split


@partitions.register("column")
def column(path: str = "", name: str = "", groups: np.ndarray | None = None) -> Split:
    """By a column of your own: samples of one value (a person, a site) stay together, as far as there are nodes.

    The column is the task's (`table:group=COLUMN`, or `groups` of its samples); or that of a file, with a line for
    each training sample: path=FILE of nothing else, or path=FILE.csv,name=COLUMN.
    """

    def split(targets: np.ndarray | None, size: int, n_nodes: int, rng: np.random.Generator) -> list[np.ndarray]:
        held = _read_column(path, name) if path else groups
        if held is None:
            raise BadInput(
                "partition 'column': this task has no groups; write column:path=FILE, a line for each sample"
            )
        if len(held) != size:
            raise BadInput(f"partition 'column': got {len(held)} values for {size} training samples, expected one each")
        return _by_group([np.flatnonzero(held == value) for value in np.unique(held)], n_nodes, rng)

    return split


def _by_group(groups: list[np.ndarray], n_nodes: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Whole groups, the largest first, each to the node that holds least; fewer groups than nodes are cut up evenly."""
    groups = sorted(groups, key=len, reverse=True)
    if len(groups) >= n_nodes:
        parts: list[list[np.ndarray]] = [[] for _ in range(n_nodes)]
        for group in groups:
            min(parts, key=lambda part: sum(map(len, part))).append(group)
        return [np.concatenate(part) for part in parts]
    pieces = [1] * len(groups)
    for _ in range(n_nodes - len(groups)):
        pieces[max(range(len(groups)), key=lambda g: len(groups[g]) / pieces[g])] += 1
    return [p for g, k in zip(groups, pieces, strict=True) for p in np.array_split(rng.permutation(g), k)]


def _read_column(path: str, name: str) -> np.ndarray:
    """The values of a file as text: its lines, or one column under a line of names. Raises BadInput."""
    file = own_file(path)
    try:
        with open(file, encoding="utf-8-sig", newline="") as lines:
            rows = [row for row in csv.reader(lines) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{file}: got {type(error).__name__}, expected lines of UTF-8 text") from error
    if not name:
        return np.array([",".join(row) for row in rows])
    head, *rows = rows or [[]]
    if name not in head:
        raise unknown(f"column of {path} called", name, head)
    at = head.index(name)
    short = next((i for i, row in enumerate(rows, start=1) if len(row) <= at), None)
    if short is not None:
        raise BadInput(f"{file}: row {short} has {len(rows[short - 1])} columns, expected {len(head)}")
    return np.array([row[at] for row in rows])


def _positive(name: str, alpha: float) -> None:
    """Far outside these bounds the draw is one node or exactly even, and floats run out."""
    if not 1e-3 <= alpha <= 1e6:
        raise BadInput(f"partition {name!r}, option 'alpha': got {alpha:g}, expected 0.001 to 1000000")


def _labels(what: str, targets: np.ndarray | None) -> np.ndarray:
    if targets is None or targets.ndim != 1 or targets.dtype.kind not in "iub":
        got = "no targets" if targets is None else f"targets of shape {targets.shape} and type {targets.dtype}"
        raise BadInput(f"{what} goes by class, but the task has {got}; use iid or quantity")
    return targets


def _cuts(shares: np.ndarray, size: int) -> np.ndarray:
    """Where to cut `size` samples so that the pieces follow `shares` (which sum to 1)."""
    cuts: np.ndarray = np.rint(np.cumsum(shares)[:-1] * size).astype(np.int64)
    return cuts.clip(0, size)


def _top_up(parts: list[np.ndarray], least: int, name: str, rng: np.random.Generator) -> list[np.ndarray]:
    """Move samples from the largest node to those below `least`. Raises BadInput if there are too few."""
    size = sum(map(len, parts))
    if not 1 <= least <= size // len(parts):
        expected = f"expected 1 to {size // len(parts)} with {size} samples and {len(parts)} nodes"
        raise BadInput(f"partition {name!r}, option 'min_samples': got {least}, {expected}")
    parts = [rng.permutation(part) for part in parts]
    sizes = np.array([len(part) for part in parts])
    for i in np.flatnonzero(sizes < least).tolist():
        while sizes[i] < least:
            donor = int(sizes.argmax())
            take = min(least - sizes[i], sizes[donor] - size // len(parts))  # the donor stays above `least`
            parts[i] = np.concatenate([parts[i], parts[donor][:take]])
            parts[donor] = parts[donor][take:]
            sizes[i] += take
            sizes[donor] -= take
    return parts


def _checked(text: str, parts: Sequence[np.ndarray], size: int, n_nodes: int) -> list[np.ndarray]:
    """A partition may be the user's: raises BadInput unless it is one."""
    arrays = [np.sort(np.asarray(part, dtype=np.int64)) for part in parts]
    if len(arrays) != n_nodes or not all(map(len, arrays)):
        raise BadInput(
            f"partition {text!r} gave {len(arrays)} nodes sizes {[len(a) for a in arrays][:20]}; expected "
            f"{n_nodes} nodes with at least 1 sample each"
        )
    if not np.array_equal(np.sort(np.concatenate(arrays)), np.arange(size)):
        raise BadInput(f"partition {text!r} does not use each of the {size} samples exactly once")
    return arrays
