"""How simulated nodes train, merge, evaluate and save: what the training thread does in the live world.

The simulation hands over the jobs of one kind that are due at the same time, so that an engine may do them together.
"""

import traceback
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch

from gossipnet.errors import BadInput
from gossipnet.events import Evaluate, Event, Merge, Save, Train
from gossipnet.model import ModelSpec
from gossipnet.training.trainer import Diverged

if TYPE_CHECKING:
    from gossipnet.node import NodeConfig

Work = Train | Merge | Evaluate | Save


class Job(NamedTuple):
    """An action of a node that takes work."""

    node: int
    work: Work


class Note(Protocol):
    """Tells whoever watches."""

    def __call__(self, text: str, warning: bool = False) -> None: ...


class Engine(Protocol):
    """The models of all nodes, and what is done with them."""

    spec: ModelSpec
    evaluation_s: float  # wall time spent on accuracy

    def config(self, node: int, session: int) -> "NodeConfig":
        """What the Node of that number needs to know."""

    def begin(self, node: int, work: Train) -> None:
        """That node has started to train; `carry_out` will ask for the result once it is due."""

    def carry_out(self, jobs: Sequence[Job]) -> Iterable[Event]:
        """The result of each job, in order: of one kind, due at the same time, at most one of each node.

        A result may be dealt with while the next is in the making; all are taken before anything else is asked for
        but a `begin` or a `vector`.
        What a job raises is the failure of its node alone, a Failed.
        """

    def lost(self, node: int, empty: bool) -> None:
        """The node has a new process: what was under way is void, and with `empty` the model is the first one again.

        Raises BadInput for `empty` if that cannot be done.
        """

    def vector(self, node: int) -> torch.Tensor:
        """The node's model as it is now, (d,) float32."""

    def close(self) -> None:
        """End what was started; asked for once, last, whatever happened."""


def told(error: Exception) -> str:
    """What a failure says: one line if it is no surprise, else where it was raised."""
    if isinstance(error, Diverged | BadInput):
        return str(error)
    return "".join(traceback.format_exception(error))
