"""The suites: grids that are installed with the package, from bench/suites of a source checkout."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from gossipnet.errors import unknown
from gossipnet.toml_file import read_text


def describe() -> dict[str, str]:
    """Name -> the first line of each suite, which says what it is."""
    return {name: text(name).partition("\n")[0].lstrip("# ") for name in sorted(_suites())}


def text(name: str) -> str:
    """The file of a suite. Raises BadInput that names the nearest."""
    if name not in _suites():
        raise unknown("suite", name, _suites())
    found: str = _suites()[name].read_text(encoding="utf-8")
    return found


def find(given: str) -> tuple[str, str]:
    """(name, text) of what `gossipnet bench` was given: a file, or the name of a suite. Raises BadInput."""
    path = Path(given)
    if path.suffix != ".toml" and not path.is_file():
        return given, text(given)
    return path.stem, read_text(path, f"the file of a grid, or a suite: {', '.join(_suites())}", "the file of a grid")


@cache
def _suites() -> dict[str, Any]:
    """Name -> its file: data of the installed package, or the folder of a source checkout."""
    try:
        folder: Any = files("gossipnet.suites")
    except ModuleNotFoundError:
        folder = Path(__file__).parents[2] / "bench" / "suites"
    found = folder.iterdir() if folder.is_dir() else ()
    return {f.name.removesuffix(".toml"): f for f in sorted(found, key=lambda f: f.name) if f.name.endswith(".toml")}
