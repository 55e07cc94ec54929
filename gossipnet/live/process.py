"""What runs in a process that the launcher started: one node of a local swarm, or the measuring of all its models."""

import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gossipnet.config import Experiment
from gossipnet.data.models import make_model
from gossipnet.data.partition import class_counts
from gossipnet.data.task import Task, make_task
from gossipnet.errors import BadInput
from gossipnet.live.channel import Channel
from gossipnet.live.driver import Place
from gossipnet.live.liveness import ORPHANED
from gossipnet.live.run import run_node
from gossipnet.report.log import Sample
from gossipnet.run_folder import model_file
from gossipnet.topology import Neighborhood
from gossipnet.training.build import on_device, pick_device, split
from gossipnet.training.files import load_vector
from gossipnet.training.measure import measure_together


class Materials:
    """The data of a run, loaded once and shared with every process forked afterwards. Runs no torch op."""

    def __init__(self, config: str) -> None:
        self.experiment = Experiment.from_toml(config)
        self.task: Task = make_task(self.experiment.task)
        self.parts: list[NDArray[np.int64]] = split(self.experiment, self.task)

    def describe(self) -> dict[str, Any]:
        """How many samples of each class each node holds; empty if the samples have no classes."""
        return class_counts(self.task.train.targets, self.parts)


class ChannelOutlet:
    """A node's outlet to its launcher."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def fileno(self) -> int:
        return self._channel.fileno()

    def commands(self) -> list[Mapping[str, Any]]:
        return [*self._channel.receive()]

    def report(self, time_s: float, event: str, round: int, numbers: Mapping[str, Any]) -> None:
        self._channel.send(report=[time_s, event, round, dict(numbers)])

    def measured(self, time_s: float, round: int, sample: Sample) -> None:
        self._channel.send(sample=[time_s, round, sample.vector.tobytes(), sample.scale, dict(sample.variances)])


def serve(channel: Channel, prepared: Materials | None = None) -> int:
    """Do what the first message on `channel` asks for. Returns the exit status."""
    order = channel.receive_one()
    if order is None:
        return ORPHANED
    torch.set_num_threads(1)
    _log_to(Path(order["log"]))
    try:
        materials = Materials(order["config"]) if prepared is None else prepared
        if order["do"] == "measure":
            channel.send(measured=_measure(order, materials))
        else:
            channel.send(result=_run(order, materials, channel))
    except BadInput as error:
        channel.send(failed=str(error), bad_input=True)
        return 2
    except Exception:
        traceback.print_exc()
        channel.send(failed=traceback.format_exc(), bad_input=False)
        return 1
    return 0


def _run(order: Mapping[str, Any], materials: Materials, channel: Channel) -> dict[str, Any]:
    place = Place(
        node=order["node"],
        listen=order["listen"],
        peers={int(peer): endpoint for peer, endpoint in order["peers"].items()},
        swarm=order["swarm"],
        epoch=order["epoch"],
    )
    result = run_node(
        on_device(materials.experiment, order["device"]),
        place,
        Neighborhood.from_dict(order["neighborhood"]),
        materials.task,
        materials.parts[place.node],
        Path(order["folder"]),
        ChannelOutlet(channel),
        order["speed"],
    )
    return asdict(result)


def _measure(order: Mapping[str, Any], materials: Materials) -> dict[str, Any]:
    """Consensus distance and mean-model accuracy, from the models that the nodes have saved."""
    experiment, task = materials.experiment, materials.task

    def make() -> torch.nn.Module:
        return make_model(experiment.model, task)

    files = [model_file(Path(order["folder"]), node) for node in order["nodes"]]
    layout = make()
    vectors = (load_vector(layout, file) for file in files)
    return measure_together(vectors, make, task, pick_device(experiment.device))


def _log_to(file: Path) -> None:
    """From here on, what anything in this process prints goes to `file`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
