"""Networks that are cut for a while: `"5..8 0-3"` parts nodes 0 to 3 from all others from 5 s to 8 s of virtual time.

"5..8 0-3 | 4 5"     three groups: these, those, and the rest
"5..8 0 1 > 2-7"     one way: nothing gets from nodes 0 and 1 to nodes 2 to 7
"5.. 0-3"            for good
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gossipnet.config import CUT
from gossipnet.errors import BadInput


@dataclass(frozen=True)
class Cut:
    """From `begin_s` until `end_s` nothing gets from one group to another; one way, only not from the first."""

    begin_s: float
    end_s: float
    groups: tuple[frozenset[int], ...]
    one_way: bool

    def parts(self, sender: int, receiver: int) -> bool:
        """Whether it holds up what goes from `sender` to `receiver`."""
        if self.one_way:
            return sender in self.groups[0] and receiver in self.groups[1]
        return self._group(sender) != self._group(receiver)

    def _group(self, node: int) -> int:
        return next((k for k, group in enumerate(self.groups) if node in group), -1)


def parse_cut(text: str, n: int) -> Cut:
    """The cut that `text` describes, of a network of `n` nodes. Raises BadInput."""
    if not re.fullmatch(CUT, text):
        raise BadInput(f"network.cuts: got {text!r}, expected FROM..TO NODES, in seconds, as in '5..8 0-3'")
    times, nodes = text.strip().split(maxsplit=1)
    begin, end = times.split("..")
    one_way = ">" in nodes
    groups = tuple(_group(part, text, n) for part in nodes.split(">" if one_way else "|"))
    begin_s, end_s = float(begin), float(end) if end else math.inf
    if end_s <= begin_s:
        raise BadInput(f"network.cuts: {text!r} ends before it begins, expected FROM..TO with FROM below TO")
    if any(a & b for i, a in enumerate(groups) for b in groups[:i]):
        raise BadInput(f"network.cuts: {text!r} has a node on both sides, expected each once")
    return Cut(begin_s, end_s, groups, one_way)


def parse_cuts(texts: Sequence[str], n: int) -> tuple[Cut, ...]:
    """All cuts of an experiment. Raises BadInput."""
    return tuple(parse_cut(text, n) for text in texts)


def _group(text: str, whole: str, n: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split():
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        if high < low or high >= n:
            raise BadInput(f"network.cuts: {whole!r} names nodes {part}, expected nodes of 0 to {n - 1}")
        found.update(range(low, high + 1))
    return frozenset(found)
