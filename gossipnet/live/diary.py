"""What the I/O thread of an embedded node leaves for the user's thread to tell."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gossipnet.events import Merge

MOST = 256  # pieces of news that wait; a program that never steps is told the latest


@dataclass(frozen=True, slots=True)
class MergeReport:
    """One merge, as `on_merge` is told of it."""

    round: int
    age: int  # local steps folded into the model now
    endpoints: tuple[str, ...]  # whose models were merged
    staleness: float  # rounds that they were behind ours, on average


@dataclass(frozen=True, slots=True)
class News:
    """A neighbor came, went, or turned out not to fit."""

    endpoint: str
    state: str  # up | down | refused
    why: str = ""
    before: bool = False  # there was an exchange with it earlier


class Diary:
    """The outlet of an embedded node. One thread writes, another takes; neither waits."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        self._endpoints = tuple(endpoints)
        self._news: deque[News] = deque(maxlen=MOST)

    def fileno(self) -> int | None:
        return None

    def commands(self) -> list[Mapping[str, Any]]:
        return []

    def report(self, time_s: float, event: str, round: int, numbers: Mapping[str, Any]) -> None:
        if event in ("peer_up", "peer_down"):
            self._news.append(News(self._endpoint(numbers["peer"]), event.removeprefix("peer_")))

    def refused(self, peer: int, why: str, before: bool) -> None:
        self._news.append(News(self._endpoint(peer), "refused", why, before))

    def take(self) -> News | None:
        """The oldest that was not taken yet."""
        try:
            return self._news.popleft()
        except IndexError:
            return None

    def of(self, merge: Merge, age: int) -> MergeReport:
        rounds = [m.snapshot.round for m in merge.members]
        endpoints = tuple(self._endpoint(m.peer) for m in merge.members)
        return MergeReport(merge.round, age, endpoints, merge.round - sum(rounds) / len(rounds))

    def _endpoint(self, peer: int) -> str:
        return self._endpoints[peer - 1]
