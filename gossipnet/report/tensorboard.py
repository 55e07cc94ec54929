"""The reports of a run as TensorBoard's event files, written while it runs. Needs the extra `tensorboard`.

Below the folder each node has one of its own, which TensorBoard shows as a curve of its own, and so has the swarm for
what concerns all nodes. A tag is event/number, a step is a round, and times count from the start of the run (in the
simulator: virtual), so that runs lie on top of each other and a simulated run always leaves the same files.
"""

import importlib
import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gossipnet.errors import BadInput
from gossipnet.report.metrics import COMMON, as_float, flat

MOST_NODES = 64  # an open file each, and more curves than anybody can tell apart


def require_tensorboard() -> None:
    """Raise BadInput unless TensorBoard is installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise BadInput(
            "report.tensorboard needs TensorBoard, which is not installed: pip install 'gossipnet[tensorboard]'"
        )


class Board:
    """Writes reports, as `Recorder` does, each flushed before `write` returns. Of many nodes the first 64 that report.

    Raises BadInput if TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        require_tensorboard()
        self._folder = folder
        self._writers: dict[str, Any] = {}
        self._record = importlib.import_module("tensorboard.summary.writer.record_writer").RecordWriter
        self._event = importlib.import_module("tensorboard.compat.proto.event_pb2").Event
        self._summary = importlib.import_module("tensorboard.compat.proto.summary_pb2").Summary

    def write(self, record: Mapping[str, Any]) -> None:
        """All numbers of one report; texts and what is null are left out."""
        event, node = record["event"], record["node"]
        values = [
            self._summary.Value(tag=f"{event}/{name}", simple_value=number)
            for name, value in flat(record)
            if name not in COMMON and not isinstance(value, str) and math.isfinite(number := as_float(value))
        ]
        writer = self._writer("swarm" if node is None else f"node-{node}") if values else None
        if writer is not None:
            self._put(writer, record["time_s"], step=record["round"], summary=self._summary(value=values))

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()

    def _writer(self, name: str) -> Any:
        """The file of a node, or of the swarm; None for a node too many."""
        if name not in self._writers:
            if len(self._writers.keys() - {"swarm"}) >= MOST_NODES and name != "swarm":
                return None
            place = self._folder / name
            place.mkdir(parents=True, exist_ok=True)
            # the name that TensorBoard looks for, with a 0 where other programs have the time
            self._writers[name] = self._record((place / "events.out.tfevents.0.gossipnet").open("wb"))
            self._put(self._writers[name], 0.0, file_version="brain.Event:2")
        return self._writers[name]

    def _put(self, writer: Any, time_s: float, **content: Any) -> None:
        writer.write(self._event(wall_time=time_s, **content).SerializeToString())
        writer.flush()
