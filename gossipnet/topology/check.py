"""What must hold of a topology before it may run: the size asked for, connected, weights and attributes in range."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gossipnet.errors import BadInput
from gossipnet.topology.graph import Topology


def check(topology: Topology, n: int | None = None) -> Topology:
    """The topology itself. Raises BadInput that says what is wrong and what to do."""
    check_size(topology, n)
    check_connected(topology)
    check_names(topology)
    check_weights(topology)
    return topology


def check_size(topology: Topology, n: int | None) -> None:
    if topology.n < 1:
        raise BadInput(f"topology {topology.name!r} has no nodes; expected at least 1")
    if n is not None and topology.n != n:
        raise BadInput(f"topology {topology.name!r} has {topology.n} nodes, but {n} were asked for: use {topology.n}")


def is_connected(topology: Topology) -> bool:
    """Whether models get from every node to every other, over the edges of the whole period."""
    told: list[list[int]] = [[] for _ in range(topology.n)]
    heard: list[list[int]] = [[] for _ in range(topology.n)]
    for i, j in topology.edges:
        told[i].append(j)
        heard[j].append(i)
        if not topology.directed:
            told[j].append(i)
    return _reaches_all(told) and (not topology.directed or _reaches_all(heard))


def _reaches_all(adjacency: Sequence[Sequence[int]]) -> bool:
    seen, front = {0}, [0]
    while front:
        new = {j for i in front for j in adjacency[i]} - seen
        seen |= new
        front = list(new)
    return len(seen) == len(adjacency)


def check_connected(topology: Topology) -> None:
    if is_connected(topology):
        return
    import networkx as nx

    from gossipnet.topology.convert import to_networkx

    graph = to_networkx(topology)
    parts = nx.strongly_connected_components(graph) if topology.directed else nx.connected_components(graph)
    components = sorted(parts, key=len)
    node, size = next(v for v in topology.labels if v in components[0]), len(components[0])
    others = "1 other" if size == 2 else f"{size - 1} others"
    where = f"node {node!r} is on its own" if size == 1 else f"node {node!r} is cut off with {others}"
    what = "not strongly connected" if topology.directed else "not connected"
    over = f" over its {topology.period} rounds" if topology.period > 1 else ""
    raise BadInput(
        f"topology {topology.name!r} is {what}{over}: {len(components)} components, {where}; add edges between them"
    )


def check_names(topology: Topology) -> None:
    """Node names, and the attributes that the drivers read."""
    if not all(topology.labels):
        raise BadInput(f"topology {topology.name!r} has a node whose name is empty; expected a name or a number")
    for (i, j), attributes in topology.edge_attributes.items():
        where = f"topology {topology.name!r}, edge {topology.labels[i]!r} - {topology.labels[j]!r}"
        _check_number(where, attributes, "latency_s", "seconds, at least 0", zero=True)
        _check_number(where, attributes, "jitter_s", "seconds, at least 0", zero=True)
        _check_number(where, attributes, "bandwidth_bytes_per_s", "bytes per second, above 0", zero=False)
        for key in ("drop_rate", "duplicate_rate", "reorder_rate"):
            _check_number(where, attributes, key, "0 to 1", zero=True, most=1.0)
    for i, attributes in topology.node_attributes.items():
        where = f"topology {topology.name!r}, node {topology.labels[i]!r}"
        _check_number(where, attributes, "speed", "a factor above 0", zero=False)
        for key in ("address", "device"):
            if not isinstance(attributes.get(key, ""), str):
                got = f"{key}={attributes[key]!r}"
                raise BadInput(f"topology {topology.name!r}, node {topology.labels[i]!r}: got {got}, expected text")


def _check_number(
    where: str, attributes: Mapping[str, Any], key: str, expected: str, zero: bool, most: float = math.inf
) -> None:
    value = attributes.get(key)
    if value is None:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not 0 <= value <= most or (value == 0 and not zero):
        raise BadInput(f"{where}: got {key}={value!r}, expected {expected}")


def check_weights(topology: Topology) -> None:
    """Weights that a graph brings itself: on every edge or on none, in [0, 1], and at most 1 per node and round."""
    if not topology.given_weights:
        return
    if topology.mixing != "metropolis":
        raise BadInput(f"topology {topology.name!r} brings its own weights; leave out mixing {topology.mixing!r}")
    for k, (edges, given) in enumerate(zip(topology.rounds, topology.given_weights, strict=True)):
        bare = next((e for e in edges if e not in given), None)
        if bare is not None:
            pair = " - ".join(topology.labels[i] for i in bare)
            raise BadInput(f"topology {topology.name!r}: edge {pair} has no mixing_weight, but others have; set all")
        for value in given.values():
            if not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise BadInput(f"topology {topology.name!r}: got mixing_weight={value!r}, expected 0 to 1")
        for i in range(topology.n):
            total = math.fsum(w for _, w in topology.row(i, k + 1).weights)
            if total > 1 + 1e-9:
                got = f"node {topology.labels[i]!r} gives its neighbors {total:g} in all"
                raise BadInput(f"topology {topology.name!r}: {got}; expected mixing weights that sum to at most 1")
