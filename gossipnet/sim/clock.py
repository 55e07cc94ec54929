"""Virtual time: what will happen, and when."""

import heapq
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Clock(Generic[T]):
    """What is due, in order of time; what is due at the same time comes in the order in which it was asked for.

    In step most of it is due at few times, so the heap is of times only, each with a queue.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._times: list[float] = []
        self._due: dict[float, deque[T]] = {}

    def __bool__(self) -> bool:
        return bool(self._times)

    @property
    def next_time(self) -> float:
        """When what happens next does. Raises IndexError if nothing will."""
        return self._times[0]

    def push(self, when: float, what: T) -> None:
        """Let `what` happen at `when`, in virtual seconds; at once if that is past."""
        if when < self.now:
            when = self.now
        queue = self._due.get(when)
        if queue is None:
            queue = self._due[when] = deque()
            heapq.heappush(self._times, when)
        queue.append(what)

    def pop(self) -> T:
        """What happens next; time goes on to when it does. Raises IndexError if nothing will."""
        now = self.now = self._times[0]
        queue = self._due[now]
        what = queue.popleft()
        if not queue:
            del self._due[heapq.heappop(self._times)]
        return what
