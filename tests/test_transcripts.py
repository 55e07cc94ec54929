"""Golden transcripts of one node: what happened to it, and exactly what it asked for.

A line at the margin is an event, with its time; the indented lines below it are the node's answer. `pytest --rewrite`
writes the answers anew: commit only what you understand.
"""

from pathlib import Path

import pytest
from fake_swarm import DIGEST, snapshot

from gossipnet.events import (
    Action,
    Cancel,
    Evaluate,
    Evaluated,
    Event,
    Failed,
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
    Served,
    Started,
    Stopped,
    Train,
    Trained,
    Woke,
    one_by_one,
)
from gossipnet.node import Node, NodeConfig
from gossipnet.topology import make_topology
from gossipnet.wire import Ack, Ask, Bye, Hello, Message, Offer, Pull, Reason, Refusal

FOLDER = Path(__file__).parent / "transcripts"
PLAIN = {"started": Started, "merged": Merged, "saved": Saved, "woke": Woke, "stopped": Stopped}
BODIES = {"ask": Ask, "ack": Ack, "bye": Bye}


def make_node(words: list[str]) -> Node:
    options = dict(word.split("=") for word in words)
    graph = make_topology(options.pop("topology"), n=int(options.pop("n")))
    numbers = {key: float(value) if "." in value else int(value) for key, value in options.items()}
    return Node(graph.neighborhood(0), NodeConfig(**({"local_steps": 5, "digest": DIGEST} | numbers)))


def read_event(node: Node, words: list[str]) -> Event:
    match words:
        case [name] if name in PLAIN:
            return PLAIN[name]()
        case ["trained"]:
            return Trained(snapshot(node.round, node.age + 5), 5, 0.5)
        case ["evaluated"]:
            return Evaluated({"accuracy": 0.5})
        case ["failed", *text]:
            return Failed(" ".join(text))
        case ["up", peer]:
            return PeerUp(int(peer))
        case ["down", peer]:
            return PeerDown(int(peer))
        case ["dropped", peer, round]:
            return SendDropped(Message(0, int(peer), 1, Offer(int(round), 0, 1, DIGEST)))
        case ["pull", peer, round, first, count, *session]:
            return received_pull(int(peer), int(session[0]) if session else 1, int(round), int(first), int(count))
        case ["left", peer, *numbers]:
            round, first, count, n_sent, n_chunks = map(int, numbers)
            return Served(int(peer), Pull(round, first, count, 1024), n_sent, n_chunks)
        case ["rubbish", reason]:
            return Received(Refusal(Reason(reason)))
        case [kind, peer, round, *rest]:
            return received(kind, int(peer), int(round), int(rest[0]) if rest else 1)
    raise AssertionError(f"no event: {words}")


def received(kind: str, peer: int, round: int, session: int) -> Received:
    if kind == "offer":
        body = Offer(round, round * 5, 1, DIGEST)
        return Received(Message(peer, 0, session, body), snapshot(round, round * 5))
    body = Hello(round, DIGEST) if kind == "hello" else BODIES[kind](round)
    return Received(Message(peer, 0, session, body))


def received_pull(peer: int, session: int, round: int, first: int, count: int) -> Received:
    return Received(Message(peer, 0, session, Pull(round, first, count, 1024)))


def write(action: Action) -> str:
    match action:
        case Train():
            return f"train: round {action.round}, {action.steps} steps"
        case Merge():
            members = ", ".join(f"{m.weight:.3f} of node {m.peer} (round {m.snapshot.round})" for m in action.members)
            return f"merge: {action.own_weight:.3f} own, {members}"
        case Evaluate():
            return "evaluate: all test samples" if action.final else "evaluate"
        case Save():
            return "save"
        case Send():
            body = action.message.body
            return f"send to {action.message.receiver}: {type(body).__name__.lower()} {body.round}"
        case Serve():
            chunks = f"{action.pull.first} to {action.pull.first + action.pull.count - 1}"
            return f"serve to {action.peer}: chunks {chunks} of round {action.snapshot.round}"
        case Cancel():
            return f"cancel what comes from {action.peer}"
        case Report():
            shown = {k: v for k, v in action.numbers.items() if k not in ("loss", "steps")}
            return " ".join(
                [
                    f"report: {action.event}",
                    *(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in shown.items()),
                ]
            )
        case Finish():
            return f"finish: {action.error}" if action.error else "finish"


def replay(text: str) -> str:
    """The transcript again, with the answers that the node gives now."""
    node, now, told = None, 0.0, []
    for line in text.splitlines():
        if line.startswith("    "):
            continue
        told.append(line)
        if not line or line.startswith("#"):
            continue
        first, *words = line.split()
        if first == "node":
            node = make_node(words)
            continue
        assert node is not None, "a transcript begins with: node topology=... n=... rounds=..."
        now = float(first.removesuffix("s"))
        told += [f"    {write(action)}" for action in one_by_one(node.handle(read_event(node, words), now))]
        if node.deadline is not None:
            told.append(f"    (wakes at {node.deadline:g}s)")
    return "\n".join(told) + "\n"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.txt")), ids=lambda f: f.stem)
def test_transcript(file: Path, request: pytest.FixtureRequest) -> None:
    text = file.read_text()
    again = replay(text)
    if request.config.getoption("--rewrite"):
        file.write_text(again)
    assert again == text


def test_there_are_transcripts() -> None:
    assert len(list(FOLDER.glob("*.txt"))) >= 6
