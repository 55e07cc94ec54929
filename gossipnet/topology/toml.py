"""Topologies as TOML, the one format that holds everything:

directed = false
nodes = ["lab", {name = "roof", address = "tcp://10.0.0.7:7000", device = "cpu"}]     # or: n = 8
edges = [["lab", "roof", {latency_s = 0.02, bandwidth_bytes_per_s = 1e6}]]            # or [[edges]] from, to
rounds = [[["lab", "roof"]], ...]                                # instead of edges: the edges of each round
"""

import re
import tomllib
from functools import cache
from typing import Any

from gossipnet.errors import BadInput, unknown
from gossipnet.topology.convert import assemble
from gossipnet.topology.edgelist import NamedEdge, named_edges, node_order
from gossipnet.topology.graph import Attributes, Topology

_KEYS = ("directed", "edges", "n", "nodes", "rounds")


def parse_toml(name: str, content: str) -> Topology:
    try:
        data = tomllib.loads(content)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadInput(f"{name} is no TOML: {error}") from None
    for key in data:
        if key not in _KEYS:
            raise unknown(f"topology key (in {name})", key, _KEYS)
    if ("edges" in data) == ("rounds" in data):
        raise BadInput(f"{name}: expected either edges = [[a, b], ...] or rounds = [[[a, b], ...], ...]")
    try:
        rounds = [[_edge(e) for e in edges] for edges in data.get("rounds", [data.get("edges")])]
        nodes = dict(_node(v) for v in data.get("nodes", range(data.get("n", 0))))
        if len(nodes) < len(data.get("nodes", ())):
            raise ValueError("a node is named twice")
    except (TypeError, ValueError, KeyError) as error:
        raise BadInput(f"{name}: {error}; expected nodes = [name, ...] and edges = [[name, name], ...]") from None
    used = [edge for edges in rounds for edge in edges]
    stranger = next((v for edge in used for v in edge[:2] if nodes and v not in nodes), None)
    if stranger is not None:
        raise BadInput(f"{name}: an edge names node {stranger!r}, which is not among the nodes")
    directed = data.get("directed", False)
    if not isinstance(directed, bool):
        raise BadInput(f"{name}: got directed = {directed!r}, expected true or false")
    return assemble(name, node_order(nodes, used), rounds, directed, nodes)


def _node(entry: Any) -> tuple[str, Attributes]:
    if isinstance(entry, dict):
        return _label(entry.get("name")), {k: v for k, v in entry.items() if k != "name"}
    return _label(entry), {}


def _edge(entry: Any) -> NamedEdge:
    if isinstance(entry, dict) and {"from", "to"} <= entry.keys():
        entry = [entry["from"], entry["to"], {k: v for k, v in entry.items() if k not in ("from", "to")}]
    if not isinstance(entry, list) or len(entry) not in (2, 3):
        raise ValueError(f"cannot read the edge {entry!r}")
    attributes = entry[2] if len(entry) == 3 else {}
    if not isinstance(attributes, dict):
        raise ValueError(f"cannot read the edge {entry!r}")
    return _label(entry[0]), _label(entry[1]), attributes


def _label(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError(f"{value!r} is no node name")
    return str(value)


def format_toml(topology: Topology) -> str:
    numbered = topology.labels == tuple(map(str, range(topology.n)))

    def name(label: str) -> str:
        return label if numbered else _toml(label)

    lines = ["directed = true"] if topology.directed else []
    if numbered and not topology.node_attributes:
        lines.append(f"n = {topology.n}")
    else:
        attributes = [topology.node_attributes.get(i, {}) for i in range(topology.n)]
        tables = ({"name": v, **a} if a else v for v, a in zip(topology.labels, attributes, strict=True))
        lines += ["nodes = [", *(f"    {_toml(t)}," for t in tables), "]"]
    many = topology.period > 1
    lines.append("rounds = [" if many else "edges = [")
    for k in range(topology.period):
        lines += ["  ["] if many else []
        for u, v, a in named_edges(topology, k):
            lines.append(f"    [{', '.join([name(u), name(v), *([_toml(a)] if a else [])])}],")
        lines += ["  ],"] if many else []
    return "\n".join([*lines, "]"]) + "\n"


def _key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else _toml_word(name)


@cache
def _toml_word(value: str) -> str:
    import tomli_w

    return tomli_w.dumps({"x": value}).removeprefix("x = ").rstrip("\n")


def _toml(value: Any) -> str:
    """One line of TOML: a string, an inline table, or a plain value."""
    match value:
        case str():
            return _toml_word(value)
        case dict():
            return "{" + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case bool():
            return str(value).lower()
    return repr(value)
