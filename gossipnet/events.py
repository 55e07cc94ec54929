"""All that can happen to a node (events) and all that a node can ask for (actions).

Training, merging, evaluating and saving are actions; their results come back as events. A driver feeds every event
to `Node.handle` and carries out every action it returns. At most one of Train, Merge, Evaluate and Save is under way
at any time; a Send is best effort and needs no answer, but a driver that could not send says so with SendDropped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gossipnet.model import Snapshot
from gossipnet.wire import Message, Pull, Refusal

# --- events ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """The driver is ready. Fed once, first."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The Train action is done; `snapshot` is the model after it, `loss` the mean over its local steps."""

    snapshot: Snapshot
    steps: int
    loss: float


@dataclass(frozen=True, slots=True)
class Merged:
    """The Merge action is done. `numbers` go into the report."""

    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The Evaluate action is done. `numbers` (accuracy, loss, samples) go into the report."""

    numbers: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Saved:
    """The Save action is done: the model is on disk."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message came in, or something that was refused before it was one.

    An Offer comes with its verified model: at once if it was inline, else a first time without and, after a Fetch,
    again with it, or with why it was refused in the end.
    """

    message: Message | Refusal
    snapshot: Snapshot | Refusal | None = None


@dataclass(frozen=True, slots=True)
class SendDropped:
    """A Send could not be carried out: no connection, or a full queue."""

    message: Message


@dataclass(frozen=True, slots=True)
class Served:
    """The last chunk of the model of this round is on its way to a peer: its fetch is over, unless it asks again."""

    peer: int
    round: int


@dataclass(frozen=True, slots=True)
class Woke:
    """`Node.deadline` has come. Early or repeated wake-ups do no harm."""


@dataclass(frozen=True, slots=True)
class PeerUp:
    """The link to a peer is there: a Send may arrive."""

    peer: int


@dataclass(frozen=True, slots=True)
class PeerDown:
    """The link to a peer is gone."""

    peer: int


@dataclass(frozen=True, slots=True)
class Failed:
    """An action raised; `error` is the text of it."""

    error: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """Somebody asked for an early end: finish what is under way, say goodbye, evaluate, save."""


Event = (
    Started
    | Trained
    | Merged
    | Evaluated
    | Saved
    | Received
    | SendDropped
    | Served
    | Woke
    | PeerUp
    | PeerDown
    | Failed
    | Stopped
)

# --- actions ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Train:
    """Do the local steps of a round, then take a snapshot. Answered by Trained."""

    round: int
    steps: int


@dataclass(frozen=True, slots=True)
class Member:
    """One incoming model of a merge, with the weight W_ij that it gets."""

    peer: int
    weight: float
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Merge:
    """Merge these models, in the order of peers, into the own one. Answered by Merged."""

    round: int
    own_weight: float
    own_age: int
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Measure the model: on a part of the test set for the curves, on all of it at the end. Answered by Evaluated."""

    round: int
    final: bool


@dataclass(frozen=True, slots=True)
class Save:
    """Write the model to disk. Answered by Saved."""

    round: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message; an Offer goes with its snapshot, from which the driver fills size and checksum."""

    message: Message
    snapshot: Snapshot | None = None


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get the model of this Offer from its sender, in chunks. Answered by Received with the same message.

    A Fetch that was begun before and cut off goes on. It takes the place of any other from that sender.
    """

    message: Message


@dataclass(frozen=True, slots=True)
class Cancel:
    """Let go of what was fetched from this peer so far."""

    peer: int


@dataclass(frozen=True, slots=True)
class Serve:
    """Send a peer the chunks that it asked for. Best effort, as Send."""

    peer: int
    pull: Pull
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Report:
    """Something to write down. `numbers` are JSON values."""

    event: str
    round: int
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finish:
    """The node is done; `error` says why if it did not get to the end. No action follows."""

    error: str | None = None
    bad_input: bool = False  # the error is the operator's: exit status 2, not 1


Action = Train | Merge | Evaluate | Save | Send | Fetch | Cancel | Serve | Report | Finish
