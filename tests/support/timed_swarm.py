"""A FakeSwarm under a virtual clock: work and messages take as long as two functions say."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from fake_swarm import FakeSwarm

from gossipnet.events import PeerDown, PeerUp, Send, Train, Woke

Step = tuple[float, int, str, object]


@dataclass
class TimedSwarm(FakeSwarm):
    """`work_s(node, action)` and `travel_s(sender, receiver)` are asked each time; links stay first in, first out."""

    work_s: Callable[[int, object], float] = lambda node, action: 1.0 if isinstance(action, Train) else 0.0
    travel_s: Callable[[int, int], float] = lambda sender, receiver: 0.001
    stopped: set[int] = field(default_factory=set)  # nodes that get no time
    _heap: list[Step] = field(default_factory=list)
    _order: int = 0
    _clear: dict[tuple[int, int], float] = field(default_factory=dict)
    _held: dict[int, list[tuple[str, object]]] = field(default_factory=dict)

    def at(self, when: float, kind: str, what: object) -> None:
        self._order += 1
        heapq.heappush(self._heap, (when, self._order, kind, what))

    def call(self, when: float, what: Callable[[], None]) -> None:
        self.at(when, "call", what)

    def step(self) -> bool:
        self._plan()
        if not self._heap:
            return False
        self.now, _, kind, what = heapq.heappop(self._heap)
        if kind == "call":
            what()
        else:
            self._happen(kind, what)
        return True

    def _happen(self, kind: str, what: object) -> None:
        i = what[0] if kind == "link" else what
        if i in self.stopped:
            self._held.setdefault(i, []).append((kind, what))
        elif kind == "work":
            self.feed(i, self._answers.pop(i))
        elif kind == "wake":
            self.feed(i, Woke())
        else:
            _, send = what
            self.feed(i, self.arrival(send) if isinstance(send, Send) else send)

    def _plan(self) -> None:
        """What has been asked for since the last step, and when it is done."""
        for i, action in list(self.work.items()):
            del self.work[i]
            self._answers[i] = self.answer(i, action)
            self.at(self.now + self.work_s(i, action), "work", i)
        for (sender, to), queue in self.links.items():
            while queue:
                arrives = max(self.now + self.travel_s(sender, to), self._clear.get((sender, to), 0.0))
                self._clear[sender, to] = arrives
                self.at(arrives, "link", (to, queue.popleft()))
        for i, node in enumerate(self.nodes):
            if node.deadline is not None and self._wakes.get(i) != node.deadline:
                self._wakes[i] = node.deadline
                self.at(max(node.deadline, self.now), "wake", i)

    def __post_init__(self) -> None:
        self._answers: dict[int, object] = {}
        self._wakes: dict[int, float] = {}
        super().__post_init__()

    def stop(self, i: int) -> None:
        """As SIGSTOP does: what comes in waits, and so does what it was doing."""
        self.stopped.add(i)

    def go_on(self, i: int) -> None:
        self.stopped.discard(i)
        for kind, what in self._held.pop(i, []):
            self._happen(kind, what)

    def lose_link(self, i: int) -> None:
        """Its neighbors notice that it does not answer."""
        for peer in self.nodes[i].peers:
            self.feed(peer, PeerDown(i))

    def find_link(self, i: int) -> None:
        for peer in self.nodes[i].peers:
            self.feed(peer, PeerUp(i))
