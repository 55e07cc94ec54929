"""`bench`: a grid from its file to its tables and page."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gossipnet.grid import suites
from gossipnet.grid.check import check_cells
from gossipnet.grid.compare import panels, settings
from gossipnet.grid.file import read_grid
from gossipnet.grid.page import page
from gossipnet.grid.plan import Cell, Grid, cells_of
from gossipnet.grid.records import Record, records, write_tables
from gossipnet.grid.run import GRID, View, check_folder, claim_folder, outcomes, run_cells
from gossipnet.grid.tables import text_table


@dataclass(frozen=True)
class Bench:
    """A grid that has run, as far as it has. `content` is what is in results.json."""

    folder: Path
    grid: Grid
    records: list[Record]
    content: dict[str, Any]
    interrupted: bool

    @property
    def failed(self) -> int:
        return sum(r.outcome is not None and not r.finished for r in self.records)

    def __str__(self) -> str:
        """The table that the command line prints."""
        parts = []
        for part in self.grid.parts:
            held = settings(part.name, self.records)
            parts.append((part.name, held, panels(held)))
        return text_table(parts)


def bench(
    grid: Grid,
    text: str,
    folder: Path,
    view: View,
    jobs: int,
    resume: bool = False,
    overwrite: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> Bench:
    """Run the grid whose file is `text` into `folder`, and write its tables and report.html, also after Ctrl-C.

    Raises BadInput before any cell runs.
    """
    cells = cells_of(grid)
    check_folder(folder, resume, overwrite)
    check_cells(cells)
    changed = claim_folder(folder, text, resume)
    if changed:
        tell(_what_changed(folder, cells))
    finished = run_cells(folder, cells, jobs, view)
    held = records(cells, outcomes(folder, cells))
    content = write_tables(folder, grid, held)
    (folder / "report.html").write_bytes(page(grid, held).encode("utf-8", errors="replace"))
    return Bench(folder, grid, held, content, not finished)


def _what_changed(folder: Path, cells: list[Cell]) -> str:
    """The grid is not what it was when the folder was made."""
    keys = {cell.key for cell in cells}
    there = {f.name for f in (folder / "cells").iterdir()} if (folder / "cells").is_dir() else set()
    kept, gone = len(keys & there), len(there - keys)
    return (
        f"the grid has changed: {kept} of its cells are here already, {len(keys - there)} are new; "
        f"{gone} of the folder's are no longer in it, stay there and are in no table"
    )


def saved(folder: Path) -> tuple[str, str]:
    """(name, text) of the grid that ran in `folder`. Raises BadInput."""
    check_folder(folder, resume=True, overwrite=False)
    try:
        name = json.loads((folder / "results.json").read_text(encoding="utf-8"))["grid"]
    except (OSError, ValueError, TypeError, KeyError):  # it was killed before it could write any
        name = folder.resolve().name
    return str(name), suites.find(str(folder / GRID))[1]


def load(file: str | None, name: str, text: str, world: str | None = None) -> Grid:
    """The grid of a file or suite, with its cells in another world if one is given. Raises BadInput."""
    grid = read_grid(Path(file)) if file and Path(file).is_file() else read_grid(text, name)
    if world is None:
        return grid
    return replace(grid, parts=tuple(replace(part, world=world) for part in grid.parts))


def print_cells(grid: Grid) -> str:
    """Every cell of a grid, checked, a line each, and how many there are. Raises BadInput."""
    cells = cells_of(grid)
    check_cells(cells)
    distinct = len({cell.key for cell in cells})
    steps = sum({cell.key: cell.work for cell in cells}.values())
    lines = [f"{cell.part}: {cell}" for cell in cells]
    return "\n".join([*lines, f"{len(cells)} cells, {distinct} of them different, {steps:,} local steps"])
