"""One cell: its run in a folder of its own, and what the tables need of it, distilled into cell.json.

A folder with a cell.json is a cell that is over: finished, or failed with its reason. A run that was cut short has
none, and is begun again.
"""

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gossipnet.config import Experiment
from gossipnet.report.curves import ALL, Curve, over_nodes, over_swarm, variance_kept
from gossipnet.report.metrics import plain
from gossipnet.report.run import Run, load_run

CELL = "cell.json"
FIGURES = (
    "mean_accuracy",
    "min_accuracy",
    "std_accuracy",
    "mean_model_accuracy",
    "consensus_distance",
    "spectral_gap",
    "bytes_sent",
    "bytes_per_node_round",
    "messages_sent",
    "virtual_s",
    "wall_s",
    "node_updates",
    "node_updates_per_s",
)  # of the summary


@dataclass(frozen=True)
class Outcome:
    """What a cell came to. `curve`: columns of equal length, one entry per evaluated round, None where unknown."""

    error: str | None = None
    figures: dict[str, float | None] = field(default_factory=dict)
    curve: dict[str, list[float | None]] = field(default_factory=dict)
    left: int = 0  # nodes that did not finish

    def write(self, folder: Path) -> None:
        """In one step: a reader finds all of it or nothing."""
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{CELL}.part"
        part.write_text(json.dumps(plain(asdict(self)), allow_nan=False) + "\n", encoding="utf-8")
        part.replace(folder / CELL)

    @classmethod
    def read(cls, folder: Path) -> "Outcome | None":
        """None if the cell is not over, or its file is not what `write` writes."""
        try:
            held = json.loads((folder / CELL).read_text(encoding="utf-8"))
            return cls(**held)
        except (OSError, ValueError, TypeError):
            return None


def run_cell(world: str, baseline: str, experiment: Experiment, folder: Path, view: Any = None) -> Outcome:
    """Run a cell into `folder`, in place of an unfinished run there, and write its cell.json. Models are not kept.

    Raises what the run raises, and then writes no cell.json.
    """
    from gossipnet.experiment import run
    from gossipnet.run_folder import claim

    (folder / CELL).unlink(missing_ok=True)
    if baseline:
        from gossipnet.grid.baseline import run_baseline

        claim(folder, True, experiment.to_toml())
        run_baseline(baseline, experiment, folder, view)
    else:
        run(experiment, world, folder, overwrite=True, view=view)
    outcome = distill(load_run(folder))
    for model in folder.glob("nodes/*/model.safetensors"):
        model.unlink()
    if world == "sim":  # a live node leaves its log there
        shutil.rmtree(folder / "nodes", ignore_errors=True)
    outcome.write(folder)
    return outcome


def fail_cell(folder: Path, error: str) -> Outcome:
    """Write down that a cell failed, and why, in one line."""
    outcome = Outcome(error=" ".join(error.split())[:500] or "for no known reason")
    outcome.write(folder)
    return outcome


def distill(run: Run) -> Outcome:
    """The figures and curves of a finished run that tables and page are made of."""
    figures: dict[str, float | None] = {name: getattr(run.summary, name) for name in FIGURES}
    losses = run.final_metrics
    figures["test_loss"] = losses.get("test loss")
    kept = variance_kept(run.metrics)
    figures["variance_kept"] = kept.last if kept is not None else None
    return Outcome(None, figures, _curves(run), len(run.summary.left))


def _curves(run: Run) -> dict[str, list[float | None]]:
    accuracy = over_nodes(run, "evaluated", "accuracy", most=ALL)
    loss = over_nodes(run, "evaluated", "loss", np.max, ALL)
    score = accuracy or loss
    if score is None:
        return {}
    found: dict[str, Any] = {"round": score.x}
    if accuracy is not None:
        found |= {"accuracy": accuracy.mean, "worst_accuracy": accuracy.worst}
    if loss is not None:
        found["loss"] = _at(loss, score.x)
    for name, column in (("time_s", ("evaluated", "time_s")), ("bytes_sent", ("merged", "bytes_sent"))):
        curve = over_nodes(run, *column, most=ALL)
        found[name] = _at(curve, score.x) if curve is not None else None
    swarm = {
        "consensus_distance": over_swarm(run.metrics, "consensus_distance", ALL),
        "variance_kept": variance_kept(run.metrics, ALL),
        "variance_ratio": over_nodes(run, "merged", "variance_ratio", most=ALL),
    }
    for name, curve in swarm.items():
        found[name] = _at(curve, score.x) if curve is not None else None
    return {name: _numbers(values, len(score.x)) for name, values in found.items()}


def _at(curve: Curve, rounds: Any) -> list[float | None]:
    """The curve's mean at those rounds, exactly; None where it has no point."""
    known = dict(zip(curve.x.tolist(), curve.mean.tolist(), strict=True))
    return [known.get(round) for round in rounds.tolist()]


def _numbers(values: Any, count: int) -> list[float | None]:
    if values is None:
        return [None] * count
    return [None if v is None or not np.isfinite(v) else float(v) for v in values]
