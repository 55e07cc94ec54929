"""Draws docs/images/exchange.svg: one round of two nodes, from what the nodes really do.

    python bench/exchange_picture.py [FILE]

Two `Node` objects are driven by hand under a virtual clock; every arrow and box is an action or an event of theirs,
so that the picture cannot lie. A test checks that the committed file is what this program draws.
"""

import sys
from html import escape
from pathlib import Path

from gossipnet.events import Finish, Merge, Merged, PeerUp, Received, Report, Send, Started, Train, Trained
from gossipnet.model import Snapshot
from gossipnet.node import Node, NodeConfig
from gossipnet.topology import make_topology

DIGEST = b"8 bytes!"
LATENCY_S, TRAIN_S, MERGE_S = 1.0, {0: 3.0, 1: 4.0}, 1.0
COLUMN = {("train", 0): 110, ("io", 0): 290, ("io", 1): 530, ("train", 1): 710}
STEP, TOP = 44, 96


def story() -> list[tuple[float, str, tuple, tuple, str]]:
    """(time_s, kind, from column, to column, text) of everything in the first round, in order."""
    nodes = [Node(make_topology("path", n=2).neighborhood(i), NodeConfig(2, 20, DIGEST)) for i in (0, 1)]
    due: list[tuple[float, int, int, object]] = []
    told: list[tuple[float, str, tuple, tuple, str]] = []

    def feed(at: float, i: int, event: object) -> None:
        for action in nodes[i].handle(event, at):
            order = len(told) + len(due)
            match action:
                case Send():
                    body = action.message.body
                    name = type(body).__name__.lower()
                    text = f"{name}, round {body.round}" + (" + model" if action.snapshot else "")
                    told.append((at, "message", ("io", i), ("io", 1 - i), text))
                    due.append((at + LATENCY_S, order, 1 - i, Received(action.message, action.snapshot)))
                case Train() if action.round == 1:
                    told.append((at, "action", ("io", i), ("train", i), f"train, {action.steps} steps"))
                    model = Snapshot(DIGEST, 1, action.steps, 100, None)
                    due.append((at + TRAIN_S[i], order, i, Trained(model, action.steps, 0.5)))
                case Merge():
                    told.append((at, "action", ("io", i), ("train", i), f"merge, {len(action.members) + 1} models"))
                    due.append((at + MERGE_S, order, i, Merged()))
                case Report() | Train() | Finish():
                    pass

    for i in (0, 1):
        feed(0.0, i, Started())
        feed(0.0, i, PeerUp(1 - i))
    while due:
        due.sort(key=lambda item: item[:2])
        at, _, i, event = due.pop(0)
        if isinstance(event, Trained | Merged):
            told.append((at, "event", ("train", i), ("io", i), type(event).__name__.lower()))
        feed(at, i, event)
    return told


def draw() -> str:
    """The picture as SVG text; it takes its colours from the page around it, light or dark."""
    rows = sorted(story(), key=lambda row: row[0])
    height = TOP + STEP * len(rows) + 24
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 820 {height}" font-family="sans-serif" font-size="13">',
        "<title>One exchange between two nodes</title>",
        "<style>svg{background:#fff;color:#1a1a1a} @media(prefers-color-scheme:dark){svg{background:#16181c;"
        "color:#e8e8e8}} .life{stroke:currentColor;stroke-opacity:.3} text{fill:currentColor}"
        " .message{stroke:#d55e00} .action{stroke:#0072b2} .event{stroke:#009e73} .head{font-weight:600}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="5" markerHeight="5" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="context-stroke"/></marker></defs>',
    ]
    for (side, node), x in COLUMN.items():
        name = "training thread" if side == "train" else "I/O thread"
        out.append(f'<text class="head" x="{x}" y="34" text-anchor="middle">node {node}</text>')
        out.append(f'<text x="{x}" y="52" text-anchor="middle">{name}</text>')
        out.append(f'<line class="life" x1="{x}" y1="64" x2="{x}" y2="{height - 12}"/>')
    for index, (at, kind, source, target, text) in enumerate(rows):
        y = TOP + STEP * index
        x1, x2 = COLUMN[source], COLUMN[target]
        drop = 16 if kind == "message" else 0
        ends = f'x1="{x1}" y1="{y}" x2="{x2}" y2="{y + drop}"'
        out.append(f'<line class="{kind}" stroke-width="2" {ends} marker-end="url(#tip)"/>')
        out.append(f'<text x="{(x1 + x2) / 2:g}" y="{y - 7}" text-anchor="middle">{escape(text)}</text>')
        out.append(f'<text x="12" y="{y + 4}" opacity=".6">{at:g} s</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/exchange.svg").write_text(draw())
