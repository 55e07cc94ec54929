"""How long to wait for a neighbor, learnt from how long it took before.

Theory of operation
-------------------
What is learnt is a delay: from when we begin to wait for a neighbor's next model to when that model comes. It is
negative if the model comes before we wait, by as much as it was early. A neighbor is *late* once its delay exceeds

    median + 6 MAD of its last 32 delays   (MAD: the median absolute deviation from the median)

which is robust to a few outliers, and grows by itself with a neighbor that is slow but steady, or becomes slower.

Two things would make it shrink, if they were not counted as they are. First, a model that comes after we gave up on
it counts with its true delay, from the beginning of the wait that it missed: to count only what was in time would
cut off the tail of the delays, then the tail of what is left, and in the end everybody. Second, a model that was
there before counts with how early it was, not as zero: zeros that pile up have no deviation, and a neighbor that is
early two times out of three and jittery would be given up on the third time.

We wait for a neighbor that does not answer once, not once per round: its wait goes on from where it began, and so is
over at once in all rounds after the one that gave up on it. The first model that comes from it ends that, and the
next wait for it is a new one. So a neighbor that was stopped and goes on is waited for again from its first model.
"""

from collections import deque
from collections.abc import Iterable
from statistics import median

HISTORY = 32  # delays remembered per peer: enough for a median, short enough to follow a change
ENOUGH = 4  # delays before anything is learnt
SPREAD = 6.0  # of the median absolute deviation: about 4 standard deviations of a normal distribution
MARGIN_S = 0.05  # at least this much beyond the median: below the jitter of any scheduler
NEWCOMER = 10.0  # times as long as we take, or the slowest known peer, for one of which too little is known
NEWCOMER_S = 1.0  # and at least 10 times this: whoever starts takes a while to warm up


class Patience:
    """When each peer is late. Times are seconds of the node's clock."""

    def __init__(self) -> None:
        self._delays: dict[int, deque[float]] = {}
        self._since: dict[int, float] = {}  # when we began to wait for what has not come yet
        self._early: dict[int, float] = {}  # when the model came that nobody waited for yet
        self._bounds: dict[int, float] = {}  # of those of whom enough is known
        self._own_s = 0.0

    def begin(self, now: float, missing: Iterable[int], here: Iterable[int]) -> None:
        """We begin to wait: for `missing`, but not for `here`, whose models came before."""
        for peer in missing:
            self._since.setdefault(peer, now)
        for peer in here:
            came = self._early.pop(peer, None)
            if came is not None:
                self._observe(peer, came - now)

    def came(self, peer: int, now: float) -> None:
        """A model of that peer came."""
        since = self._since.pop(peer, None)
        if since is not None:
            self._observe(peer, now - since)
        else:
            self._early.setdefault(peer, now)

    def forget(self, peer: int) -> None:
        """The peer is not there: what we wait for will not come. How long it used to take stays known."""
        self._since.pop(peer, None)
        self._early.pop(peer, None)

    def of(self, peer: int) -> float | None:
        """The delay after which that peer is late, at least 0.05 s; None while too little is known."""
        return self._bounds.get(peer)

    def took(self, own_s: float) -> None:
        """We took so long for the local steps of a round ourselves."""
        self._own_s = own_s

    def until(self, peer: int, now: float) -> float:
        """When that peer is late, which we wait for since `now` at the latest.

        One of which too little is known gets ten times as long as the slowest of all others, or as we take ourselves.
        """
        bound = self._bounds.get(peer)
        if bound is None:
            bound = NEWCOMER * max(NEWCOMER_S, self._own_s, *self._bounds.values())
        return self._since.setdefault(peer, now) + bound

    def _observe(self, peer: int, delay: float) -> None:
        delays = self._delays.setdefault(peer, deque(maxlen=HISTORY))
        delays.append(delay)
        if len(delays) >= ENOUGH:
            middle = median(delays)
            spread = SPREAD * median(abs(d - middle) for d in delays)
            self._bounds[peer] = max(MARGIN_S, middle + max(MARGIN_S, spread))
