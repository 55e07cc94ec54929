"""What network and machines are simulated: the keys of [network], over a preset that gives those that are not given.

A preset fixes no key: `network.preset=wan` with `network.drop_rate=0.01` is that network with that share of drops. So a
run's config.toml, whose keys say "preset" where nothing was given, runs under another preset when told so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gossipnet.config import Experiment

PRESET = "preset"  # the value of a key that the preset gives; of one that is a name, "" is


@dataclass(frozen=True, slots=True)
class Conditions:
    """What holds for every link and node that the topology's file says nothing of."""

    latency_s: float = 0.001
    jitter_s: float = 0.0  # on top, uniform in [0, jitter_s]
    bandwidth_bytes_per_s: float = 0.0  # of each direction of a link; 0 is no limit
    drop_rate: float = 0.0
    duplicate_rate: float = 0.0
    reorder_rate: float = 0.0  # messages that wait for no earlier one of their link, and none for them
    speed: str = "same"
    churn: str = "none"


def extreme(cycle_s: float) -> Conditions:
    """The "extreme failures" of gossip learning (Ormandi, Hegedus, Jelasity, 2013), in cycles: half of all messages
    dropped, delays uniform in [1, 10], nodes online 90 % of the time, absences exp(N(0, 1)) long, models kept."""
    return Conditions(
        latency_s=cycle_s,
        jitter_s=9 * cycle_s,
        drop_rate=0.5,
        reorder_rate=1.0,
        churn=f"log-normal:online=0.9,median_s={cycle_s:.9g},sigma=1",
    )


# by name: a function of the seconds of a cycle, the local steps of one round at full speed
PRESETS: Mapping[str, Callable[[float], Conditions]] = {
    "ideal": lambda _: Conditions(),
    "lan": lambda _: Conditions(latency_s=0.0002, jitter_s=0.0001, bandwidth_bytes_per_s=125e6),
    "wan": lambda _: Conditions(latency_s=0.04, jitter_s=0.01, bandwidth_bytes_per_s=12.5e6),
    "edge": lambda _: Conditions(
        latency_s=0.05,
        jitter_s=0.1,
        bandwidth_bytes_per_s=1.25e6,
        drop_rate=0.01,
        speed="log-normal:sigma=0.5",
        churn="log-normal:online=0.95,median_s=30,sigma=1",
    ),
    "extreme": extreme,
}


def conditions(experiment: "Experiment") -> Conditions:
    """The experiment's, with its preset's where it says nothing."""
    preset = PRESETS[experiment.preset](experiment.local_steps * experiment.compute_s)
    given = {f.name: getattr(experiment, f.name) for f in fields(Conditions)}
    return replace(preset, **{name: value for name, value in given.items() if value not in ("", PRESET)})
