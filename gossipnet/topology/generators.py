"""Any generator of networkx by its name: `networkx.barbell_graph:m1=4,m2=2`."""

import difflib
import inspect
import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from gossipnet.errors import BadInput, unknown
from gossipnet.registry import split_name, split_options
from gossipnet.topology.convert import Graph

PREFIX = "networkx."
_LIST = "/"  # a list option: dim=3/4/5
_NOT_OPTIONS = {"create_using", "backend", "backend_kwargs"}
_NODES = re.compile(
    r"^n ?: .*\n\s+.*(number of (graph )?(nodes|vertices)|nodes are from|nodes are 0 to n)", re.M | re.I
)


def generator(text: str) -> tuple[Callable[..., Graph], dict[str, Any]]:
    """The generator that `text` names and its options, each read as a number, a list (1/2/3), a bool or a word.

    Raises BadInput for an unknown generator or option.
    """
    name, rest = split_name(text.removeprefix(PREFIX))
    known = _generators()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "expected such as barbell_graph"
        raise BadInput(f"no networkx generator {name!r}; {hint} (networkx has {len(known)})")
    parameters = [p for p in inspect.signature(known[name]).parameters if p not in _NOT_OPTIONS]
    options = split_options(rest, f"topology {text!r}")
    for key in options:
        if key not in parameters:
            raise unknown(f"option of {PREFIX}{name} called", key, parameters)
    values = {key: _value(value) for key, value in options.items()}
    star = next((k for k, p in inspect.signature(known[name]).parameters.items() if p.kind is p.VAR_POSITIONAL), None)
    if star not in values:
        return known[name], values
    several = values.pop(star)
    return partial(known[name], *(several if isinstance(several, list) else [several])), values


def takes_size(make: Callable[..., Graph]) -> bool:
    """Whether the generator's `n` is documented as the number of nodes, so that a swarm's size may fill it."""
    return "n" in inspect.signature(make).parameters and bool(_NODES.search(inspect.getdoc(make) or ""))


def _generators() -> dict[str, Callable[..., Graph]]:
    import networkx as nx

    found = ((name, getattr(nx, name)) for name in dir(nx) if not name.startswith("_"))
    return {name: f for name, f in found if _is_generator(f)}


def _is_generator(f: Any) -> bool:
    module = getattr(f, "__module__", None) or ""
    return callable(f) and module.startswith("networkx.") and ".generators" in module


def _value(text: str) -> Any:
    if _LIST in text:
        return [_value(part) for part in text.split(_LIST)]
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def explain(text: str, error: Exception) -> BadInput:
    """What networkx said, as one line."""
    return BadInput(f"topology {text!r}: networkx says: {' '.join(str(error).split()) or type(error).__name__}")
