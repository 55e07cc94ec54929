"""metrics.jsonl: what a run reported, one JSON object a line, written while it runs and read as columns.

Every line has `time_s`, `node` (null for the whole swarm), `event` and `round`, then the event's own numbers.
A run may be killed while it writes, so a last line that is cut short is no error; one in the middle is.
"""

import csv
import json
import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossipnet.errors import BadInput

Floats = NDArray[np.float64]
NAN = math.nan
COMMON = ("time_s", "node", "event", "round")
_ENCODER = json.JSONEncoder(allow_nan=False)


class Recorder:
    """Appends objects to a metrics.jsonl, each flushed before `write` returns. One writer a file.

    A file that an earlier run left with half a last line is cut back to whole lines first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _cut_torn_line(path)
        self._file = path.open("ab")

    def write(self, record: Mapping[str, object]) -> None:
        """One line of strict JSON: nan and inf become null, numpy and torch scalars plain numbers."""
        try:
            line = _ENCODER.encode(record)
        except (TypeError, ValueError):  # what json does not write strictly by itself
            line = _ENCODER.encode(plain(record))
        self._file.write(line.encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Metrics:
    """Reports as columns, one table per event. Numbers that are null or absent are nan.

    A nested object becomes one column per entry: `{"variance_ratios": {"0.weight": 1}}` is the column
    `variance_ratios/0.weight`.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        self._tables: dict[str, _Table] = {}
        self._length = 0
        for record in records:
            event = str(record["event"])
            self._tables.setdefault(event, _Table()).append(self._length, record)
            self._length += 1

    @classmethod
    def from_file(cls, path: Path) -> "Metrics":
        """Raises BadInput with the number of a broken line, unless it is the last one."""
        return cls(read_lines(path))

    def __len__(self) -> int:
        return self._length

    @property
    def events(self) -> list[str]:
        return sorted(self._tables)

    def names(self, event: str) -> list[str]:
        """The columns of numbers that this event has, in order of appearance, without time_s, node and round."""
        table = self._tables.get(event)
        return [n for n in table.numbers if n not in COMMON] if table else []

    def column(self, event: str, name: str) -> Floats:
        """(reports of this event,) float64, nan where the report has no such number."""
        table = self._tables.get(event)
        return table.column(name) if table else np.empty(0)

    def text(self, event: str, name: str) -> list[str]:
        """(reports of this event,) text, "" where the report has none."""
        table = self._tables.get(event)
        return table.text(name) if table else []

    @property
    def nodes(self) -> list[int]:
        """The nodes that reported anything, sorted."""
        seen: set[float] = set()
        for event in self._tables:
            seen.update(np.unique(self.column(event, "node")).tolist())
        return sorted(int(n) for n in seen if not math.isnan(n))

    @property
    def last_round(self) -> int:
        """The highest round that was reported, 0 if none was."""
        return int(self._largest("round"))

    @property
    def last_time_s(self) -> float:
        return self._largest("time_s")

    def _largest(self, name: str) -> float:
        columns = [self.column(event, name) for event in self._tables]
        return max((float(np.nanmax(c)) for c in columns if np.isfinite(c).any()), default=0.0)

    @property
    def headings(self) -> list[str]:
        """The columns of a table of all reports: time_s, node, event and round, then numbers and texts as they came."""
        names = dict.fromkeys(n for t in self._tables.values() for n in (*t.numbers, *t.texts))
        return [*COMMON, *(n for n in names if n not in COMMON)]

    def rows(self, names: Sequence[str]) -> Iterator[list[str]]:
        """All reports in the order of the file as cells of these columns, "" where a report has none."""
        lines = sorted((line, event, i) for event, t in self._tables.items() for i, line in enumerate(t.lines))
        for _, event, i in lines:
            yield [event if n == "event" else self._tables[event].cell(n, i) for n in names]

    def to_csv(self, path: Path) -> None:
        """All reports as a table, one line each."""
        write_csv(path, [("", self)])


def write_csv(path: Path, runs: Sequence[tuple[str, Metrics]]) -> None:
    """The reports of runs as one table, those of several with the run's name in a first column `run`."""
    names = list(dict.fromkeys(n for _, metrics in runs for n in metrics.headings))
    named = len(runs) > 1
    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        writer = csv.writer(file)
        writer.writerow(["run", *names] if named else names)
        for name, metrics in runs:
            writer.writerows([name, *row] if named else row for row in metrics.rows(names))


class _Column:
    """Numbers of some of a table's reports; of a column of one neighbor, that is few of them."""

    __slots__ = ("rows", "values")

    def __init__(self) -> None:
        self.rows = array("q")  # ascending
        self.values = array("d")

    def append(self, row: int, value: float) -> None:
        self.rows.append(row)
        self.values.append(value)

    def at(self, row: int) -> float:
        i = bisect_left(self.rows, row)
        return self.values[i] if i < len(self.rows) and self.rows[i] == row else NAN


class _Table:
    """The reports of one event. Columns hold what is there, and are padded on the way out: of ten thousand nodes each
    may have a column of its own."""

    def __init__(self) -> None:
        self.lines: list[int] = []
        self.numbers: dict[str, _Column] = {}
        self.texts: dict[str, dict[int, str]] = {}

    def append(self, line: int, record: Mapping[str, Any]) -> None:
        row = len(self.lines)
        self.lines.append(line)
        for name, value in flat(record):
            if isinstance(value, str):
                if name != "event":
                    self.texts.setdefault(name, {})[row] = value
                continue
            column = self.numbers.get(name)
            if column is None:
                column = self.numbers[name] = _Column()
            column.append(row, as_float(value))

    def column(self, name: str) -> Floats:
        values = np.full(len(self.lines), NAN)
        held = self.numbers.get(name)
        if held is not None:
            values[held.rows] = held.values
        return values

    def text(self, name: str) -> list[str]:
        held = self.texts.get(name, {})
        return [held.get(row, "") for row in range(len(self.lines))]

    def cell(self, name: str, row: int) -> str:
        column = self.numbers.get(name)
        value = NAN if column is None else column.at(row)
        return self.texts.get(name, {}).get(row, "") if math.isnan(value) else f"{value:.17g}"


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines file. Raises BadInput with the number of a broken line that is not the last."""
    try:
        lines = path.open("rb")
    except OSError as error:
        raise BadInput(f"cannot read {str(path)!r}: {error.strerror}; expected the metrics of a run") from error
    broken = 0
    with lines:
        for i, line in enumerate(lines, start=1):
            if broken:
                raise BadInput(f"{path}: line {broken} is no report; expected a JSON object with an event; delete it")
            record = _parse(line)
            if record is not None:
                yield record
            elif line.strip():
                broken = i


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("event"), str) else None


def flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values, those of nested objects as `outer/inner`; lists are left out."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}/")
        elif not isinstance(value, list):
            yield prefix + name, value


def as_float(value: float | None) -> float:
    """A number of JSON, numpy or torch; nan for what is none, or not finite."""
    try:
        number = NAN if value is None else float(value)
    except OverflowError:  # JSON integers have no bound
        return NAN
    return number if math.isfinite(number) else NAN


def plain(value: object) -> object:
    """What the json module writes strictly: text keys, finite numbers."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if not isinstance(value, str | int | float | None) and hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cut_torn_line(path: Path) -> None:
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("rb+") as file:
        held = file.read()
        if not held.endswith(b"\n"):
            file.truncate(held.rfind(b"\n") + 1)
