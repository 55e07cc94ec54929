"""How long to wait before a missing model is asked for, learnt from how long models took before.

A lost model holds up everybody in the end, so it is asked for as soon as it is late: after twice as long as our own
local steps took, or as the last model of a round usually takes to come by itself, whichever is longer. What comes after
an Ask may be the answer to it, and says nothing of how long models take (as with the retransmissions of TCP: P. Karn
and C. Partridge, Improving round-trip time estimates in reliable transport protocols, SIGCOMM 1987).
"""

AFTER_S = 1.0  # at most, and while nothing is learnt
AFTER_AT_LEAST_S = 0.1  # a busy machine holds a process up for as long
EVERY_AT_MOST_S = 8.0  # a model that is merely slow costs a few bytes
FORGET = 0.9  # a round: what took long once counts half after seven


class Asks:
    """Of one node. Each round `begin`, `asked` if it comes to that, and `over`, or in a wait for anything else
    `begin_otherwise`. Only a node in step has `over`, and models to tell of in `asked`: another learns nothing."""

    def __init__(self) -> None:
        self.after_s = AFTER_S  # before the first Ask of a round
        self.every_s = AFTER_S  # before the next
        self._took_s = 0.0
        self._usual_s: float | None = None  # until the last model of a round has come by itself
        self._asked = False

    def begin(self, took_s: float) -> None:
        """We wait for a round's models. Our local steps took `took_s`."""
        self._asked, self._took_s = False, took_s
        usual_s = self._usual_s
        if usual_s is None:
            late_s = AFTER_S
        else:  # without min and max, for this is done in each round of each node
            late_s = 2 * (took_s if took_s > usual_s else usual_s)
            if late_s < AFTER_AT_LEAST_S:
                late_s = AFTER_AT_LEAST_S
            elif late_s > AFTER_S:
                late_s = AFTER_S
        self.after_s = self.every_s = late_s

    def begin_otherwise(self) -> None:
        """We wait for something else than models."""
        self.every_s = AFTER_S

    def asked(self, came_s: float | None) -> None:
        """We asked. The last of the models that are here came after `came_s`, None if none is.

        Intervals are doubled up to as long as our own local steps took, between 1 and 8 s: rarer would not do, for who
        is asked may have waited for others himself, and what he answers may get lost.
        """
        if not self._asked and came_s is not None:
            self._learn(came_s)
        self._asked = True
        self.every_s = min(2 * self.every_s, max(AFTER_S, self._took_s), EVERY_AT_MOST_S)

    def over(self, came_s: float) -> None:
        """All models are here, the last of them after `came_s`."""
        if not self._asked:
            self._learn(came_s)

    def _learn(self, came_s: float) -> None:
        before_s = FORGET * (self._usual_s or 0.0)
        self._usual_s = came_s if came_s > before_s else before_s
