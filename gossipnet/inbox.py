"""The models that have come in and are not merged yet, and which may come in at all.

In step the inbox is keyed (peer, round) and takes `depth` rounds, from the first that is not merged on. Otherwise it
holds the newest model of each peer. Either way it is bounded: peers x depth, or one per peer.
"""

from collections.abc import Iterable, Iterator

from gossipnet.events import Member
from gossipnet.model import Snapshot
from gossipnet.wire import Reason


class Inbox:
    """`in_step`, `depth`, `max_age` and `rounds` are those of the node's configuration."""

    def __init__(self, in_step: bool, depth: int, max_age: int, rounds: int) -> None:
        self._in_step, self._depth, self._max_age, self._rounds = in_step, depth, max_age, rounds
        # round, or 0 unless in step -> peer -> its model, and when that came
        self._held: dict[int, dict[int, tuple[Snapshot, float]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    def fault(
        self, peer: int, round: int, newest: int, current: int, merged: int, members: Iterable[Member], fallen: int = 0
    ) -> Reason | None:
        """Why a model of that peer and round may not come in; None if it may.

        `newest` is the last round of the peer that was let in, `current` the round we work on, `merged` the last that
        is done, `members` what is being merged at this moment, `fallen` by how many rounds the peer fell behind us.
        """
        if round < 1:
            return Reason.STALE
        if self._in_step:
            return self._fault_in_step(peer, round, current, merged, members)
        if round <= newest:
            return Reason.DUPLICATE if round == newest else Reason.STALE
        return Reason.STALE if self._max_age and fallen > self._max_age else None

    def _fault_in_step(
        self, peer: int, round: int, current: int, merged: int, members: Iterable[Member]
    ) -> Reason | None:
        first = current if current > merged else merged + 1
        if round < first:
            return Reason.STALE
        if round >= first + self._depth:
            return Reason.AHEAD
        if peer in self._held.get(round, ()):
            return Reason.DUPLICATE
        merging = round == current and any(m.peer == peer and m.snapshot.round == round for m in members)
        return Reason.DUPLICATE if merging else None

    def put(self, peer: int, snapshot: Snapshot, now: float = 0.0) -> bool:
        """Hold a model that has no fault; in step, False if there is one of that peer and round already."""
        key = snapshot.round if self._in_step else 0
        models = self._held.get(key)
        if models is None:
            models = self._held[key] = {}
        elif key and peer in models:
            return False
        models[peer] = snapshot, now
        return True

    def has(self, peer: int, round: int) -> bool:
        """There is a model of that peer to merge in that round."""
        return peer in self._held.get(round if self._in_step else 0, ())

    def count(self, round: int) -> int:
        """How many models there are to merge in that round."""
        models = self._held.get(round if self._in_step else 0)
        return len(models) if models else 0

    def last_came_at(self, round: int) -> float | None:
        """When the last of them came; None if there are none."""
        models = self._held.get(round if self._in_step else 0)
        return max(came_at for _, came_at in models.values()) if models else None

    def peers(self) -> set[int]:
        """Those of whom there is a model, of any round."""
        return {peer for models in self._held.values() for peer in models}

    def models(self) -> Iterator[tuple[int, Snapshot]]:
        """All that is held, and of whom."""
        return ((peer, snapshot) for models in self._held.values() for peer, (snapshot, _) in models.items())

    def take(self, weights: Iterable[tuple[int, float]], round: int) -> tuple[Member, ...]:
        """The models to merge in that round, in the order of peers; they are not held any longer.

        But for those of the last round of all: nothing newer will come from that peer, and what it ended with is what
        it has. Without, a node slower than its neighbors would do the rest of its rounds alone.
        """
        models = self._held.pop(round, {}) if self._in_step else self._held.get(0, {})
        found = tuple(
            [Member(peer, weight, held[0], held[1]) for peer, weight in weights if (held := models.get(peer))]
        )
        if not self._in_step:
            for member in found:
                if member.snapshot.round < self._rounds or round >= self._rounds:
                    del models[member.peer]
        return found

    def forget_before(self, current: int) -> None:
        """Nothing of a round that is done or left out will be merged any more."""
        if self._in_step and self._held:
            for round in [round for round in self._held if round < current]:
                del self._held[round]

    def forget_peer(self, peer: int) -> None:
        for models in self._held.values():
            models.pop(peer, None)

    def clear(self) -> None:
        self._held.clear()
