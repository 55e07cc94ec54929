"""A recorded run again, up to any virtual time: its folder is the record, and every report must be the same."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor

from gossipnet.config import Experiment
from gossipnet.errors import BadInput
from gossipnet.report.summary import Summary
from gossipnet.run_folder import CONFIG
from gossipnet.sim.run import one_thread
from gossipnet.sim.simulation import Simulation
from gossipnet.streams import SWARM
from gossipnet.training.randomness import seeded_process


@dataclass(frozen=True)
class Moment:
    """One node at that time."""

    phase: str  # as node.py's state table has it
    round: int  # that it works on
    merged: int  # the last that is done
    age: int  # local steps folded in
    here: bool  # it has not crashed
    vector: Tensor  # (d,) float32, a copy


@dataclass(frozen=True)
class Replay:
    """All nodes at `time_s`, and how many reports came until then, each the same as recorded."""

    time_s: float
    nodes: tuple[Moment, ...]
    reports: int


def replay(run: str | Path, until_s: float) -> Replay:
    """Simulate the run of that folder again, up to and with virtual time `until_s`.

    Raises BadInput if the folder is of no simulated run, or if a report differs: from another version of the code or of
    torch, or another machine.
    """
    folder = Path(run)
    experiment = Experiment.from_toml(folder / CONFIG)
    try:
        recorded = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BadInput(f"{str(run)!r}: {error.strerror}: expected the folder of a simulated run") from None
    summary = folder / "summary.json"  # one that was cut short has none
    if summary.is_file() and Summary.from_file(summary).world != "sim":
        raise BadInput(f"the run in {str(run)!r} was not simulated: expected one of `gossipnet sim`")
    if not until_s >= 0:
        raise BadInput(f"until_s: got {until_s!r}, expected virtual seconds, at least 0")
    with TemporaryDirectory() as made, one_thread(), seeded_process(experiment.seed, SWARM):
        again = Path(made)
        (again / CONFIG).write_text(experiment.to_toml(), encoding="utf-8")
        simulation = Simulation(experiment, again, None)
        try:
            simulation.world.run(until_s)
            nodes = tuple(_moment(simulation, i) for i in range(experiment.nodes))
        finally:
            simulation.engine.close()
            simulation.log.abandon()
        reports = (again / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    _check_same(reports, recorded, str(run))
    return Replay(until_s, nodes, len(reports))


def _moment(simulation: Simulation, i: int) -> Moment:
    place = simulation.world.places[i]
    node, vector = place.node, simulation.engine.vector(i).detach().cpu().clone()
    return Moment(node.phase.value, node.round, node.merged, node.age, place.here, vector)


def _check_same(reports: list[str], recorded: list[str], run: str) -> None:
    for number, line in enumerate(reports):
        there = recorded[number] if number < len(recorded) else "nothing"
        if line != there:
            raise BadInput(
                f"{run}/metrics.jsonl:{number + 1}: got {line[:120]} where {there[:120]} is recorded;"
                " expected the code, torch and machine of the run"
            )
