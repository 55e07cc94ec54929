"""What a person should know of a topology before a run: its facts, as data and as text, and warnings."""

import math
from typing import Any

from gossipnet.topology.convert import Graph, to_networkx
from gossipnet.topology.graph import Topology

EXACT_DIAMETER = 1000  # nodes; above, a lower bound, since the exact one takes n searches
SLOW_ROUNDS = 50
OSCILLATES = -0.9


def facts(topology: Topology) -> dict[str, Any]:
    """Everything `describe` says, as plain numbers; `warnings` is a list of sentences."""
    graph = to_networkx(topology)
    degrees = [d for _, d in (graph.out_degree() if topology.directed else graph.degree())]
    diameter, exact = _diameter(graph)
    spectrum = topology.spectrum
    rounds = spectrum.rounds_to_shrink(10)
    return {
        "name": topology.name,
        "nodes": topology.n,
        "edges": len(topology.edges),
        "directed": topology.directed,
        "period": topology.period,
        "degree_min": min(degrees),
        "degree_mean": sum(degrees) / topology.n,
        "degree_max": max(degrees),
        "models_per_node_round": _models(topology),
        "diameter": diameter,
        "diameter_exact": exact,
        "mixing": topology.mixing,
        "spectral_gap": spectrum.gap,
        "smallest_eigenvalue": spectrum.smallest if topology.period == 1 else None,
        "rounds_to_tenth": None if math.isinf(rounds) else int(rounds),
        "warnings": warnings(topology, graph),
    }


def describe(topology: Topology) -> str:
    """The facts as aligned lines, the warnings last."""
    f = facts(topology)
    kind = "directed edges" if f["directed"] else "edges"
    each = f"{f['degree_min']} to {f['degree_max']}, mean {f['degree_mean']:.2f}"
    rounds = f["rounds_to_tenth"]
    lines = [
        ("topology", f["name"]),
        ("nodes", f"{f['nodes']:,}"),
        (kind, f"{f['edges']:,}" + (f" in all, over {f['period']} rounds that repeat" if f["period"] > 1 else "")),
        ("degrees", each + (" (out)" if f["directed"] else "")),
        ("models sent", f"{f['models_per_node_round']:.2f} per node and round"),
        ("diameter", f"{'' if f['diameter_exact'] else 'at least '}{f['diameter']}"),
        ("mixing", "its own weights" if topology.given_weights else f["mixing"]),
        ("spectral gap", f"{f['spectral_gap']:.6g}" + (" per round" if f["period"] > 1 else "")),
        *([("smallest eigenvalue", f"{round(f['smallest_eigenvalue'], 4) + 0.0:.4f}")] if f["period"] == 1 else []),
        ("agreement", "never" if rounds is None else f"{_counted(rounds, 'round')} to shrink disagreement tenfold"),
        *(("warning", text) for text in f["warnings"]),
    ]
    width = max(len(key) for key, _ in lines)
    return "\n".join(f"{key:<{width}}  {value}" for key, value in lines)


def warnings(topology: Topology, graph: Graph | None = None) -> list[str]:
    """What may go wrong with this topology, one sentence each with what to do; usually empty."""
    if topology.n == 1:
        return []
    graph = to_networkx(topology) if graph is None else graph
    found = [*_slow(topology), *_oscillates(topology), *_uneven(topology)]
    return found if topology.directed else [*found, *_fragile(topology, graph)]


def _slow(topology: Topology) -> list[str]:
    rounds = topology.spectrum.rounds_to_shrink(10)
    if math.isinf(rounds):
        return ["disagreement never shrinks with this mixing: choose another, such as lazy"]
    if rounds < SLOW_ROUNDS:
        return []
    return [f"slow: disagreement takes {rounds:,} rounds to shrink tenfold; regular:d=4 or exponential mix faster"]


def _oscillates(topology: Topology) -> list[str]:
    """Near -1 neighbors swap opinions each round instead of meeting."""
    smallest = topology.spectrum.smallest
    if topology.period > 1 or smallest > OSCILLATES:
        return []
    return [f"oscillates: the smallest eigenvalue is {smallest:.3f}; mixing lazy or keep:own=0.5 damps it"]


def _uneven(topology: Topology) -> list[str]:
    """Rows of W sum to 1; where columns do not, the mean of all models drifts toward the nodes that count more."""
    worst = 0.0
    for r in range(1, topology.period + 1):
        columns = [0.0] * topology.n
        for i in range(topology.n):
            row = topology.row(i, r)
            columns[i] += row.own
            for j, weight in row.weights:
                columns[j] += weight
        worst = max(worst, max(columns))
    if worst < 1 + 1e-9:
        return []
    return [
        f"uneven: some models count {worst:.2f} times what they should in a round; metropolis or lazy on an "
        "undirected graph count all alike"
    ]


def _fragile(topology: Topology, graph: Graph) -> list[str]:
    import networkx as nx

    found = []
    cuts = set(nx.articulation_points(graph))
    if cuts:
        named = [repr(v) for v in topology.labels if v in cuts]
        found.append(f"fragile: losing node {_some(named)} cuts the graph in two")
    bridges = [f"{u!r} - {v!r}" for u, v in nx.bridges(graph)]
    if bridges:
        found.append(f"fragile: losing edge {_some(bridges)} cuts the graph in two")
    return found


def _counted(n: int, word: str) -> str:
    return f"{n:,} {word}" + ("" if n == 1 else "s")


def _some(names: list[str], show: int = 3) -> str:
    """`a, b or any of 5 others`."""
    if len(names) <= show + 1:
        return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"{', '.join(names[:show])} or any of {len(names) - show} others"


def _diameter(graph: Graph) -> tuple[int, bool]:
    import networkx as nx

    if len(graph) <= EXACT_DIAMETER:
        return nx.diameter(graph), True
    return nx.approximation.diameter(graph), False


def _models(topology: Topology) -> float:
    """Models that a node sends in a round, mean over nodes and rounds."""
    both = 1 if topology.directed else 2
    return both * sum(map(len, topology.rounds)) / topology.n / topology.period
