"""Nodes joined by FIFO links in memory, driven in any order that real life could produce: no clock, no thread."""

import random
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gossipnet.events import (
    Cancel,
    Evaluate,
    Evaluated,
    Fetch,
    Finish,
    Merge,
    Merged,
    PeerDown,
    PeerUp,
    Received,
    Report,
    Save,
    Saved,
    Send,
    SendDropped,
    Serve,
    Started,
    Train,
    Trained,
    Woke,
    one_by_one,
)
from gossipnet.model import Snapshot
from gossipnet.node import Node, NodeConfig, Phase
from gossipnet.topology import make_topology
from gossipnet.wire import Gone, Message, Offer, Payload

DIGEST = b"specspec"
ANSWERS = {Merge: lambda a: Merged(), Evaluate: lambda a: Evaluated({"accuracy": 0.5}), Save: lambda a: Saved()}


def snapshot(round: int, age: int = 0, digest: bytes = DIGEST) -> Snapshot:
    return Snapshot(digest, round, age, 1, storage=None)


@dataclass
class FakeSwarm:
    """`step` does one thing that could happen next, chosen by `rng`; `run` goes on until nothing can happen."""

    topology: str = "ring"
    n: int = 4
    rounds: int = 3
    quorum: int | None = None
    seed: int = 0
    drop: Callable[[Send], bool] = lambda send: False
    pull: bool = False  # models are offered and fetched, not pushed
    options: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        graph = make_topology(self.topology, n=self.n, seed=self.seed)
        config = {"rounds": self.rounds, "local_steps": 2, "digest": DIGEST, "quorum": self.quorum} | self.options
        self.make = lambda i, session=1: Node(graph.neighborhood(i), NodeConfig(**config, session=session))
        self.nodes = [self.make(i) for i in range(self.n)]
        self.now = 0.0
        self.links: dict[tuple[int, int], deque] = defaultdict(deque)
        self.work: dict[int, object] = {}
        self.fetches: dict[tuple[int, int], Message] = {}  # (to, from): the Offer
        self.merges: dict[int, list[Merge]] = defaultdict(list)
        self.reports: dict[int, list[Report]] = defaultdict(list)
        self.finished: dict[int, Finish] = {}
        self.cut: set[int] = set()  # nodes that are not there
        for i, node in enumerate(self.nodes):
            self.feed(i, Started())
            for peer in node.peers:
                self.feed(i, PeerUp(peer))

    def feed(self, i: int, event: object) -> None:
        events = deque([event])
        node = self.nodes[i]
        while events:
            for action in one_by_one(node.handle(events.popleft(), self.now)):
                match action:
                    case Send():
                        if self.drop(action):
                            events.append(SendDropped(action.message))
                        else:
                            self.links[i, action.message.receiver].append(action)
                    case Fetch():
                        assert self.pull, "a fetch of what was pushed"
                        self.fetches[i, action.message.sender] = action.message
                    case Cancel():
                        self.fetches.pop((i, action.peer), None)
                    case Serve():
                        raise AssertionError("chunks are not played here")
                    case Report():
                        self.reports[i].append(action)
                    case Finish():
                        self.finished[i] = action
                        for peer in node.peers:  # its process ends, and with it the link, after all that was sent
                            self.links[i, peer].append(PeerDown(i))
                    case _:
                        assert i not in self.work, "two actions at once"
                        self.work[i] = action
        assert node.inbox_size <= len(node.peers) * node.config.depth
        assert node.deadline is None or node.phase in (Phase.WAITING, Phase.HOLDING, Phase.LEAVING)

    def choices(self) -> list[tuple[str, object]]:
        here = [("work", i) for i in self.work if i not in self.cut]
        here += [("fetch", e) for e in self.fetches if not {*e} & self.cut]
        return here + [("link", e) for e, queue in self.links.items() if queue and not {*e} & self.cut]

    def step(self) -> bool:
        choices = self.choices()
        if not choices:
            return self.wake()
        kind, what = self.rng.choice(choices)
        if kind == "work":
            self.feed(what, self.answer(what, self.work.pop(what)))
        elif kind == "fetch":
            self.finish_fetch(*what)
        else:
            send = self.links[what].popleft()
            self.feed(what[1], self.arrival(send) if isinstance(send, Send) else send)
        return True

    def arrival(self, send: Send) -> Received:
        if not (self.pull and is_offer(send)):
            return Received(send.message, send.snapshot)
        payload = Payload("float32", 8, bytes(8), inline=False)
        return Received(replace(send.message, body=replace(send.message.body, payload=payload)))

    def finish_fetch(self, to: int, sender: int) -> None:
        """The whole model has come; or its sender does not have it any more."""
        message = self.fetches.pop((to, sender))
        kept, round = self.nodes[sender]._outbox, message.body.round
        if round in kept:
            self.feed(to, Received(message, kept[round]))
        else:
            self.feed(to, Received(Message(sender, to, message.session, Gone(round))))

    def answer(self, i: int, action: object) -> object:
        if isinstance(action, Train):
            return Trained(snapshot(action.round, self.nodes[i].age + action.steps), action.steps, 1.0)
        if isinstance(action, Merge):
            self.merges[i].append(action)
        return ANSWERS[type(action)](action)

    def wake(self) -> bool:
        """Nothing happens by itself: the next deadline comes."""
        due = [(n.deadline, i) for i, n in enumerate(self.nodes) if n.deadline is not None and i not in self.cut]
        if not due:
            return False
        at, i = min(due)
        self.now = max(self.now, at)
        self.feed(i, Woke())
        return True

    def run(self, most: int = 20_000) -> "FakeSwarm":
        for _ in range(most):
            if not self.step():
                return self
        raise AssertionError(f"no end: {[(n.phase, n.round) for n in self.nodes]}")

    def run_until(self, condition: Callable[[], bool], most: int = 20_000) -> "FakeSwarm":
        for _ in range(most):
            if condition():
                return self
            self.step()
        raise AssertionError("the condition never came true")

    def lose(self, i: int) -> None:
        """Node i is gone; its neighbors are told, and what was under way to and from it is lost."""
        self.cut.add(i)
        for edge in list(self.links):
            if i in edge:
                self.links[edge].clear()
                self.fetches.pop(edge, None)
        for peer in self.nodes[i].peers:
            self.feed(peer, PeerDown(i))

    def heal(self, i: int, node: Node | None = None) -> None:
        """Node i is back: the same process, or a new one."""
        self.cut.discard(i)
        peers = self.nodes[i].peers
        if node is None:
            for peer in peers:
                self.feed(i, PeerDown(peer))
        else:
            self.nodes[i] = node
            self.work.pop(i, None)
            self.feed(i, Started())
        for peer in peers:
            self.feed(i, PeerUp(peer))
            self.feed(peer, PeerUp(i))


def is_offer(send: Send) -> bool:
    return isinstance(send.message.body, Offer)
