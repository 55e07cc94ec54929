"""A stand-in for the lanes of a GPU, on the CPU: copies are put off until somebody waits for them.

No GPU would be slower. So whatever is written to, read or let go of too early leaves wrong numbers here.
"""

import threading
from collections import deque
from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class LateMark:
    lanes: "LateLanes"
    number: int

    def synchronize(self) -> None:
        self.lanes.reach(self.number)


@dataclass
class LateLanes:
    """`said` has what was asked for, in order; `done` counts the copies that were made."""

    said: list[str] = field(default_factory=list)
    copies: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    done: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _waiting: deque[tuple[Tensor, Tensor]] = field(default_factory=deque)

    def copy(self, into: Tensor, source: Tensor) -> None:
        self.said.append("copy")
        self.copies.append((into, source))
        self._waiting.append((into, source))

    def mark(self) -> LateMark:
        return LateMark(self, len(self.copies))

    def wait(self, mark: LateMark) -> None:
        self.said.append("wait")
        mark.synchronize()

    def reach(self, number: int) -> None:
        with self._lock:
            while self.done < number:
                into, source = self._waiting.popleft()
                into.copy_(source)
                self.done += 1
