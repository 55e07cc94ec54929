"""`make_topology`: from text (a name and options, a file, a catalogue entry) to a Topology that is fit to run."""

import inspect
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gossipnet.errors import BadInput, unknown
from gossipnet.registry import split_name, split_options, where_raised
from gossipnet.topology import files, generators
from gossipnet.topology.check import check, check_size, is_connected
from gossipnet.topology.convert import from_networkx
from gossipnet.topology.graph import Topology
from gossipnet.topology.mixing import make_mixing
from gossipnet.topology.named import topologies

TRIES = 100


def make_topology(text: str, n: int | None = None, seed: int = 0, mixing: str = "metropolis") -> Topology:
    """The topology that `text` describes, checked: connected, of n nodes, with a mixing that fits.

    `text` is a name with options (`"small-world:k=4,p=0.2"`), a networkx generator
    (`"networkx.barbell_graph:m1=4,m2=2"`), a name of the catalogue (`"karate-club"`), a file (`.edges`, `.txt`,
    `.csv`, `.graphml`, `.toml`), or `"file.py:name"`. Without `n` the text or the file decides. Random graphs are
    drawn again, up to 100 times, until connected; the first draw uses `seed` itself. Raises BadInput.
    """
    make_mixing(mixing)
    if n is not None and n < 1:
        raise BadInput(f"a topology needs at least 1 node; got n={n}")
    if seed < 0:
        raise BadInput(f"a seed is 0 or more; got {seed}")
    if files.is_file(text) or files.in_catalogue(text):
        return _fixed(text, n, mixing)
    return _drawn(text, *_factory(text, n), n, seed, mixing)


def absolute(text: str) -> str:
    """The same text with the path of its file made absolute, so that it works from any folder."""
    return str(Path(text).resolve()) if files.is_file(text) else topologies.absolute(text)


def from_graphs(name: str, graphs: Any, n: int | None = None, mixing: str = "metropolis") -> Topology:
    """The topology of a networkx graph, or of a list of graphs, one per round, checked. Raises BadInput.

    Multiple edges count once, self-loops not at all. Node and edge attributes are kept.
    """
    make_mixing(mixing)
    return check(replace(from_networkx(name, graphs), mixing=mixing), n)


def known_topologies() -> dict[str, str]:
    """Every name that `make_topology` takes -> one line about it: the registry, then the catalogue."""
    return {**topologies.describe(), **files.catalogue()}


def _fixed(text: str, n: int | None, mixing: str) -> Topology:
    name, rest = (text, "") if files.is_file(text) else split_name(text)
    options = split_options(rest, f"topology {text!r}")
    for key in options.keys() - {"n"}:
        raise BadInput(f"topology {name!r} is a fixed graph and has no option {key!r}; expected the name alone")
    topology = replace(files.load(name), name=text, mixing=mixing)
    if "n" in options:
        check_size(topology, _number(options["n"], text))
    return check(topology, n)


def _number(value: str, text: str) -> int:
    if not value.isdecimal():
        raise BadInput(f"topology {text!r}: got {value!r} for n or seed, expected a whole number")
    return int(value)


def _factory(text: str, n: int | None) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The factory that `text` names and its options, `n` among them if the factory takes it."""
    if text.startswith(generators.PREFIX):
        make, options = generators.generator(text)
        fills = generators.takes_size(make)
    else:
        name = split_name(text)[0]
        if not name.endswith(".py") and name not in topologies.names():
            raise unknown("topology", name, known_topologies())
        name, options = topologies.parse(text)
        make, fills = topologies.factory(name), True
    parameters = inspect.signature(make).parameters
    for key in ("n", "seed"):  # text, if a user's factory does not annotate them
        if isinstance(options.get(key), str):
            options[key] = _number(options[key], text)
    if fills and n is not None and "n" in parameters and options.setdefault("n", n) != n:
        raise BadInput(f"topology {text!r} has {options['n']} nodes, but {n} were asked for: leave one of them out")
    _check_complete(text, parameters, options)
    if fills and options.get("n", 1) < 1:
        raise BadInput(f"topology {text!r}: a topology needs at least 1 node")
    return make, options


def _check_complete(text: str, parameters: Mapping[str, inspect.Parameter], options: Mapping[str, Any]) -> None:
    """Raises BadInput that names the options which have no default and no value."""
    several = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    needed = (k for k, p in parameters.items() if p.default is p.empty and p.kind not in several)
    missing = [k for k in needed if k not in options and k != "seed"]
    if missing:
        form = ",".join(f"{k}=8" if k == "n" else f"{k}=..." for k in missing)
        said = f"{text}{',' if ':' in text else ':'}{form}"
        raise BadInput(f"topology {text!r} needs {' and '.join(missing)}: write {said}")


def _drawn(
    text: str, make: Callable[..., Any], options: dict[str, Any], n: int | None, seed: int, mixing: str
) -> Topology:
    takes_seed = "seed" in inspect.signature(make).parameters
    for draw in _seeds(options.pop("seed", seed)) if takes_seed else (None,):
        graphs = _call(text, make, options if draw is None else {**options, "seed": draw})
        topology = replace(from_networkx(text, graphs), mixing=mixing)
        check_size(topology, n)
        if not takes_seed or is_connected(topology):
            return check(topology)
    raise BadInput(f"topology {text!r} with {topology.n} nodes: none of {TRIES} draws is connected; ask for more edges")


def _seeds(seed: int) -> Iterable[int]:
    """One seed per draw: `seed` first, so that a graph can be told to others as networkx and its seed."""
    yield seed
    draw = random.Random(f"{seed}:redraw")
    for _ in range(TRIES - 1):
        yield draw.getrandbits(32)


def _call(text: str, make: Callable[..., Any], options: dict[str, Any]) -> Any:
    try:
        return make(**options)
    except BadInput:
        raise
    except Exception as error:  # a user's factory, or networkx refusing the options
        if text.startswith(generators.PREFIX) or type(error).__module__.startswith("networkx"):
            raise generators.explain(text, error) from error
        file = Path(inspect.getsourcefile(make) or "?")
        said = " ".join(str(error).split())
        raise BadInput(f"topology {text!r}: {where_raised(error, file)}: {type(error).__name__}: {said}") from error
