"""Write the catalogue again: `python bench/catalogue.py [FOLDER]` (default: topologies/ of this checkout).

Every file starts with what the graph is, then its numbers, which tests/topology/test_catalogue.py recomputes. Random
graphs are fixed by their seed here, and by the file for everybody else.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx

from gossipnet.topology import Topology, from_graphs, make_topology
from gossipnet.topology.files import to_text

# name -> what it is, and the text and size that make it
NAMED: dict[str, tuple[str, str, int | None]] = {
    "karate-club": (
        "Zachary's karate club: 34 members, 78 friendships, two factions (Zachary 1977)",
        "networkx.karate_club_graph",
        None,
    ),
    "les-miserables": (
        "Who meets whom in Les Miserables: a hub, cliques and many leaves (Knuth 1993)",
        "networkx.les_miserables_graph",
        None,
    ),
    "davis-southern-women": (
        "18 women and the 14 events they came to: two kinds of nodes (Davis et al. 1941)",
        "networkx.davis_southern_women_graph",
        None,
    ),
    "florentine-families": (
        "Marriages among 15 families of Renaissance Florence, the Medici in the middle (Padgett 1986)",
        "networkx.florentine_families_graph",
        None,
    ),
    "petersen": (
        "The Petersen graph: 10 nodes, 3 neighbors each, any two at most 2 apart",
        "networkx.petersen_graph",
        None,
    ),
    "icosahedron": ("The corners of an icosahedron: 12 nodes, 5 neighbors each", "networkx.icosahedral_graph", None),
    "dodecahedron": ("The corners of a dodecahedron: 20 nodes, 3 neighbors each", "networkx.dodecahedral_graph", None),
    "tutte": ("The Tutte graph: 46 nodes, 3 neighbors each", "networkx.tutte_graph", None),
    "hoffman-singleton": (
        "50 nodes, 7 neighbors each, any two at most 2 apart: no sparser graph does better",
        "networkx.hoffman_singleton_graph",
        None,
    ),
    "ring-16": ("A ring of 16: the slowest to mix for its size", "ring", 16),
    "star-9": ("A middle and 8 leaves, as in federated averaging", "star", 9),
    "torus-4x4": ("A torus of 4 x 4", "torus:rows=4", 16),
    "hypercube-16": ("A hypercube of 16: 4 neighbors each", "hypercube", 16),
    "exponential-16": ("Static exponential graph: i sends to i + 1, 2, 4 and 8 (mod 16)", "exponential", 16),
    "one-peer-exponential-16": (
        "One model per node and round, and the exact mean after 4 rounds (Ying et al. 2021)",
        "one-peer-exponential",
        16,
    ),
    "small-world-32": (
        "A Watts-Strogatz small world of 32, 4 neighbors on average",
        "small-world:k=4,p=0.2,seed=1",
        32,
    ),
    "scale-free-50": ("A Barabasi-Albert graph of 50: few hubs, many leaves", "scale-free:m=2,seed=1", 50),
    "regular-8-50": (
        "50 nodes, 8 random neighbors each: the default of the variance-correction paper",
        "regular:d=8,seed=1",
        50,
    ),
    "barbell-8": (
        "Two cliques of 8 and a bridge between them: a hard case, one edge carries everything",
        "networkx.barbell_graph:m1=8,m2=0",
        None,
    ),
}


def three_sites() -> Topology:
    """An example with link physics: three sites of four nodes, fast inside, slow between."""
    graph = nx.Graph()
    sites = ("lab", "office", "edge")
    for site in sites:
        names = [f"{site}-{k}" for k in range(4)]
        graph.add_nodes_from(names)
        links = [(u, v) for k, u in enumerate(names) for v in names[k + 1 :]]
        graph.add_edges_from(links, latency_s=0.0005, bandwidth_bytes_per_s=125e6)
    graph.add_edge("lab-0", "office-0", latency_s=0.008, bandwidth_bytes_per_s=12.5e6)
    graph.add_edge("lab-1", "edge-0", latency_s=0.04, bandwidth_bytes_per_s=1.25e6)
    graph.add_edge("office-1", "edge-1", latency_s=0.04, bandwidth_bytes_per_s=1.25e6)
    return from_graphs("three-sites", graph)


def entries() -> dict[str, tuple[str, Topology]]:
    """Name -> what it is, and the topology."""
    made = {name: (about, bare(make_topology(text, n))) for name, (about, text, n) in NAMED.items()}
    made["three-sites"] = ("Three sites of 4 nodes: 1 Gbit/s inside, slow links with latency between", three_sites())
    return made


def bare(topology: Topology) -> Topology:
    """Without the attributes of social graphs (tie strength, faction), which mean nothing to a swarm; numbers in order.

    Some of networkx's graphs do not list their nodes as 0, 1, 2, ...; here number and name of a node agree.
    """
    kept: dict[str, Any] = {"node_attributes": {}, "edge_attributes": {}}
    topology = replace(topology, **kept)
    if set(topology.labels) != set(map(str, range(topology.n))):
        return topology
    graph = nx.DiGraph() if topology.directed else nx.Graph()
    graph.add_nodes_from(range(topology.n))
    number = [int(label) for label in topology.labels]
    graphs = []
    for edges in topology.rounds:
        graphs.append(graph.copy())
        graphs[-1].add_edges_from((number[i], number[j]) for i, j in edges)
    return from_graphs(topology.name, graphs)


def header(about: str, topology: Topology) -> str:
    facts = {
        "nodes": topology.n,
        "edges": len(topology.edges),
        "mixing": topology.mixing,
        "spectral_gap": f"{topology.spectral_gap:.6f}",
    }
    return "".join(f"# {line}\n" for line in (about, *(f"{key}: {value}" for key, value in facts.items())))


def write(folder: Path) -> None:
    for name, (about, topology) in entries().items():
        suffix = ".toml" if topology.period > 1 or topology.edge_attributes else ".edges"
        (folder / f"{name}{suffix}").write_text(header(about, topology) + to_text(topology, suffix), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "topologies")
