"""All that can happen to a node (events) and all that a node can ask for (actions).

Training, merging, evaluating and saving are actions; their results come back as events. A driver feeds every event
to `Node.handle` and carries out every action it returns. At most one of Train, Merge, Evaluate and Save is under way
at any time; a Send is best effort and needs no answer, but a driver that could not send says so with SendDropped.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from gossipnet.model import Snapshot
from gossipnet.value import value
from gossipnet.wire import Message, Offer, Pull, Refusal

# --- events ----------------------------------------------------------------------------------------------------


@value
class Started:
    """The driver is ready. Fed once, first."""


@value
class Trained:
    """The Train action is done; `snapshot` is the model after it, `loss` the mean over its local steps."""

    snapshot: Snapshot
    steps: int
    loss: float


@value
class Merged:
    """The Merge action is done. `numbers` go into the report."""

    numbers: Mapping[str, Any] = field(default_factory=dict)


@value
class Evaluated:
    """The Evaluate action is done. `numbers` (accuracy, loss, samples) go into the report."""

    numbers: Mapping[str, Any]


@value
class Saved:
    """The Save action is done: the model is on disk."""


@value
class Received:
    """A message came in, or something that was refused before it was one.

    An Offer comes with its verified model: at once if it was inline, else a first time without and, after a Fetch,
    again with it, or with why it was refused in the end.
    """

    message: Message | Refusal
    snapshot: Snapshot | Refusal | None = None


@value
class Arrived:
    """All that came in at one time, in that order. A Broadcast stands for its Offer, with the verified model."""

    items: "Sequence[Received | Broadcast]"


@value
class SendDropped:
    """A Send could not be carried out: no connection, or a full queue."""

    message: Message


@value
class Served:
    """A Serve is done: the link took the first `n_sent` of the chunks that it was for, of a model of `n_chunks`."""

    peer: int
    pull: Pull
    n_sent: int
    n_chunks: int


@value
class Woke:
    """`Node.deadline` has come. Early or repeated wake-ups do no harm."""


@value
class PeerUp:
    """The link to a peer is there: a Send may arrive."""

    peer: int


@value
class PeerDown:
    """The link to a peer is gone."""

    peer: int


@value
class Failed:
    """An action raised; `error` is the text of it."""

    error: str


@value
class Stopped:
    """Somebody asked for an early end: finish what is under way, say goodbye, evaluate, save."""


Event = (
    Started
    | Trained
    | Merged
    | Evaluated
    | Saved
    | Received
    | Arrived
    | SendDropped
    | Served
    | Woke
    | PeerUp
    | PeerDown
    | Failed
    | Stopped
)

# --- actions ---------------------------------------------------------------------------------------------------


@value
class Train:
    """Do the local steps of a round, then take a snapshot. Answered by Trained."""

    round: int
    steps: int


@value
class Member:
    """One incoming model of a merge, with the weight W_ij that it gets."""

    peer: int
    weight: float
    snapshot: Snapshot
    came_at: float = field(default=0.0, compare=False)  # `now` when it was let in


@value
class Merge:
    """Merge these models, in the order of peers, into the own one. Answered by Merged."""

    round: int
    own_weight: float
    own_age: int
    members: tuple[Member, ...]


@value
class Evaluate:
    """Measure the model: on a part of the test set for the curves, on all of it at the end. Answered by Evaluated."""

    round: int
    final: bool


@value
class Save:
    """Write the model to disk. Answered by Saved."""

    round: int


@value
class Send:
    """Send a message; an Offer goes with its snapshot, from which the driver fills size and checksum."""

    message: Message
    snapshot: Snapshot | None = None


@value
class Broadcast:
    """Send an Offer of this snapshot to each of these peers: as many a Send, in this order.

    Where models travel whole and unspoilt, it can arrive at each of them as it is.
    """

    receivers: tuple[int, ...]
    sender: int
    session: int
    snapshot: Snapshot

    def to(self, receiver: int) -> Send:
        """The same to one peer."""
        own = self.snapshot
        offer = Offer(own.round, own.age, own.samples, own.digest)
        return Send(Message(self.sender, receiver, self.session, offer), own)

    def each(self) -> Iterator[Send]:
        """The same one by one."""
        return map(self.to, self.receivers)


@value
class Fetch:
    """Get the model of this Offer from its sender, in chunks. Answered by Received with the same message.

    A Fetch that was begun before and cut off goes on. It takes the place of any other from that sender.
    """

    message: Message


@value
class Cancel:
    """Let go of what was fetched from this peer so far."""

    peer: int


@value
class Serve:
    """Send a peer the chunks that it asked for. Best effort, as Send; answered by Served."""

    peer: int
    pull: Pull
    snapshot: Snapshot


@value
class Report:
    """Something to write down. `numbers` are JSON values."""

    event: str
    round: int
    numbers: Mapping[str, Any] = field(default_factory=dict)


@value
class Finish:
    """The node is done; `error` says why if it did not get to the end. No action follows."""

    error: str | None = None
    bad_input: bool = False  # the error is the operator's: exit status 2, not 1


Single = Train | Merge | Evaluate | Save | Send | Fetch | Cancel | Serve | Report | Finish
Action = Single | Broadcast


def one_by_one(actions: Iterable[Action]) -> Iterator[Single]:
    """The same actions, for a driver that sends to one peer at a time."""
    for action in actions:
        if isinstance(action, Broadcast):
            yield from action.each()
        else:
            yield action
