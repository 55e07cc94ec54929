"""Edge lists as text: `.edges` and `.txt` (words), `.csv` (columns).

    # a comment; "# directed: true" makes the graph directed
    0 1
    0 2 latency_s=0.02 bandwidth_bytes_per_s=1e6
    "node with spaces" 2
    2 address=tcp://10.0.0.3:7000 device=cpu

A line with one name declares a node. Nodes are numbered in the order of their declarations, then of their first
appearance; if nothing is declared and all names are whole numbers, in numerical order.
"""

import ast
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gossipnet.errors import BadInput
from gossipnet.topology.convert import assemble
from gossipnet.topology.graph import MIXING_WEIGHT, Attributes, Topology

NamedEdge = tuple[str, str, Attributes]
_WORD = re.compile(r"""(?:[A-Za-z_]\w*=)?"(?:[^"\\]|\\.)*"|[^\s,;]+""")
_OPTION = re.compile(r"([A-Za-z_]\w*)=(.*)", re.S)
_PLAIN = re.compile(r"[\w.+-]+")
_DIRECTED = re.compile(r"^#\s*directed:\s*true\s*$", re.M | re.I)
_HEADERS = ({"source", "from", "src"}, {"target", "to", "dst"})


def parse_words(name: str, text: str) -> Topology:
    """The topology of an `.edges` or `.txt` file. Raises BadInput with the line at fault."""
    nodes: dict[str, Attributes] = {}
    edges: list[NamedEdge] = []
    for number, line in enumerate(text.split("\n"), start=1):
        words = _words(line)
        if words:
            _take(words, nodes, edges, f"{name}, line {number}")
    return _topology(name, nodes, edges, bool(_DIRECTED.search(text)))


def _words(line: str) -> list[str]:
    """The words of a line; a trailing Python dict, as networkx writes it, is one word."""
    if line.lstrip().startswith(("#", "%")):
        return []
    brace = re.search(r"\s(\{.*\})\s*$", line)
    words: list[str] = []
    for word in _WORD.findall(line[: brace.start()] if brace else line):
        if word.startswith("#"):
            return words
        words.append(word)
    return [*words, brace[1]] if brace else words


def _take(words: list[str], nodes: dict[str, Attributes], edges: list[NamedEdge], where: str) -> None:
    """File one line under `nodes` or `edges`."""
    first = _name(words[0])
    if len(words) == 1 or _OPTION.fullmatch(words[1]):
        nodes[first] = {**nodes.get(first, {}), **_attributes(words[1:], where)}
    else:
        edges.append((first, _name(words[1]), _attributes(words[2:], where)))


def _attributes(words: list[str], where: str) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for position, word in enumerate(words):
        option = _OPTION.fullmatch(word)
        if option:
            attributes[option[1]] = read_value(option[2])
        elif word.startswith("{"):
            attributes.update(_python_dict(word, where))
        elif position == 0 and isinstance(read_value(word), (int, float)):
            attributes["weight"] = read_value(word)  # the third column of many edge lists; nothing here uses it
        else:
            raise BadInput(f"{where}: cannot read {word!r}; expected two node names, then key=value")
    return attributes


def _python_dict(word: str, where: str) -> dict[str, Any]:
    try:
        return {str(k): v for k, v in ast.literal_eval(word).items()}
    except (ValueError, SyntaxError, AttributeError, RecursionError, MemoryError):
        raise BadInput(f"{where}: cannot read {word[:60]!r}; expected key=value, or a dict of plain values") from None


def _name(word: str) -> str:
    return str(read_value(word)) if word.startswith('"') else word


def read_value(word: str) -> Any:
    """A number, true, false, a quoted JSON string, or else the word itself."""
    if word.startswith('"'):
        try:
            return json.loads(word)
        except ValueError:
            return word
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(word, word)


def write_value(value: Any) -> str:
    """The inverse of `read_value`."""
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and read_value(value) == value
        return value if plain else json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _topology(name: str, nodes: Mapping[str, Attributes], edges: list[NamedEdge], directed: bool) -> Topology:
    labels = node_order(nodes, edges)
    return assemble(name, labels, [edges], directed, nodes)


def node_order(declared: Iterable[str], edges: Iterable[NamedEdge]) -> list[str]:
    """Node names in the order of their numbers; see the head of this file."""
    labels = dict.fromkeys(declared)
    named = bool(labels)
    labels.update(dict.fromkeys(v for edge in edges for v in edge[:2]))
    if not named and all(v.isdecimal() and v.isascii() for v in labels):
        return sorted(labels, key=lambda v: (int(v), v))
    return list(labels)


def named_edges(topology: Topology, round: int = 0) -> list[NamedEdge]:
    """The edges of one round (counted from 0) by name, with every attribute, the mixing weight among them."""
    given = topology.given_weights[round] if topology.given_weights else {}
    rows: list[NamedEdge] = []
    for edge in topology.rounds[round]:
        weight = {MIXING_WEIGHT: given[edge]} if edge in given else {}
        attributes = {**topology.edge_attributes.get(edge, {}), **weight}
        rows.append((topology.labels[edge[0]], topology.labels[edge[1]], attributes))
    return rows


def _needs_declaring(topology: Topology, edges: list[NamedEdge]) -> bool:
    return bool(topology.node_attributes) or node_order((), edges) != list(topology.labels)


def format_words(topology: Topology) -> str:
    """The text of an `.edges` file that `parse_words` reads back."""
    edges = named_edges(topology)
    lines = ["# directed: true"] if topology.directed else []
    if _needs_declaring(topology, edges):
        for i, label in enumerate(topology.labels):
            lines.append(" ".join([_quoted(label), *_options(topology.node_attributes.get(i, {}))]))
    lines += [" ".join([_quoted(u), _quoted(v), *_options(a)]) for u, v, a in edges]
    return "".join(line + "\n" for line in lines)


def _quoted(label: str) -> str:
    return label if _PLAIN.fullmatch(label) else json.dumps(label)


def _options(attributes: Attributes) -> Iterator[str]:
    return (f"{key}={write_value(value)}" for key, value in attributes.items())


def parse_csv(name: str, text: str) -> Topology:
    """The topology of a `.csv` file: source, target, then attributes named by the header, if there is one."""
    head = re.match(r"(\s*(#[^\n]*)?\n)*", text)  # comments stand above the table, so that names may have any letters
    body = text[head.end() :] if head else text
    first = body.partition("\n")[0]
    separator = next((s for s in (",", ";", "\t") if s in first), ",")
    try:
        rows = list(csv.reader(io.StringIO(body, newline=""), delimiter=separator, skipinitialspace=True))
    except csv.Error as error:
        raise BadInput(f"{name} is no CSV: {error}") from None
    rows = [row for row in rows if any(row)]
    header = _header(rows)
    nodes: dict[str, Attributes] = {}
    edges: list[NamedEdge] = []
    for number, row in enumerate(rows if header is None else rows[1:], start=1):
        if len(row) < 2:
            raise BadInput(f"{name}, row {number}: got {row}, expected source{separator}target")
        keys = ["weight"] if header is None else header
        attributes = {k: read_value(c) for k, c in zip(keys, row[2:], strict=False) if c}
        if row[1]:
            edges.append((row[0], row[1], attributes))
        else:
            nodes[row[0]] = attributes
    return _topology(name, nodes, edges, bool(_DIRECTED.search(text)))


def _header(rows: list[list[str]]) -> list[str] | None:
    """The names of the attribute columns if the first row is a header, else None."""
    if not rows or len(rows[0]) < 2:
        return None
    first = [cell.strip().lower() for cell in rows[0][:2]]
    return rows[0][2:] if all(word in names for word, names in zip(first, _HEADERS, strict=True)) else None


def format_csv(topology: Topology) -> str:
    """The text of a `.csv` file that `parse_csv` reads back; a node without a target is declared, with attributes."""
    edges = named_edges(topology)
    nodes: list[NamedEdge] = []
    if _needs_declaring(topology, edges):
        nodes = [(label, "", topology.node_attributes.get(i, {})) for i, label in enumerate(topology.labels)]
    keys = list(dict.fromkeys(key for row in (*nodes, *edges) for key in row[2]))
    lines = ["# directed: true"] if topology.directed else []
    lines.append(",".join(map(_cell, ("source", "target", *keys))))
    for u, v, attributes in (*nodes, *edges):
        values = (write_value(attributes[k]) if k in attributes else "" for k in keys)
        lines.append(",".join(map(_cell, (u, v, *values))))
    return "".join(line + "\n" for line in lines)


def _cell(text: str) -> str:
    return text if not text or _PLAIN.fullmatch(text) else '"' + text.replace('"', '""') + '"'
