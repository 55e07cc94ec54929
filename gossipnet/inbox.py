"""The models that have come in and are not merged yet, and which may come in at all.

In step the inbox is keyed (peer, round) and takes `depth` rounds, from the first that is not merged on. Otherwise it
holds the newest model of each peer. Either way it is bounded: peers x depth, or one per peer.
"""

from collections.abc import Iterable

from gossipnet.events import Member
from gossipnet.model import Snapshot
from gossipnet.wire import Reason


class Inbox:
    """`in_step`, `depth`, `max_age` and `rounds` are those of the node's configuration."""

    def __init__(self, in_step: bool, depth: int, max_age: int, rounds: int) -> None:
        self._in_step, self._depth, self._max_age, self._rounds = in_step, depth, max_age, rounds
        self._held: dict[tuple[int, int], Snapshot] = {}

    def __len__(self) -> int:
        return len(self._held)

    def fault(
        self, peer: int, round: int, newest: int, current: int, merged: int, members: Iterable[Member]
    ) -> Reason | None:
        """Why a model of that peer and round may not come in; None if it may.

        `newest` is the last round of the peer that was let in, `current` the round we work on, `merged` the last that
        is done, `members` what is being merged at this moment.
        """
        if round < 1:
            return Reason.STALE
        if self._in_step:
            return self._fault_in_step(peer, round, current, merged, members)
        if round <= newest:
            return Reason.DUPLICATE if round == newest else Reason.STALE
        too_old = self._max_age and round < current - self._max_age
        return Reason.STALE if too_old else None

    def _fault_in_step(
        self, peer: int, round: int, current: int, merged: int, members: Iterable[Member]
    ) -> Reason | None:
        first = current if current > merged else merged + 1
        if round < first:
            return Reason.STALE
        if round >= first + self._depth:
            return Reason.AHEAD
        if (peer, round) in self._held:
            return Reason.DUPLICATE
        merging = round == current and any(m.peer == peer and m.snapshot.round == round for m in members)
        return Reason.DUPLICATE if merging else None

    def put(self, peer: int, snapshot: Snapshot) -> None:
        """Hold a model that has no fault."""
        self._held[self._key(peer, snapshot.round)] = snapshot

    def has(self, peer: int, round: int) -> bool:
        """There is a model of that peer to merge in that round."""
        return (peer, round if self._in_step else 0) in self._held

    def peers(self) -> set[int]:
        """Those of whom there is a model, of any round."""
        return {peer for peer, _ in self._held}

    def take(self, weights: Iterable[tuple[int, float]], round: int) -> tuple[Member, ...]:
        """The models to merge in that round, in the order of peers; they are not held any longer.

        But for those of the last round of all: nothing newer will come from that peer, and what it ended with is what
        it has. Without, a node slower than its neighbors would do the rest of its rounds alone.
        """
        found: list[Member] = []
        for peer, weight in weights:
            key = self._key(peer, round)
            snapshot = self._held.get(key)
            if snapshot is not None:
                found.append(Member(peer, weight, snapshot))
                if self._in_step or snapshot.round < self._rounds or round >= self._rounds:
                    del self._held[key]
        return tuple(found)

    def forget_rounds(self, merged: int) -> None:
        """Nothing of a round that is done will be merged any more."""
        if self._in_step and self._held:
            self._held = {key: s for key, s in self._held.items() if key[1] > merged}

    def forget_peer(self, peer: int) -> None:
        self._held = {key: s for key, s in self._held.items() if key[0] != peer}

    def clear(self) -> None:
        self._held.clear()

    def _key(self, peer: int, round: int) -> tuple[int, int]:
        return peer, round if self._in_step else 0
