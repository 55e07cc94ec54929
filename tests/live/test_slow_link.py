"""Three nodes of one process on real sockets, one of them behind a link that stops, trickles and is cut."""

import time
from collections.abc import Iterator

import pytest
import torch
from live_swarm import free_ports, until
from slow_link import SlowLink

from gossipnet.codec import make_codec
from gossipnet.events import Merge, Merged, Train, Trained
from gossipnet.live.driver import Driver, Place
from gossipnet.model import Entry, ModelSpec, Snapshot
from gossipnet.node import Node, NodeConfig
from gossipnet.topology import Neighborhood, Row
from gossipnet.transfer import pack

NUMEL, CHUNK = 1 << 19, 1 << 15  # 2 MiB, 64 chunks
SPEC = ModelSpec((Entry("w", (NUMEL,), 0, NUMEL, False),))
CODEC = make_codec("float32")


class Silence:
    def fileno(self):
        return None

    def commands(self):
        return []

    def report(self, *_):
        return


class Member:
    """A free-running node; the test is its training thread: `train` does one round of it."""

    def __init__(self, own, listen, peers):
        self.own, self.merged = own, []
        row = Row(weights=tuple((p, 0.3) for p in sorted(peers)), targets=tuple(sorted(peers)))
        config = NodeConfig(10**6, 1, SPEC.digest, session=time.time_ns(), quorum=0, evaluates=False)
        place = Place(own, f"tcp://127.0.0.1:{listen}", peers, bytes(8), time.monotonic())
        self.node = Node(Neighborhood(own, (row,)), config)
        self.driver = Driver(place, self.node, SPEC, CODEC, 1024, CHUNK, Silence())
        self.driver.start()

    def train(self):
        """One round, after which all numbers of the model are 1000 * node + round. Returns the round."""
        action = self._take()
        assert isinstance(action, Train)
        parcel = pack(torch.full((NUMEL,), 1000.0 * self.own + action.round), CODEC, self.driver.arena)
        self.driver.post(Trained(Snapshot(SPEC.digest, action.round, action.round, 1, parcel), 1, 0.0))
        while isinstance(following := self._take(), Merge):
            for m in following.members:
                assert bool((m.snapshot.storage == 1000.0 * m.peer + m.snapshot.round).all()), "a mixed model"
                self.merged.append((m.peer, m.snapshot.round))
            self.driver.post(Merged())
        self.driver.actions.put(following)  # the next Train, for the next call
        return action.round

    def _take(self):
        action = self.driver.actions.get(timeout=30)
        assert action is not None, self.driver.crash
        return action

    def end(self):
        self.driver.end()
        assert self.driver.crash is None


@pytest.fixture
def swarm() -> Iterator[tuple[list[Member], SlowLink]]:
    """Nodes 0, 1, 2, all neighbors; what 0 sends to 2 goes by the slow link, on which 512 KiB may go."""
    port = free_ports(3)
    link = SlowLink(port + 2, allow=1 << 19)
    ends = {i: f"tcp://127.0.0.1:{port + i}" for i in range(3)}
    slow = f"tcp://127.0.0.1:{link.port}"
    members = [
        Member(i, port + i, {p: slow if (i, p) == (0, 2) else e for p, e in ends.items() if p != i}) for i in range(3)
    ]
    until(lambda: all(p.up for m in members for p in m.node.peers.values()), "links")
    yield members, link
    link.close()
    for member in members:
        member.end()


def exchanged(giver: Member, taker: Member, beyond: int = 0, give: bool = False) -> int:
    """Let `taker` go on, and with `give` the giver, until it has merged a model past round `beyond`."""

    def there():
        if give:
            giver.train()
        taker.train()
        time.sleep(0.02)  # it does nothing else
        return [round for peer, round in taker.merged if peer == giver.own and round > beyond]

    return max(until(there, f"model of {giver.own} at {taker.own}"))


def test_a_slow_neighbor_slows_nobody_else_and_gets_its_model_in_the_end(swarm):
    (a, b, c), link = swarm
    a.train()
    until(lambda: link.passed >= 1 << 19, "first part at the slow link")
    newest = {a: 0, b: 0}
    for _ in range(4):  # models go to and fro beside the link that has stopped
        for giver, taker in ((a, b), (b, a)):
            newest[giver] = exchanged(giver, taker, beyond=newest[giver], give=True)
    c.train()
    assert not [m for m in c.merged if m[0] == 0]
    assert len(a.node._outbox) <= a.node.config.depth
    link.cut()
    link.let_through(None)
    first = exchanged(a, c)
    assert first == 1, "the fetch that was begun was given up"
    assert 4 * NUMEL <= link.passed < 1.6 * 4 * NUMEL  # it went on where it was; a window is asked for again
    assert not c.node.refused.keys() - {"stale", "duplicate"}


def test_a_link_that_trickles_is_asked_for_nothing_twice(swarm):
    (a, _, c), link = swarm
    link._rate = 4e6
    link.let_through(None)
    a.train()
    assert exchanged(a, c) >= 1
    sent = link.passed
    assert sent < 1.1 * 4 * NUMEL, "chunks were sent twice"
    assert not c.node.refused
