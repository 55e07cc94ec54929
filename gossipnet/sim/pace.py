"""What the work of simulated nodes takes, in virtual seconds: local steps, merges, evaluations; and when nodes start.

The times of a node's rounds are drawn from a stream of its own, so that no node changes those of another.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gossipnet.streams import generator


@dataclass(frozen=True, kw_only=True)
class Times:
    """The times of an experiment. `step_s` and `start_s` have an item per node, or none at all."""

    compute_s: float = 0.01  # of a local step, at speed 1
    step_s: Sequence[float] = ()  # the same of each node, whatever its speed
    spread: float = 0.0  # sigma of the logarithm of a round's local steps
    merge_s: float = 0.0
    evaluate_s: float = 0.0  # of an evaluation during the run
    start_s: Sequence[float] = ()  # the start of each node; all at 0 without


class Pace:
    """How fast every node is. `speeds`: (n,) factors."""

    def __init__(self, times: Times, speeds: Sequence[float], seed: int) -> None:
        n = len(speeds)
        self.merge_s, self.evaluate_s = times.merge_s, times.evaluate_s
        self._step_s = list(times.step_s) or [times.compute_s / speed for speed in speeds]
        self._start_s = list(times.start_s) or [0.0] * n
        self._spread = times.spread
        self._streams = [generator(seed, node, "pace") for node in range(n)] if times.spread else []

    @property
    def all_started_s(self) -> float:
        """When the last node starts."""
        return max(self._start_s)

    def start_s(self, node: int) -> float:
        return self._start_s[node]

    def step_s(self, node: int) -> float:
        """A local step of that node in its next round. Another call is another round.

        Drawn from a log-normal law whose mean is the node's: many rounds take what they would take without spread.
        """
        if not self._spread:
            return self._step_s[node]
        draw = self._streams[node].standard_normal()
        return self._step_s[node] * math.exp(self._spread * draw - self._spread**2 / 2)
