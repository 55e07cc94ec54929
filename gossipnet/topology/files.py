"""Topologies in files: load, save, and the catalogue that is installed with the package.

`.edges`, `.txt` and `.csv` are edge lists (edgelist.py), `.graphml` is GraphML, and `.toml` holds everything (toml.py).
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from gossipnet.errors import BadInput
from gossipnet.topology.convert import from_networkx, to_networkx
from gossipnet.topology.edgelist import format_csv, format_words, parse_csv, parse_words
from gossipnet.topology.graph import Topology
from gossipnet.topology.toml import format_toml, parse_toml

SUFFIXES = (".edges", ".txt", ".csv", ".graphml", ".toml")


def is_file(text: str) -> bool:
    """Whether `text` is the path of a topology's file, by its suffix."""
    return text.strip().lower().endswith(SUFFIXES)


def load(text: str) -> Topology:
    """The topology in a file, or the one of that name in the catalogue; not yet checked. Raises BadInput."""
    if not is_file(text):
        name, content = _catalogue_file(text)
        return parse(name, content)
    path = Path(text)
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise BadInput(f"no file {text!r}: expected a topology, one of {', '.join(SUFFIXES)}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{text!r} is no text file; expected a topology, one of {', '.join(SUFFIXES)}") from None
    except OSError as error:
        raise BadInput(f"cannot read {text!r}: {error.strerror}") from None
    return parse(text, content)


def parse(name: str, content: str) -> Topology:
    """The topology in the text of a file; its suffix says how to read it. Raises BadInput."""
    readers: dict[str, Callable[[str, str], Topology]] = {
        ".csv": parse_csv,
        ".toml": parse_toml,
        ".graphml": parse_graphml,
    }
    return readers.get(Path(name).suffix.lower(), parse_words)(name, content)


def save(topology: Topology, path: str | Path) -> None:
    """Write a file that `make_topology` loads again identically; its suffix says how. Raises BadInput.

    The mixing is not in the file. Only `.toml` holds schedules.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise BadInput(f"cannot save a topology as {str(path)!r}: expected one of {', '.join(SUFFIXES)}")
    if topology.period > 1 and suffix != ".toml":
        raise BadInput(f"{topology.name} changes every round and {suffix} holds one graph: save it as .toml")
    try:
        content = to_text(topology, suffix)
        data = content.encode()
        same = same_graph(parse(str(path), content), topology)
    except (BadInput, UnicodeEncodeError):
        same = False
    if not same:
        raise BadInput(f"{suffix} cannot hold a node name or an attribute of {topology.name}: save it as .toml")
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise BadInput(f"cannot write {str(path)!r}: {error.strerror}") from None


def to_text(topology: Topology, suffix: str) -> str:
    """The text of a file with that suffix. Raises BadInput if GraphML cannot hold an attribute."""
    writers: dict[str, Callable[[Topology], str]] = {
        ".csv": format_csv,
        ".toml": format_toml,
        ".graphml": format_graphml,
    }
    return writers.get(suffix, format_words)(topology)


def same_graph(a: Topology, b: Topology) -> bool:
    """Equal but for name and mixing."""
    keys = ("labels", "rounds", "directed", "node_attributes", "edge_attributes", "given_weights")
    return all(getattr(a, k) == getattr(b, k) for k in keys)


def parse_graphml(name: str, content: str) -> Topology:
    from xml.etree.ElementTree import ParseError

    import networkx as nx

    try:
        return from_networkx(name, nx.parse_graphml(content))
    except (ParseError, nx.NetworkXError, KeyError, ValueError, StopIteration, IndexError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{name} is no GraphML that networkx reads: {said}") from None


def format_graphml(topology: Topology) -> str:
    import networkx as nx

    try:
        return "\n".join(nx.generate_graphml(to_networkx(topology))) + "\n"
    except (TypeError, ValueError, nx.NetworkXError) as error:
        raise BadInput(f".graphml cannot hold {topology.name}: {' '.join(str(error).split())}") from None


def catalogue() -> dict[str, str]:
    """Name -> the first line of each file of the catalogue, which says what it is."""
    return {name: _catalogue_file(name)[1].partition("\n")[0].lstrip("# ") for name in sorted(_catalogue())}


def in_catalogue(text: str) -> bool:
    return text.partition(":")[0].strip() in _catalogue()


@cache
def _catalogue() -> dict[str, Any]:
    """Name -> its file (a Traversable): data of the installed package, or the folder of a source checkout."""
    from importlib.resources import files

    try:
        folder: Any = files("gossipnet.topologies")
    except ModuleNotFoundError:
        folder = Path(__file__).parents[2] / "topologies"
    found = folder.iterdir() if folder.is_dir() else ()
    return {f.name.rpartition(".")[0]: f for f in found if f.name.endswith((".edges", ".toml"))}


def _catalogue_file(name: str) -> tuple[str, str]:
    file = _catalogue()[name]
    return file.name, file.read_text(encoding="utf-8")
