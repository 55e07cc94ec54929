"""Our own models, as long as somebody may need them: which are kept, who fetches them, and who has no room for more.

At most `depth` are kept, whatever the number of peers. In step the oldest makes room, for before a round is trained
all targets have merged the one `depth` before it. Otherwise only one that nobody fetches does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gossipnet.model import Snapshot
from gossipnet.peer import Peer
from gossipnet.topology import Neighborhood
from gossipnet.transfer import asked_for
from gossipnet.wire import Pull

PULLED_S = 160.0  # a model is kept this long after the last Pull of it: the next may be a slow link's window away


@dataclass(slots=True)
class Pulls:
    """What a peer fetches: the newest model that it asked for."""

    round: int
    at: float  # when it last asked
    cut_off: set[int] = field(default_factory=set)  # chunks that its link did not take
    ended: bool = False  # the last chunk has left
    served: bool = False  # and whatever the link did not take before


class Outbox:
    """`depth` and `in_step` are of the node's configuration, `peers` are the node's, and are looked at only."""

    def __init__(self, neighborhood: Neighborhood, in_step: bool, depth: int, peers: Mapping[int, Peer]) -> None:
        self._neighborhood, self._peers = neighborhood, peers
        self._in_step, self._depth = in_step, depth
        self._kept: dict[int, Snapshot] = {}  # by round
        self._pulls: dict[int, Pulls] = {}  # by peer

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, round: int) -> bool:
        return round in self._kept

    def __getitem__(self, round: int) -> Snapshot:
        return self._kept[round]

    @property
    def newest(self) -> int:
        """The last round of which there is a model; 0 if there is none."""
        return max(self._kept, default=0)

    # --- what is kept ------------------------------------------------------------------------------------------

    def keep(self, round: int, snapshot: Snapshot, now: float) -> bool:
        """Hold a new model, in place of one that nobody fetches. False if there is none."""
        if len(self._kept) >= self._depth:
            oldest = next(iter(self._kept)) if self._in_step else self._oldest_free(now)
            if oldest is None:
                return False
            del self._kept[oldest]
        self._kept[round] = snapshot
        return True

    def _oldest_free(self, now: float) -> int | None:
        """The oldest round that is kept and that nobody fetches."""
        fetched = {pulls.round for peer, pulls in self._pulls.items() if self._fetches(peer, pulls, now)}
        return min((r for r in self._kept if r not in fetched), default=None)

    def _fetches(self, peer: int, pulls: Pulls, now: float) -> bool:
        """It is there, has asked for a part of a model not long ago, and not all of that model has left.

        What it asks for afterwards is late, or was lost: sent again as long as it is here, but not kept for it.
        """
        return self._peers[peer].up and not pulls.served and pulls.at > now - PULLED_S

    def clear(self) -> None:
        self._kept.clear()

    # --- who may have it ---------------------------------------------------------------------------------------

    def has_for(self, peer: int, round: int) -> bool:
        """That model is here, and the peer is one of those that it was made for."""
        return round in self._kept and peer in self._neighborhood.at(round).targets

    def needed_by(self, peer: int) -> list[int]:
        """The rounds to offer a peer that may know of none: in step those that it has yet to merge, else the newest.

        One that only listens to us may come after we have trained two.
        """
        if self._in_step:
            known = self._peers[peer]
            first = max(known.merged + 1, known.awaited_from)
            rounds = [round for round in sorted(self._kept) if round >= first]
        else:
            rounds = [self.newest]
        return [round for round in rounds if self.has_for(peer, round)]

    def uninformed(self) -> list[int]:
        """The targets that have not asked for the newest model, and may not have heard of it."""
        newest = self.newest
        asked = {peer for peer, pulls in self._pulls.items() if pulls.round >= newest}
        return [t for t in self._neighborhood.at(newest).targets if t not in asked]

    # --- fetching ----------------------------------------------------------------------------------------------

    def pull(self, peer: int, round: int, now: float) -> Snapshot | None:
        """The model that a peer asks for, which is kept for it from now on; None if there is none for it."""
        if not self.has_for(peer, round):
            return None
        self._keep_for(peer, round, now)
        return self._kept[round]

    def set_aside(self, peer: int, now: float) -> int | None:
        """Keep the newest model for a peer, as if it had asked for it; returns the round, None if there is none for it.

        Where asking takes longer than `depth` rounds, every model would be gone before it is asked for.
        """
        newest = self.newest
        if not self.has_for(peer, newest):
            return None
        self._keep_for(peer, newest, now)
        return newest

    def _keep_for(self, peer: int, round: int, now: float) -> None:
        pulls = self._pulls.get(peer)
        if pulls is None or round > pulls.round:  # an older one may come late
            self._pulls[peer] = Pulls(round, now)
        else:
            pulls.at = now

    def left(self, peer: int, pull: Pull, n_sent: int, n_chunks: int) -> None:
        """The link took the first `n_sent` of the chunks that `pull` asks for; the peer will ask again for the rest.

        All of the model has left with its last chunk, and whatever the link did not take before.
        """
        pulls = self._pulls.get(peer)
        if pulls is None or pull.round != pulls.round:
            return  # it is late: a newer one is being fetched
        wanted = asked_for(pull, n_chunks)
        pulls.cut_off.update(wanted[n_sent:])
        pulls.cut_off.difference_update(wanted[:n_sent])
        pulls.ended = pulls.ended or n_chunks - 1 in wanted[:n_sent]
        pulls.served = pulls.served or (pulls.ended and not pulls.cut_off)

    def forget(self, peer: int) -> None:
        """Its process is another one, or its link was lost, and what has left for it may not have arrived."""
        self._pulls.pop(peer, None)

    # --- whom we wait for, in step -----------------------------------------------------------------------------

    def full(self, round: int) -> list[int]:
        """Targets that must go on before we train that round: its model would not fit into their inbox, or would take
        the place of one that they still need."""
        oldest = round - self._depth
        if not self._in_step or oldest < 1:
            return []  # nobody has merged less than nothing
        owed, before = self._neighborhood.at(round).targets, self._neighborhood.at(oldest).targets
        if before is not owed:
            owed = tuple(sorted({*owed, *before}))
        peers = self._peers
        return [t for t in owed if peers[t].merged < oldest and peers[t].keeps_step(round)]

    def needing(self, last: int) -> list[int]:
        """Targets that have not merged our last model yet. Free-running owes nobody anything."""
        if not self._in_step:
            return []
        owed = {t for row in self._neighborhood.rows for t in row.targets}
        return [t for t in sorted(owed) if self._peers[t].keeps_step(last) and self._peers[t].merged < last]
