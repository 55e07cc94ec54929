"""`run_sim`: an experiment in the simulated world, from its start to its summary."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from gossipnet.errors import RunFailed, RunInterrupted, last_line
from gossipnet.report.log import Times
from gossipnet.report.summary import Summary
from gossipnet.sim.simulation import Simulation, View
from gossipnet.streams import SWARM
from gossipnet.training.randomness import seeded_process

if TYPE_CHECKING:
    from gossipnet.config import Experiment


def run_sim(experiment: "Experiment", folder: Path, view: View | None = None) -> Summary:
    """Simulate `experiment` and write its run folder, which exists and holds config.toml.

    Raises BadInput before anything is trained; RunFailed if nodes failed (with `on_failure="stop"`, or all of them)
    and RunInterrupted after Ctrl-C, both after the summary is written.
    """
    begun = time.perf_counter()
    with one_thread(), seeded_process(experiment.seed, SWARM):
        simulation = Simulation(experiment, folder, view)
        with closing(simulation.engine):
            started = time.perf_counter()
            with on_interrupt(simulation.world.interrupt):
                simulation.world.run()
            wall_s = time.perf_counter() - begun
            results, together = simulation.results(), simulation.together()
    times = Times(
        wall_s=wall_s,
        startup_s=started - begun,
        evaluation_s=simulation.engine.evaluation_s,
        virtual_s=simulation.world.ended_s,
    )
    summary = simulation.log.close(
        fixed_keys(experiment, simulation.world.topology.spectral_gap),
        results,
        times,
        together["consensus_distance"],
        together["accuracy"],
    )
    world = simulation.world
    if world.interrupted:
        raise RunInterrupted(summary)
    failed = world.failed if experiment.on_failure == "stop" else []
    if failed or len(summary.left) == experiment.nodes:
        first = failed[0] if failed else summary.left[0]
        raise RunFailed(f"node {first} failed: {last_line(world.places[first].error)}", summary)
    return summary


def fixed_keys(experiment: "Experiment", spectral_gap: float) -> dict[str, str | int | float]:
    """The keys of the summary that are known from the start."""
    return {
        "nodes": experiment.nodes,
        "rounds": experiment.rounds,
        "world": "sim",
        "topology": experiment.topology,
        "merge": experiment.merge,
        "spectral_gap": spectral_gap,
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch computes on one thread: sums in one order, as in a node process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def on_interrupt(call: Callable[[], None]) -> Iterator[None]:
    """Inside, the first Ctrl-C (or SIGTERM) calls `call`; the next does what it did before. In the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def put_back() -> None:
        for number, handler in before.items():
            if handler is not None:  # one that is not Python's cannot be put back
                signal.signal(number, handler)

    def caught(*_: object) -> None:
        put_back()
        call()

    for number in before:
        signal.signal(number, caught)
    try:
        yield
    finally:
        put_back()
