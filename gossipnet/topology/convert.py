"""networkx graphs <-> Topology, with node order, names and attributes kept."""

from collections.abc import Iterable, Mapping
from typing import Any

from gossipnet.errors import BadInput
from gossipnet.topology.graph import MIXING_WEIGHT, Attributes, Edge, Topology

Graph = Any  # a networkx Graph or DiGraph; networkx is imported only when it is needed


def from_networkx(name: str, graphs: Any) -> Topology:
    """A graph, or a list of graphs over the same nodes (one per round), as a Topology; only its form is checked.

    Multiple edges count once, self-loops not at all. Raises BadInput.
    """
    import networkx as nx

    rounds = list(graphs) if isinstance(graphs, (list, tuple)) else [graphs]
    strange = [g for g in rounds if not isinstance(g, nx.Graph)]
    if strange or not rounds:
        got = type(strange[0] if strange else graphs).__name__
        raise BadInput(f"topology {name!r} is made of {got}; expected a networkx graph, or a list of graphs")
    first = rounds[0]
    if any(set(g) != set(first) or g.is_directed() != first.is_directed() for g in rounds):
        raise BadInput(f"topology {name!r} changes its nodes or direction between rounds; expected the same in all")
    return assemble(
        name,
        [str(v) for v in first],
        [[(str(u), str(v), a) for u, v, a in g.edges(data=True)] for g in rounds],
        first.is_directed(),
        {str(v): a for v, a in first.nodes(data=True)},
    )


def to_networkx(topology: Topology) -> Graph:
    """The graph of every edge that some round uses; nodes are the labels; attributes are kept."""
    import networkx as nx

    graph = nx.DiGraph() if topology.directed else nx.Graph()
    for i, label in enumerate(topology.labels):
        graph.add_node(label, **topology.node_attributes.get(i, {}))
    for i, j in topology.edges:
        weights = [given[i, j] for given in topology.given_weights if (i, j) in given]
        own = {MIXING_WEIGHT: weights[0]} if weights and topology.period == 1 else {}
        graph.add_edge(topology.labels[i], topology.labels[j], **topology.edge_attributes.get((i, j), {}), **own)
    return graph


def assemble(
    name: str,
    labels: Iterable[str],
    rounds: Iterable[Iterable[tuple[str, str, Attributes]]],
    directed: bool = False,
    node_attributes: Mapping[str, Attributes] | None = None,
) -> Topology:
    """A Topology from names: the labels in order, and per round the edges (from, to, attributes)."""
    order = tuple(labels)
    index = {label: i for i, label in enumerate(order)}
    if len(index) < len(order):
        raise BadInput(f"topology {name!r} has two nodes of the same name; expected names that differ as text")
    found = [_numbered(edges, index, directed) for edges in rounds]
    merged: dict[Edge, dict[str, Any]] = {}
    for edges in found:
        for edge, values in edges.items():
            merged.setdefault(edge, {}).update((k, v) for k, v in values.items() if k != MIXING_WEIGHT)
    given = tuple({e: a[MIXING_WEIGHT] for e, a in edges.items() if MIXING_WEIGHT in a} for edges in found)
    return Topology(
        name=name,
        labels=order,
        rounds=tuple(tuple(sorted(edges)) for edges in found),
        directed=directed,
        node_attributes={index[v]: dict(a) for v, a in (node_attributes or {}).items() if a},
        edge_attributes={e: a for e, a in merged.items() if a},
        given_weights=given if any(given) else (),
    )


def _numbered(
    edges: Iterable[tuple[str, str, Attributes]], index: Mapping[str, int], directed: bool
) -> dict[Edge, Attributes]:
    """Names to numbers, without self-loops; undirected edges with i < j; of an edge given twice the last counts."""
    numbered = {}
    for u, v, attributes in edges:
        i, j = index[u], index[v]
        if i != j:
            numbered[(i, j) if directed or i < j else (j, i)] = attributes
    return numbered
