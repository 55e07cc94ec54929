"""Runs of one experiment by two engines of the simulator, and how far apart they end."""

import json
from pathlib import Path
from typing import Any

import gossipnet
from gossipnet import Experiment
from gossipnet.model import bind

Line = dict[str, Any]


def reports(folder: Path) -> list[Line]:
    """The lines of metrics.jsonl; those of one instant in an order of their own."""
    lines: list[Line] = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return sorted(lines, key=lambda li: (li["time_s"], -1 if li["node"] is None else li["node"], li["event"]))


def numbers_of(line: Line) -> dict[str, float]:
    flat = {k: v for k, v in line.items() if isinstance(v, int | float)}
    nested = {f"{k}.{name}": v for k, d in line.items() if isinstance(d, dict) for name, v in d.items()}
    return flat | {name: v for name, v in nested.items() if isinstance(v, int | float)}


def distance(experiment: Experiment, engine: str, folder: Path) -> float:
    """The largest relative distance of a node's final models by `loop` and by `engine`; reports must agree, too."""
    runs = [gossipnet.run(experiment.replace(train=name), "sim", folder / name) for name in ("loop", engine)]
    one, other = (reports(run.folder) for run in runs)
    assert [li.keys() for li in one] == [li.keys() for li in other]
    for line, same in zip(one, other, strict=True):
        for name, value in numbers_of(line).items():
            allowed = 1e-3 * abs(value) + 1e-5
            assert abs(numbers_of(same)[name] - value) <= allowed, (name, line, same)
    pairs = [[bind(run.model(node)) for run in runs] for node in range(experiment.nodes)]
    return max(float((a - b).norm() / a.norm()) for a, b in pairs)
