"""Named factories, made from text: `"trimmed-mean:trim=2"` is a name and its options.

A registry maps a name to a factory, which is a plain function; its annotated parameters are the options. Three
sources feed it: decorators in this package, decorators in a user's file (`"my_rules.py:median:window=3"`), and
entry points of installed packages (group `gossipnet.<registry>`), loaded the first time a name is missing.
"""

import hashlib
import importlib.util
import inspect
import math
import sys
import types
import typing
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from gossipnet.errors import BadInput, unknown

T = TypeVar("T")
Factory = TypeVar("Factory", bound=Callable[..., Any])
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


class Registry(Generic[T]):
    """Factories of one kind of thing. `kind` is how messages call it; `group` names its entry points."""

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
        self._factories: dict[str, Callable[..., Any]] = {}
        self._entry_points_loaded = False

    def register(self, name: str) -> Callable[[Factory], Factory]:
        """Decorate a factory; the first line of its docstring is its description in `gossipnet list`.

        Registering a name again replaces it, so that a notebook cell can be run twice.
        """
        if not name or any(c in name for c in ":,= "):
            raise BadInput(f"a {self.kind} cannot be named {name!r}: use letters, digits and dashes")

        def keep(factory: Factory) -> Factory:
            self._factories[name] = factory
            return factory

        return keep

    def names(self) -> list[str]:
        self._load_entry_points()
        return sorted(self._factories)

    def describe(self) -> dict[str, str]:
        """Name -> the first line of the factory's docstring."""
        return {n: (inspect.getdoc(self._factories[n]) or "").partition("\n")[0] for n in self.names()}

    def factory(self, name: str) -> Callable[..., Any]:
        """The factory of that name. Raises BadInput that names the closest one."""
        if name not in self._factories:
            self._load_entry_points()
        if name not in self._factories:
            raise unknown(self.kind, name, self._factories)
        return self._factories[name]

    def is_installed(self, name: str) -> bool:
        """Whether every process finds that name: it is of this package, or of an entry point."""
        from importlib.metadata import entry_points

        own = self.factory(name).__module__.partition(".")[0] == "gossipnet"
        return own or any(point.name == name for point in entry_points(group=f"gossipnet.{self.group}"))

    def make(self, text: str, **given: Any) -> Any:
        """Make what `text` describes. `given` fills the parameters that the program knows; the text wins over it.

        Raises BadInput for an unknown name or option, or a value of the wrong type.
        """
        name, options = self.parse(text)
        factory = self.factory(name)
        allowed = inspect.signature(factory).parameters
        options = {k: v for k, v in given.items() if k in allowed} | options
        for key, parameter in allowed.items():
            if key not in options and parameter.default is parameter.empty and parameter.kind not in _VARIADIC:
                raise BadInput(f"{self.kind} {name!r} needs its option {key!r}: write {name}:{key}=VALUE")
        return factory(**options)

    def parse(self, text: str) -> tuple[str, dict[str, Any]]:
        """Split `"name:key=value,key=value"` and convert the values by the factory's annotations."""
        name, rest = split_name(self._import_file(text))
        return name, self._convert(name, split_options(rest, f"{self.kind} {text!r}"))

    def absolute(self, text: str) -> str:
        """The same text with the path of a `file.py:` prefix made absolute, so that it works from any folder."""
        head, colon, rest = text.partition(":")
        return f"{Path(head).resolve()}{colon}{rest}" if head.endswith(".py") else text

    def _convert(self, name: str, options: Mapping[str, str]) -> dict[str, Any]:
        factory = self.factory(name)
        if not options:
            return {}
        parameters = {k: p for k, p in inspect.signature(factory).parameters.items() if p.kind not in _VARIADIC}
        hints = typing.get_type_hints(factory)
        for key in options:
            if key not in parameters:
                raise unknown(f"option of {self.kind} {name!r} called", key, parameters)
        return {k: convert(v, hints.get(k, str), f"{self.kind} {name!r}, option {k!r}") for k, v in options.items()}

    def _import_file(self, text: str) -> str:
        """Import the user's file of `"file.py:name..."`, whose decorators register names, and return `"name..."`."""
        path, _, rest = text.partition(":")
        if not path.endswith(".py"):
            return text
        if not rest:
            raise BadInput(f"{text!r} names no {self.kind}: write {path}:NAME")
        import_file(path)
        return rest

    def _load_entry_points(self) -> None:
        if self._entry_points_loaded:
            return
        self._entry_points_loaded = True
        from importlib.metadata import entry_points

        for point in entry_points(group=f"gossipnet.{self.group}"):
            try:
                loaded = point.load()
            except Exception as error:  # somebody else's package: say so and go on
                warnings.warn(f"plug-in {point.value} ({self.kind} {point.name!r}) is broken: {error}", stacklevel=2)
                continue
            self._factories.setdefault(point.name, loaded)


class _DecoratingModule(types.ModuleType):
    def __call__(self, name: str) -> Callable[[Factory], Factory]:
        register: Callable[[str], Callable[[Factory], Factory]] = self.__dict__["_register"]
        return register(name)


def also_decorator(module: str, registry: Registry[Any]) -> None:
    """Make `module` callable as the decorator of the same name: `gossipnet.topology` is a package, and
    `@gossipnet.topology("name")` registers a topology. An attribute of the package could be only one of the two."""
    found = sys.modules[module]
    found.__dict__["_register"] = registry.register
    found.__class__ = _DecoratingModule


def split_name(text: str) -> tuple[str, str]:
    """`"name:rest"` -> `("name", "rest")`."""
    name, _, rest = text.strip().partition(":")
    return name.strip(), rest.strip()


def split_options(rest: str, where: str) -> dict[str, str]:
    """`"a=1,b=2"` -> `{"a": "1", "b": "2"}`. Raises BadInput."""
    options: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in rest.split(","))):
        key, equals, value = (p.strip() for p in part.partition("="))
        if not (key and equals and value):
            raise BadInput(f"{where}: {part!r} is no option; write name:key=value,key=value")
        if key in options:
            raise BadInput(f"{where}: option {key!r} is given twice")
        options[key] = value
    return options


def convert(value: str, to: Any, where: str) -> Any:
    """Text to a bool, int, float or str (or one of a union of these). Raises BadInput; nan and inf are refused."""
    origin = typing.get_origin(to)
    choices = typing.get_args(to) if origin in (typing.Union, types.UnionType) else (to,)
    for choice in choices:
        if choice is type(None) and value.lower() == "none":
            return None
        try:
            if choice is bool:
                return _WORDS[value.lower()]
            if choice is float:
                number = float(value)
                if math.isfinite(number):
                    return number
            elif choice is int:
                return int(value)
            elif choice is str:
                return value
        except (ValueError, KeyError):
            continue
    expected = " or ".join(getattr(c, "__name__", str(c)) for c in choices)
    raise BadInput(f"{where}: got {value!r}, expected {expected}")


def import_file(path: str) -> types.ModuleType:
    """Import a user's Python file by path, once per process. Raises BadInput with the file and line at fault."""
    file = Path(path).resolve()
    # a/b.py and a_b.py are two modules, whatever their names have in common
    name = f"gossipnet_user_{file.stem}_{hashlib.blake2b(str(file).encode(), digest_size=8).hexdigest()}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise BadInput(f"no file {path!r}: expected a Python file that registers the name")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise BadInput(f"{where_raised(error, file)}: {type(error).__name__}: {error}".replace("\n", " ")) from error
    return module


def where_raised(error: BaseException, file: Path) -> str:
    """`file:line` of the innermost frame of `error` that lies in `file`."""
    line, frame = 0, error.__traceback__
    while frame is not None:
        if Path(frame.tb_frame.f_code.co_filename) == file:
            line = frame.tb_lineno
        frame = frame.tb_next
    if isinstance(error, SyntaxError) and error.lineno and Path(error.filename or "") == file:
        line = error.lineno
    return f"{file}:{line}" if line else str(file)
