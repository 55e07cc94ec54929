"""What an embedded node can say of itself and its neighbors."""

from collections.abc import Mapping
from dataclasses import dataclass

from gossipnet.live.embedded import EmbeddedDriver
from gossipnet.live.meeting import Meetings


@dataclass(frozen=True)
class Neighbor:
    """One endpoint of the list of peers."""

    endpoint: str
    state: str  # up | down | refused
    why: str  # in words, if it is not up
    round: int  # of its newest model that came in; 0: none yet
    staleness: int | None  # rounds that this model is behind ours; None: none yet
    patience_s: float | None  # how long we wait for it, as learnt so far; None: not learnt


@dataclass(frozen=True)
class Status:
    """An embedded node at one moment. `str` is a few lines to read."""

    listen: str
    running: bool  # False once closed or failed
    paused: bool
    round: int
    age: int  # local steps folded into the model, neighbors' among them
    steps: int  # local steps done here
    merges: int  # that took in at least one model
    models_merged: int
    neighbors: tuple[Neighbor, ...]
    refused: Mapping[str, int]  # reason -> messages
    strangers: int  # nodes that sent something and are at none of our peers' endpoints
    bytes_sent: int
    messages_sent: int

    def __str__(self) -> str:
        state = "closed" if not self.running else "paused" if self.paused else "listening"
        lines = [
            f"{state} on {self.listen}, round {self.round}, {self.steps} steps (age {self.age}), "
            f"{self.merges} merges of {self.models_merged} models, {self.bytes_sent:,} bytes sent"
        ]
        lines += [f"  {line(neighbor)}" for neighbor in self.neighbors]
        if self.refused:
            lines.append("  refused: " + ", ".join(f"{count} {reason}" for reason, count in self.refused.items()))
        if self.strangers:
            lines.append(f"  {self.strangers} strangers knock: nodes exchange models only if each lists the other")
        return "\n".join(lines)


def line(neighbor: Neighbor) -> str:
    words = f"{neighbor.endpoint} {neighbor.state}" + (f": {neighbor.why}" if neighbor.why else "")
    return words + (f", {neighbor.staleness} rounds behind" if neighbor.staleness is not None else "")


def neighbors(driver: EmbeddedDriver) -> tuple[Neighbor, ...]:
    """What is known of each neighbor; to be called in the I/O thread."""
    node, found = driver.node, []
    for number, endpoint in driver.place.peers.items():
        peer = node.peers[number]
        state, why = state_of(driver.meetings, number, peer.up, driver.plugged)
        staleness = node.round - peer.newest if peer.newest else None
        found.append(Neighbor(endpoint, state, why, peer.newest, staleness, node.patience.of(number)))
    return tuple(found)


def state_of(meetings: Meetings, number: int, up: bool, plugged: bool) -> tuple[str, str]:
    """A neighbor's state, and why it is not up."""
    link = meetings.links[number]
    if up and link.up:
        return "up", ""
    if not plugged:
        return "down", "we are paused"
    if not link.up:
        return "down", "it is gone" if link.met else "nobody listens there yet"
    if link.fault:
        return "refused", link.fault
    if link.met is None:
        return "down", "it does not answer: it may have another name= or be no gossipnet.join"
    return "down", "it does not list our endpoint among its peers, or has not reached it yet"
