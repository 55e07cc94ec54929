"""Factories that users write: registered ones, and plain functions named `"file.py:function"` or `"module:function"`.

Whatever goes wrong in a user's code becomes a BadInput of one line that names the file and line at fault.
"""

import importlib
import importlib.util
import inspect
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gossipnet.errors import BadInput, unknown
from gossipnet.registry import Registry, convert, import_file, split_name, split_options, where_raised


@dataclass(frozen=True)
class Made:
    """What a factory made, and whose factory it was: `file:line` of its definition, empty for one of ours."""

    value: Any
    where: str


def make(registry: Registry[Any], text: str, **given: Any) -> Made:
    """What `text` describes: a name in the registry, or a function of the user's file or module; with its options.

    `given` fills the parameters that the program knows, as in `Registry.make`. Raises BadInput.
    """
    factory, options = find(registry, text)
    parameters = inspect.signature(factory).parameters
    arguments = {k: v for k, v in given.items() if k in parameters} | options
    if getattr(factory, "__module__", "").partition(".")[0] == "gossipnet":
        return Made(factory(**arguments), "")
    where = place(factory)
    missing = [k for k, p in parameters.items() if k not in arguments and _required(p)]
    if missing:
        raise BadInput(f"{where}: {factory.__name__} needs {missing[0]!r}: write {text}:{missing[0]}=VALUE")
    try:
        return Made(factory(**arguments), where)
    except Exception as error:
        raise at_fault(error, factory) from error


def place(function: Callable[..., Any]) -> str:
    """`file:line` where a function is defined."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{Path(code.co_filename).resolve()}:{code.co_firstlineno}" if code else repr(function)


def at_fault(error: Exception, function: Callable[..., Any]) -> BadInput:
    """A BadInput of one line that says where in the file of `function` the error came from."""
    file = Path(place(function).rpartition(":")[0])
    name = "" if isinstance(error, BadInput) else f"{type(error).__name__}: "
    return BadInput(f"{where_raised(error, file)}: {name}{' '.join(str(error).split())}")


def said(error: Exception) -> str:
    """One line: what was raised, and in which line of whose file, if not in ours, Python's or an installed one."""
    installed = Path(str(importlib.util.find_spec("torch").origin)).parents[1]  # type: ignore[union-attr]
    others = (installed, Path(__file__).parents[1], Path(traceback.__file__).parent)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_absolute()]
    own = [f for f in frames if not any(Path(f.filename).is_relative_to(folder) for folder in others)]
    place = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300] + place


def find(registry: Registry[Any], text: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The factory that `text` names and its options, as `Registry.parse`, users' functions included. Raises BadInput.

    Imports the user's file or module and calls nothing in it.
    """
    head, rest = split_name(text)
    if head.endswith(".py"):
        if not rest:
            raise BadInput(f"{text!r} names no {registry.kind}: write {head}:NAME")
        return _in_module(registry, import_file(head), rest)
    if rest and head not in registry.names() and _is_module(head):
        return _in_module(registry, _import(head), rest)
    factory = registry.factory(head)  # an unknown name is the first thing to complain about
    return factory, registry.parse(text)[1]


def _in_module(registry: Registry[Any], module: Any, text: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The factory that `text` names, defined in the module or registered by it, and its options."""
    name, rest = split_name(text)
    function = getattr(module, name, None)
    if function is None and name in registry.names():
        return registry.factory(name), registry.parse(text)[1]
    if not callable(function):
        raise BadInput(f"{module.__file__}: no {registry.kind} and no function {name!r} in it")
    parameters = inspect.signature(function, eval_str=True).parameters
    options = {}
    for key, value in split_options(rest, f"{registry.kind} {text!r}").items():
        if key not in parameters:
            raise unknown(f"option of {registry.kind} {name!r} called", key, parameters)
        expected = str if parameters[key].annotation is inspect.Parameter.empty else parameters[key].annotation
        options[key] = convert(value, expected, f"{registry.kind} {name!r}, option {key!r}")
    return function, options


def _is_module(name: str) -> bool:
    try:
        return all(part.isidentifier() for part in name.split(".")) and importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:
        spec = importlib.util.find_spec(name)
        where = where_raised(error, Path(spec.origin)) if spec and spec.origin else name
        raise BadInput(f"{where}: {type(error).__name__}: {' '.join(str(error).split())}") from error


def _required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind not in (
        parameter.VAR_POSITIONAL,
        parameter.VAR_KEYWORD,
    )
