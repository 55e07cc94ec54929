"""Learning-rate schedules, by name: a factor of the learning rate for each round.

A schedule goes by rounds, not by steps: all local steps between two merges have the same learning rate. A free-running
node goes by its own rounds.
"""

import math
from collections.abc import Callable

from gossipnet.errors import BadInput
from gossipnet.registry import Registry

Schedule = Callable[[int, int], float]  # (round, from 1; rounds of the run) -> factor of the learning rate, >= 0

schedules: Registry[Schedule] = Registry("schedule", "schedule")


def make_schedule(text: str) -> Schedule:
    """The schedule that `text` describes ("step:every=10,factor=0.5"). Raises BadInput."""
    schedule: Schedule = schedules.make(text)

    def checked(round: int, rounds: int) -> float:
        factor = schedule(round, rounds)
        if not 0 <= factor < math.inf:
            raise BadInput(f"schedule {text!r}: got a factor of {factor} for round {round}, expected a number >= 0")
        return factor

    return checked


@schedules.register("constant")
def constant() -> Schedule:
    """The same learning rate in every round."""
    return lambda round, rounds: 1.0


@schedules.register("step")
def step(every: int = 10, factor: float = 0.1) -> Schedule:
    """Multiplied by `factor` after every `every` rounds."""
    if every < 1:
        raise BadInput(f"schedule 'step': got every={every}, expected 1 round or more")
    _share("step", "factor", factor)
    return lambda round, rounds: float(factor ** ((round - 1) // every))


@schedules.register("cosine")
def cosine(floor: float = 0.0) -> Schedule:
    """Falls along half a cosine towards the share `floor` of the learning rate (Loshchilov and Hutter 2017)."""
    _share("cosine", "floor", floor)
    return lambda round, rounds: _half_cosine((round - 1) / rounds, floor)


@schedules.register("warmup-cosine")
def warmup_cosine(warmup: float = 0.1, floor: float = 0.0) -> Schedule:
    """Rises evenly through the share `warmup` of the rounds, then falls as `cosine` does."""
    _share("warmup-cosine", "warmup", warmup)
    _share("warmup-cosine", "floor", floor)

    def factor(round: int, rounds: int) -> float:
        rising = min(rounds - 1, math.ceil(warmup * rounds))
        if round <= rising:
            return round / (rising + 1)
        return _half_cosine((round - 1 - rising) / (rounds - rising), floor)

    return factor


def _half_cosine(done: float, floor: float) -> float:
    """1 at the start, `floor` when all is done, which the last round is not yet: no round is for nothing."""
    return floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2


def _share(schedule: str, option: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise BadInput(f"schedule {schedule!r}: got {option}={value:g}, expected a number from 0 to 1")
