"""The times of a live run, as keys of [network]: `gossipnet sim --like RUN` simulates a run with its own speeds.

All comes from the run's reports. A node's rounds consist of what it says itself: local steps (`train_s`), waiting
(`wait_s`), a merge (`merge_s`), an evaluation (from its `merged` to its `evaluated`). A model was sent when its local
steps were done, and came `held_s` before it was merged: between lies the link, for the nodes of a run share one clock.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gossipnet.codec import make_codec
from gossipnet.config import Experiment
from gossipnet.data.models import make_model
from gossipnet.data.task import make_task
from gossipnet.errors import BadInput
from gossipnet.model import ModelSpec
from gossipnet.report.metrics import Floats, Metrics
from gossipnet.report.run import load_run
from gossipnet.run_folder import CONFIG
from gossipnet.sim.presets import PRESET, PRESETS

LINK = ("latency_s", "jitter_s", "bandwidth_bytes_per_s")
_MACHINES = ("step_s", "spread", "merge_s", "evaluate_s", "start_s")
_NOT_LIVE = ("preset", *LINK, "drop_rate", "duplicate_rate", "reorder_rate", "speed", "churn", "cuts", "compute_s")
Times = dict[tuple[int, int], float]  # (node, round) -> seconds


def experiment_like(run: str | Path, **given: Any) -> Experiment:
    """The experiment of that live run, with the times of its nodes and links in place of [network]'s.

    `given` are fields that win: with `compute_s` or `speed` the nodes' own steps are left out, with `preset` their
    links. Raises BadInput if the run has not finished, was simulated, or is of another number of nodes.
    """
    folder = Path(run)
    metrics = _metrics_of_live(folder)
    experiment = Experiment.from_toml(folder / CONFIG)
    nodes = given.get("nodes", experiment.nodes)
    if nodes != experiment.nodes:
        raise BadInput(
            f"nodes: got {nodes}, but the run in {str(run)!r} has times of {experiment.nodes} nodes: leave it"
        )
    found = {name: getattr(Experiment(), name) for name in _NOT_LIVE} | calibrate(metrics, experiment)
    if "compute_s" in given or "speed" in given:
        found |= {"step_s": ()}
    if "preset" in given:
        found |= dict.fromkeys(LINK, PRESET)
    return experiment.replace(**{**found, **given})


def _metrics_of_live(folder: Path) -> Metrics:
    """The reports of a live run that has finished. Raises BadInput for any other folder."""
    if not (folder / CONFIG).is_file():
        raise BadInput(f"no run in {str(folder)!r}: expected the folder that `gossipnet swarm` has written")
    run = load_run(folder)
    if not run.complete:
        raise BadInput(f"the run in {str(folder)!r} has no usable summary.json: expected one that has finished")
    if run.summary.world != "live":
        raise BadInput(f"the run in {str(folder)!r} was simulated: expected one of `gossipnet swarm`, with real times")
    return run.metrics


def calibrate(metrics: Metrics, experiment: Experiment) -> dict[str, Any]:
    """Field -> value, of the times that nodes and links of these reports took. Raises BadInput if there are none."""
    steps_s, spread = _training(metrics, experiment)
    merges_s, merged = metrics.column("merged", "merge_s"), metrics.column("merged", "merged")
    evaluations_s = _evaluations(metrics)
    return {
        "step_s": tuple(_short(each_s) for each_s in steps_s),
        "compute_s": _short(float(np.median(steps_s))),
        "spread": _short(spread),
        "merge_s": _short(_mean(merges_s[merged > 0])),
        "evaluate_s": _short(_mean(evaluations_s)),
        "start_s": _starts(metrics, experiment.nodes),
        **_link(transits(metrics), experiment),
    }


def _training(metrics: Metrics, experiment: Experiment) -> tuple[list[float], float]:
    """What a local step takes on each node, on average, and how far a node's rounds lie apart."""
    nodes, took_s = metrics.column("merged", "node"), metrics.column("merged", "train_s")
    rounds_s = [took_s[(nodes == node) & (took_s > 0)] for node in range(experiment.nodes)]
    without = [node for node, each_s in enumerate(rounds_s) if not each_s.size]
    if without:
        raise BadInput(
            f"the run has no training times (`train_s`) of node {without[0]}: expected a run of this version in which"
            " every node has done a round"
        )
    apart = np.concatenate([np.log(each_s) - np.log(each_s).mean() for each_s in rounds_s])
    freedom = apart.size - len(rounds_s)
    spread = float(np.sqrt(apart @ apart / freedom)) if freedom > 0 else 0.0
    return [float(each_s.mean()) / experiment.local_steps for each_s in rounds_s], min(spread, 10.0)


def _evaluations(metrics: Metrics) -> Floats:
    """(evaluations,) seconds from a node's `merged` to its `evaluated`."""
    done = _times(metrics, "merged")
    return np.array([at - done[key] for key, at in _times(metrics, "evaluated").items() if key in done])


def _starts(metrics: Metrics, nodes: int) -> tuple[float, ...]:
    """When each node began, counted from the first."""
    began = {node: at for (node, _), at in _times(metrics, "started").items()}
    first = min(began.values(), default=0.0)
    found = tuple(round(began.get(node, first) - first, 6) for node in range(nodes))
    return found if any(found) else ()


def transits(metrics: Metrics) -> Floats:
    """(models whose way is known,) seconds from the end of the sender's local steps to the receiver's inbox."""
    rounds, ends = metrics.column("merged", "round"), metrics.column("merged", "time_s")
    nodes, begun = metrics.column("merged", "node"), ends - metrics.column("merged", "merge_s")
    keys = zip(nodes.tolist(), rounds.tolist(), strict=True)
    sent = dict(zip(keys, (begun - metrics.column("merged", "wait_s")).tolist(), strict=True))
    found = []
    for name in metrics.names("merged"):
        if not name.startswith("held_s/"):
            continue
        peer = name.removeprefix("held_s/")
        came = begun - metrics.column("merged", name)
        lags = np.nan_to_num(metrics.column("merged", f"lag/{peer}"))  # none in step, where no model lags
        found += [at - sent.get((float(peer), of), np.nan) for at, of in zip(came, rounds - lags, strict=True)]
    known = np.array(found, dtype=np.float64)
    return np.maximum(known[np.isfinite(known)], 0.0)


def _link(took_s: Floats, experiment: Experiment) -> dict[str, float]:
    """A pushed model makes one way, and all that took is put down to latency. One that is fetched makes three, and
    what it takes beyond those of a local network is put down to bandwidth: one time cannot tell the two apart."""
    if not took_s.size:
        return {}
    low, middle, high = np.quantile(took_s, [0.25, 0.5, 0.75])
    size = make_codec(experiment.codec).payload_bytes(_numel(experiment))
    if size <= experiment.push_bytes:
        latency_s = max(0.0, low - (high - low) / 2)
        return {"latency_s": _short(latency_s), "jitter_s": _short(2 * (middle - latency_s))}
    local_s = PRESETS["lan"](0.0).latency_s
    bandwidth = size / (middle - 3 * local_s) if middle > 3 * local_s else 0.0
    return {"latency_s": local_s, "jitter_s": 0.0, "bandwidth_bytes_per_s": _short(bandwidth)}


def _numel(experiment: Experiment) -> int:
    return ModelSpec.of(make_model(experiment.model, make_task(experiment.task))).numel


def _times(metrics: Metrics, event: str) -> Times:
    columns = (metrics.column(event, name).tolist() for name in ("node", "round", "time_s"))
    return {(int(node), int(round)): at for node, round, at in zip(*columns, strict=True) if node == node}


def _mean(times: Floats) -> float:
    known = times[np.isfinite(times)]
    return max(0.0, float(known.mean())) if known.size else 0.0


def _short(value: float) -> float:
    """To five digits: more are noise, and config.toml is read by people."""
    return float(f"{value:.5g}")


def describe(experiment: Experiment) -> str:
    """What was found, in a line."""

    def milliseconds(*times: float) -> str:
        return " to ".join(dict.fromkeys(f"{1000 * t:.3g}" for t in times)) + " ms"

    steps_s = experiment.step_s or (experiment.compute_s,)
    parts: Mapping[str, str] = {
        "a local step": milliseconds(min(steps_s), max(steps_s)),
        "a merge": milliseconds(experiment.merge_s),
        "an evaluation": milliseconds(experiment.evaluate_s),
    }
    words = [f"{name} {took}" for name, took in parts.items()]
    if not isinstance(experiment.latency_s, str) and not isinstance(experiment.jitter_s, str):
        words.append(f"a message {milliseconds(experiment.latency_s, experiment.latency_s + experiment.jitter_s)}")
    return ", ".join(words)
