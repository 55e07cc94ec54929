"""The simulated links: how long what is sent takes to arrive."""

import math

from gossipnet.topology import Topology


class Network:
    """All links of a topology. Each has its own latency and bandwidth, from the topology's file, or `latency_s` and
    no limit."""

    def __init__(self, topology: Topology, latency_s: float) -> None:
        self._topology = topology
        self._latency_s = latency_s
        self._busy_until: dict[tuple[int, int], float] = {}  # of links with a bandwidth: what is sent waits its turn

    def arrival(self, sender: int, receiver: int, size: int, now: float) -> float:
        """When `size` bytes that are sent now arrive: one after the other on a link, at its bandwidth, then its
        latency."""
        link = self._topology.link(sender, receiver)
        bandwidth = float(link.get("bandwidth_bytes_per_s", math.inf))
        sent = max(now, self._busy_until.get((sender, receiver), 0.0)) + size / bandwidth
        if bandwidth < math.inf:
            self._busy_until[sender, receiver] = sent
        return sent + float(link.get("latency_s", self._latency_s))
