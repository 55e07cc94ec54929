"""Regression on tables of numbers: California housing, and the user's own CSV files.

Features and target are scaled to mean 0 and variance 1 by the training samples, so that one learning rate suits all
tables; a loss of 1 is that of predicting the mean. The metrics are in the target's own units.
"""

import csv
import math
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gossipnet.data.files import Remote, folders, locate, own_file
from gossipnet.data.samples import Samples, one_in_five
from gossipnet.data.task import Task, task
from gossipnet.errors import BadInput, unknown

Numbers = NDArray[np.float64]
_HOUSING_COLUMNS = (
    "longitude",
    "latitude",
    "median age",
    "rooms",
    "bedrooms",
    "population",
    "households",
    "median income",
    "median house value",
)
_HOUSING_ARCHIVE = "cal_housing.tgz"
_HOUSING_FILE = "cal_housing.data"
_HOUSING_REMOTE = Remote(  # as in scikit-learn 1.9
    "https://ndownloader.figshare.com/files/5976036",
    "sha256:aaa5c9a6afe2225cc2aed2723682ae403280c4a3695a2ddda4ffb5d8215ea681",
)


@task("california-housing")
def california_housing() -> Task:
    """House values in 20,640 districts of California from 8 numbers each, in 100,000 dollars (Pace and Barry 1997)."""
    rows = _read_housing()
    longitude, latitude, age, rooms, bedrooms, population, households, income, value = rows.T
    columns = [income, age, rooms / households, bedrooms / households, population, population / households]
    return regression("california-housing", np.column_stack([*columns, latitude, longitude]), value / 1e5)


@task("table")
def table(path: str = "", target: str = "", group: str = "") -> Task:
    """Regression on your own numbers: table:path=FILE.csv,target=COLUMN; one fifth of the rows is for testing.

    The column `group` is no feature: it says what a row belongs to, as any text, for the partition `column`.
    """
    if not path or not target:
        raise BadInput("task 'table' needs a file and the column to predict: write table:path=FILE.csv,target=COLUMN")
    file = own_file(path)
    with open(file, encoding="utf-8-sig", newline="") as lines:
        names, rows, groups = read_table(lines, file, group)
    if target not in names:
        raise unknown(f"column of {path} called", target, names)
    others = [i for i, name in enumerate(names) if name not in (target, group)]
    if not others or len(rows) < 2:
        raise BadInput(f"{file}: has {len(rows)} rows and {len(others)} columns of features, expected two and one")
    return regression("table", rows[:, others], rows[:, names.index(target)], groups)


def regression(name: str, features: Numbers, target: Numbers, groups: list[str] | None = None) -> Task:
    """A task with the squared error as loss: features (n, f), target (n,), one fifth of the rows for testing."""
    testing = one_in_five(np.zeros(len(target)))
    inputs, _ = _standardized(features, testing)
    wanted, unit = _standardized(target[:, None], testing)
    return Task(
        name=name,
        train=Samples(
            inputs[~testing], wanted[~testing], groups=None if groups is None else np.array(groups)[~testing]
        ),
        test=Samples(inputs[testing], wanted[testing]),
        inputs=(inputs.shape[1],),
        outputs=1,
        model="mlp",
        loss=squared_loss,
        metrics={
            "squared_error": partial(squared_error, unit=float(unit[0])),
            "absolute_error": partial(absolute_error, unit=float(unit[0])),
        },
    )


def squared_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean over the batch; outputs and targets (B, 1)."""
    return functional.mse_loss(outputs, targets)


def squared_error(outputs: Tensor, targets: Tensor, unit: float) -> Tensor:
    """(B,); `unit` is what a difference of 1 in outputs and targets (B, 1) stands for."""
    return ((outputs - targets) * unit).square().squeeze(-1)


def absolute_error(outputs: Tensor, targets: Tensor, unit: float) -> Tensor:
    """(B,), as `squared_error`."""
    return ((outputs - targets) * unit).abs().squeeze(-1)


def read_table(lines: Iterable[str], file: Path, group: str = "") -> tuple[list[str], Numbers, list[str] | None]:
    """Column names and rows (n, columns) of comma-separated numbers under a line of names. Raises BadInput.

    The cells of the column `group` may be any text; they are given apart, and are 0 among the numbers.
    """
    reader = csv.reader(lines)
    names = [name.strip() for name in next(reader, [])]
    if not group:
        return names, _numbers(reader, names, file), None
    if group not in names:
        raise unknown(f"column of {file} called", group, names)
    at, groups = names.index(group), list[str]()

    def without() -> Iterator[list[str]]:
        for row in filter(None, reader):
            groups.append(row[at].strip() if len(row) > at else "")
            yield [*row[:at], "0", *row[at + 1 :]] if len(row) > at else row

    return names, _numbers(without(), names, file), groups


def _numbers(reader: Iterable[list[str]], names: Sequence[str], file: Path) -> Numbers:
    rows: list[list[float]] = []
    for row in filter(None, reader):
        if len(row) != len(names):
            raise BadInput(f"{file}: row {len(rows) + 1} has {len(row)} columns, expected {len(names)}")
        rows.append([_number(cell, name, len(rows) + 1, file) for cell, name in zip(row, names, strict=True)])
    if not rows:
        raise BadInput(f"{file}: has no rows of numbers")
    return np.array(rows)


def _number(cell: str, column: str, row: int, file: Path) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadInput(f"{file}: row {row}, column {column!r}: got {cell!r}, expected a number")
    return number


def _standardized(columns: Numbers, testing: NDArray[np.bool_]) -> tuple[NDArray[np.float32], Numbers]:
    """Columns with mean 0 and variance 1 over the training rows, and the standard deviations (1 for a constant)."""
    mean, deviation = columns[~testing].mean(0), columns[~testing].std(0)
    deviation = np.where(deviation > 1e-9 * np.abs(mean), deviation, 1.0)
    return ((columns - mean) / deviation).astype(np.float32), deviation


def _read_housing() -> Numbers:
    for folder in folders():
        file = folder / "california-housing" / _HOUSING_FILE
        if file.is_file():
            return _housing_rows(file.read_text("ascii", "replace"), file)
    file = locate("california-housing", [_HOUSING_ARCHIVE], _HOUSING_REMOTE)
    try:
        with tarfile.open(file, "r:gz") as archive:
            stream = archive.extractfile(f"CaliforniaHousing/{_HOUSING_FILE}")
            content = stream.read().decode("ascii", "replace") if stream else ""
    except (OSError, EOFError, KeyError, tarfile.TarError, zlib.error) as error:
        raise BadInput(f"{file}: cannot be read ({error}): expected {_HOUSING_ARCHIVE}; get the file again") from error
    return _housing_rows(content, file)


def _housing_rows(content: str, file: Path) -> Numbers:
    rows = _numbers(csv.reader(content.splitlines()), _HOUSING_COLUMNS, file)
    if (rows[:, 6] <= 0).any():
        raise BadInput(f"{file}: a district without households: expected {_HOUSING_FILE} as it is published")
    return rows
