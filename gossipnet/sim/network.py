"""The simulated links: when what is sent arrives, if it does, and how often.

Each direction of a link is one line. What is sent waits for its turn at the link's bandwidth, then travels
`latency_s` and up to `jitter_s` more. Lines are FIFO: nothing overtakes, but for the share `reorder_rate` of messages
that wait for no earlier one. All that is random comes from a stream of the line's own, so that what happens on one line
changes nothing on another.
"""

import random
from collections import deque
from collections.abc import Iterable

from gossipnet.errors import BadInput
from gossipnet.sim.cuts import Cut
from gossipnet.sim.presets import Conditions
from gossipnet.streams import seed_of
from gossipnet.topology import Topology

QUEUE = 48  # messages that wait for a line with a bandwidth, as in the live world; the next is not taken
_NAMES = ("latency_s", "jitter_s", "bandwidth_bytes_per_s", "drop_rate", "duplicate_rate", "reorder_rate")


class Line:
    """One direction of a link. Raises BadInput for physics that cannot be."""

    def __init__(self, physics: dict[str, float], stream: random.Random, cuts: tuple[Cut, ...] = ()) -> None:
        self.latency_s = physics["latency_s"]
        self._jitter_s = physics["jitter_s"]
        self._bandwidth = physics["bandwidth_bytes_per_s"]
        self._drop_rate = physics["drop_rate"]
        self._duplicate_rate = physics["duplicate_rate"]
        self._reorder_rate = physics["reorder_rate"]
        self._stream = stream
        self._cuts = cuts
        # what is sent arrives after the latency, once, whatever else is sent
        self.plain = not cuts and _is_plain(physics)
        self._departures: deque[float] = deque()  # of what waits for its turn, or is on its way out
        self._last = 0.0  # the latest arrival of what is in order
        if self._reorder_rate and not self._jitter_s:
            raise BadInput(
                f"network.reorder_rate: got {self._reorder_rate:g} with jitter_s 0, where nothing can overtake:"
                " set network.jitter_s"
            )

    def send(self, size: int, now: float) -> tuple[float, ...] | None:
        """When `size` bytes that are sent now arrive: once, never, or more than once. None: the queue is full."""
        if self.plain:
            return (now + self.latency_s,)
        departs = self._departure(size, now)
        if departs is None:
            return None
        if any(cut.begin_s <= departs < cut.end_s for cut in self._cuts):
            return ()
        draw = self._stream.random
        if self._drop_rate and draw() < self._drop_rate:
            return ()
        if self._duplicate_rate and draw() < self._duplicate_rate:
            return self._arrival(departs), self._arrival(departs)
        return (self._arrival(departs),)

    def _departure(self, size: int, now: float) -> float | None:
        if not self._bandwidth:
            return now
        waiting = self._departures
        while waiting and waiting[0] <= now:
            waiting.popleft()
        if len(waiting) > QUEUE:
            return None
        waiting.append((waiting[-1] if waiting else now) + size / self._bandwidth)
        return waiting[-1]

    def _arrival(self, departs: float) -> float:
        draw = self._stream.random
        arrives = departs + self.latency_s + (self._jitter_s * draw() if self._jitter_s else 0.0)
        if self._reorder_rate and draw() < self._reorder_rate:
            return arrives
        self._last = max(self._last, arrives)
        return self._last

    def after_all(self, now: float) -> float:
        """When what is done now is noticed at the other end, after all that was sent: the end of a connection."""
        departs = max(now, self._departures[-1]) if self._departures else now
        return max(self._last, departs + self.latency_s)


def _is_plain(physics: dict[str, float]) -> bool:
    """Nothing but a latency."""
    return not any(physics[name] for name in _NAMES[1:])


class Network:
    """All lines of a topology, made when first used. What its file says of a link wins over the conditions.

    Raises BadInput if it cannot be.
    """

    def __init__(self, topology: Topology, conditions: Conditions, seed: int, cuts: tuple[Cut, ...] = ()) -> None:
        self._topology = topology
        self._default = {name: getattr(conditions, name) for name in _NAMES}
        self._seed = seed
        self._cuts = cuts
        # draws nothing and remembers nothing: one is enough for all links, a stream for each takes 2.5 KB
        self._plain = Line(self._default, random.Random(seed)) if _is_plain(self._default) else None
        self._lines: dict[tuple[int, int], Line] = {}
        for i, j in {*topology.edges[:1], *topology.edge_attributes}:  # now, not in the middle of a run
            self.line(i, j)

    def line(self, sender: int, receiver: int) -> Line:
        """The line from one node to another."""
        line = self._lines.get((sender, receiver))
        if line is None:
            line = self._lines[sender, receiver] = self._make(sender, receiver)
        return line

    def route(self, sender: int, receivers: Iterable[int]) -> list[tuple[float, list[int]]] | None:
        """Receivers by how long what is sent to them now travels; None where that is not the same each time."""
        lines = [(receiver, self.line(sender, receiver)) for receiver in receivers]
        if not all(line.plain for _, line in lines):
            return None
        latencies = dict.fromkeys(line.latency_s for _, line in lines)
        return [(s, [receiver for receiver, line in lines if line.latency_s == s]) for s in latencies]

    def _make(self, sender: int, receiver: int) -> Line:
        link = self._topology.link(sender, receiver)
        given = {name: float(link[name]) for name in _NAMES if link.get(name) is not None}
        cuts = tuple(cut for cut in self._cuts if cut.parts(sender, receiver))
        if self._plain and not given and not cuts:
            return self._plain
        stream = random.Random(seed_of(self._seed, sender, f"line to {receiver}"))
        return Line(self._default | given, stream, cuts)

    def whole(self, i: int, j: int, now: float) -> bool:
        """No cut holds up anything between two nodes, in either direction: a connection needs both."""
        return not any(c.begin_s <= now < c.end_s and (c.parts(i, j) or c.parts(j, i)) for c in self._cuts)

    def turns(self) -> Iterable[float]:
        """When a cut begins or ends."""
        return sorted({at for cut in self._cuts for at in (cut.begin_s, cut.end_s) if at < float("inf")})
