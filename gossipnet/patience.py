"""How long to wait for a neighbor, learnt from how long it took before."""

from collections import deque
from statistics import median

HISTORY = 32  # arrivals remembered per peer: enough for a median, short enough to follow a change
ENOUGH = 4  # arrivals before anything is learnt
SPREAD = 6.0  # of the median absolute deviation: about 4 standard deviations of a normal distribution
MARGIN_S = 0.05  # at least this much beyond the median: below the jitter of any scheduler


class Patience:
    """Waiting times of each peer; `of(peer)` is the time after which a model is taken to be late.

    The bound is median + 6 MAD of the observed waits, in seconds: robust to a few outliers, and it grows by itself
    with a peer that is slow but steady. Without the margin a peer that always takes 1 s would be late half the time.
    """

    def __init__(self) -> None:
        self._waits: dict[int, deque[float]] = {}

    def observe(self, peer: int, wait_s: float) -> None:
        """A model of `peer` came `wait_s` seconds after we began to wait (0 if it was there before)."""
        self._waits.setdefault(peer, deque(maxlen=HISTORY)).append(max(0.0, wait_s))

    def of(self, peer: int) -> float | None:
        """Seconds, at least 0.05; None while too little is known."""
        waits = self._waits.get(peer)
        if waits is None or len(waits) < ENOUGH:
            return None
        middle = median(waits)
        return middle + max(MARGIN_S, SPREAD * median(abs(w - middle) for w in waits))
