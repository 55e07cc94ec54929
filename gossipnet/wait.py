"""What a round waits for after its local steps: which models are missing, when there are enough, and until when.

In step that is every model of the round that can still come. With a quorum it is that many, then as long as the
patience with those that are missing lasts; free-running is over at once.
"""

from collections.abc import Mapping, Sequence

from gossipnet.inbox import Inbox
from gossipnet.patience import Patience
from gossipnet.peer import Peer, round_of


class Wait:
    """One round's after the other; `begin` each. `peers` and `inbox` are the node's, and are looked at only."""

    def __init__(self, quorum: int | None, patience_s: float | None, peers: Mapping[int, Peer], inbox: Inbox) -> None:
        self.since = 0.0
        self.patience = Patience()
        self.learns = bool(quorum) and patience_s is None  # somebody's patience ends the wait, and it is learnt
        self._quorum, self._patience_s = quorum, patience_s
        self._in_step = quorum is None
        self._peers, self._inbox = peers, inbox
        self._weights: Sequence[tuple[int, float]] = ()
        self._round = 0
        self._awaited: int | None = None  # in step: a source that held us back when we last looked

    def begin(self, weights: Sequence[tuple[int, float]], round: int, took_s: float, now: float) -> None:
        """Wait for the models of the peers in `weights` (peer, W_ij). The local steps took `took_s`."""
        self._weights, self._round, self.since, self._awaited = weights, round, now, None
        if self.learns:
            self.patience.took(took_s)
            self.patience.begin(now, self.missing(), self._inbox.peers())

    def came(self, peer: int, now: float) -> None:
        """A model of that peer was let in."""
        if self.learns:
            self.patience.came(peer, now)

    def forget(self, peer: int) -> None:
        """What was under way from that peer will not come."""
        self.patience.forget(peer)

    def is_over(self, now: float) -> bool:
        """There are enough models to merge, or no more are waited for."""
        if self._in_step:
            return self._inbox.count(self._round) == len(self._weights) or not self._held_back()
        missing = self.missing()
        if not missing:
            return True
        arrived = sum(self._inbox.has(p, self._round) for p, _ in self._weights)
        return arrived >= (self._quorum or 0) or self._patience_over(missing, now)

    def until(self, now: float) -> float | None:
        """When the last of the missing is late; None if nothing but its model or its end will do."""
        return None if self._in_step else self._patient_until(self.missing(), now)

    def missing(self) -> list[int]:
        """The sources of this round that we wait for."""
        return [p for p, _ in self._weights if self._is_missing(p)]

    def silent(self) -> list[int]:
        """The missing whose model is not on its way."""
        missing = self.missing()
        return [p for p in missing if not self._fetches_from(p)] if self._in_step else missing

    def is_for_word(self) -> bool:
        """In step, the source that `is_over` just found to hold us back has not even offered its model."""
        return self._awaited is not None and not self._fetches_from(self._awaited)

    def _is_missing(self, source: int) -> bool:
        peer, round = self._peers[source], self._round
        if self._inbox.has(source, round) or not peer.reachable(round):
            return False
        return peer.awaited_from <= round or not self._in_step

    def _held_back(self) -> bool:
        """In step, there is a source that we wait for. Whoever held us back before mostly still does: the others are
        looked at only if it does not, the last first, so that a round costs about one look at each source."""
        if self._awaited is not None and self._is_missing(self._awaited):
            return True
        for source, _ in reversed(self._weights):
            if self._is_missing(source):
                self._awaited = source
                return True
        self._awaited = None
        return False

    def _patience_over(self, missing: list[int], now: float) -> bool:
        until = self._patient_until(missing, now)
        return until is not None and now >= until

    def _patient_until(self, missing: list[int], now: float) -> float | None:
        """As `until`, of a quorum; None if one of them has not been heard of yet."""
        if self._patience_s is not None:
            return self.since + self._patience_s
        if any(self._peers[p].session == 0 for p in missing):
            return None  # not there yet: a deployment may be started by hand
        return max(self.patience.until(p, now) for p in missing)

    def _fetches_from(self, source: int) -> bool:
        """The model of this round is on its way from there."""
        fetching = self._peers[source].fetching
        return fetching is not None and round_of(fetching) == self._round
