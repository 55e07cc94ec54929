"""The tidy tables of a grid: results.csv with a line per cell, curves.csv with one per cell and round, results.json."""

import csv
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gossipnet.grid.axes import text_of
from gossipnet.grid.cell import Outcome
from gossipnet.grid.plan import Cell, Grid
from gossipnet.report.metrics import plain
from gossipnet.report.summary import THRESHOLDS

SAID = ("topology", "mixing", "merge", "partition", "init", "nodes", "seed", "task", "model", "rounds", "local_steps")
OF_GOSSIP = ("topology", "mixing", "merge")  # of a baseline they say nothing
TABLES = ("results.csv", "curves.csv", "results.json")


@dataclass(frozen=True)
class Record:
    """A cell and what it came to; None while it is not over."""

    cell: Cell
    outcome: Outcome | None

    @property
    def finished(self) -> bool:
        return self.outcome is not None and self.outcome.error is None


def records(cells: Sequence[Cell], found: Mapping[str, Outcome]) -> list[Record]:
    return [Record(cell, found.get(cell.key)) for cell in cells]


def reached(outcome: Outcome, accuracy: float) -> int | None:
    """The index of the first evaluation whose mean accuracy is at least that, None if none is."""
    values = outcome.curve.get("accuracy", [])
    # A mean of shares k/n may fall short of the threshold by rounding alone.
    return next((i for i, v in enumerate(values) if v is not None and v >= accuracy - 1e-9), None)


def reached_at(outcome: Outcome, accuracy: float, what: str) -> float | None:
    """`round`, `time_s` or `bytes_sent` (per node) when the mean accuracy is first reached; None if it never is."""
    i = reached(outcome, accuracy)
    values = outcome.curve.get(what, [])
    return values[i] if i is not None and i < len(values) else None


def row(record: Record) -> dict[str, Any]:
    """One cell as a flat line: where it stands, what was said of it, its figures. What does not apply is None."""
    cell, outcome = record.cell, record.outcome or Outcome()
    said = {name: getattr(cell.experiment, name) for name in SAID}
    if cell.baseline:
        said |= dict.fromkeys(OF_GOSSIP)
    more = {axis: label for axis, label in cell.place.items() if axis not in said}
    status = "unfinished" if record.outcome is None else "failed" if outcome.error is not None else "finished"
    left = outcome.left if record.finished else None
    to = {f"rounds_to_{t:.2f}": reached_at(outcome, t, "round") for t in THRESHOLDS}
    figures = {name: outcome.figures.get(name) for name in _figure_names()}
    where = {"part": cell.part, "baseline": cell.baseline or None, **said, **more, "world": cell.world}
    return {**where, "cell": cell.key, "status": status, "error": outcome.error, "left": left, **figures, **to}


def _figure_names() -> tuple[str, ...]:
    from gossipnet.grid.cell import FIGURES

    return (*FIGURES, "test_loss", "variance_kept")


def curve_rows(record: Record) -> list[dict[str, Any]]:
    """One line per evaluated round of a cell."""
    curve = record.outcome.curve if record.outcome else {}
    where = {"part": record.cell.part, "cell": record.cell.key, "seed": record.cell.experiment.seed}
    return [{**where, **{k: v[i] for k, v in curve.items()}} for i in range(len(curve.get("round", ())))]


def write_tables(folder: Path, grid: Grid, held: Sequence[Record]) -> dict[str, Any]:
    """Write TABLES into `folder`, and return what is in results.json."""
    rows = [row(record) for record in held]
    _write_csv(folder / "results.csv", rows)
    runs = {(record.cell.part, record.cell.key): record for record in held}  # two cells of a part may be one run
    _write_csv(folder / "curves.csv", [line for record in runs.values() for line in curve_rows(record)])
    content = results(grid, held, rows)
    (folder / "results.json").write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return content


def results(grid: Grid, held: Sequence[Record], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is in results.json: the settings with means over seeds, then every cell."""
    from gossipnet.grid.compare import settings

    content = {
        "grid": grid.name,
        "machine": machine(),
        "cells": len(held),
        "finished": sum(r.finished for r in held),
        "failed": sum(r.outcome is not None and not r.finished for r in held),
        "settings": [setting.to_dict() for part in grid.parts for setting in settings(part.name, held)],
        "results": rows,
    }
    return dict(plain(content))  # type: ignore[call-overload, no-any-return]


def machine() -> dict[str, Any]:
    """The machine in words: nothing that says whose it is."""
    import torch

    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(pages / 1e9),
        "processor": platform.machine(),
        "system": platform.system(),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _write_csv(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    names = list(dict.fromkeys(name for line in rows for name in line))
    with file.open("w", newline="", encoding="utf-8", errors="replace") as out:
        writer = csv.writer(out)
        writer.writerow(names)
        writer.writerows([_text(line.get(name)) for name in names] for line in rows)


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.10g}" if isinstance(value, float) else text_of(value)
