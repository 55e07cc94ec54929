"""How fast simulated nodes compute. A speed is a factory of a function `speed(stream) -> factor` of one node.

A node of factor 0.5 takes twice as long for a local step as `network.compute_s` says. `stream` is a numpy generator of
the node's own; the attribute `speed` of a node in the topology's file wins.
"""

from collections.abc import Callable

import numpy as np

from gossipnet.errors import BadInput
from gossipnet.registry import Registry
from gossipnet.streams import generator
from gossipnet.topology import Topology

Speed = Callable[[np.random.Generator], float]

speeds: Registry[Speed] = Registry("speed", "speed")


@speeds.register("same")
def same() -> Speed:
    """All nodes take network.compute_s for a local step; the default."""
    return lambda stream: 1.0


@speeds.register("log-normal")
def log_normal(sigma: float = 0.5) -> Speed:
    """Factors exp(N(0, sigma)): the median is 1; sigma=0.5 is 2.7 times between the slowest and the fastest 2.5 %."""
    _check(sigma >= 0, "log-normal", "sigma", sigma, "at least 0")
    return lambda stream: float(np.exp(sigma * stream.standard_normal()))


@speeds.register("uniform")
def uniform(low: float = 0.5, high: float = 1.0) -> Speed:
    """Factors spread evenly from low to high."""
    _check(0 < low <= high, "uniform", "low", low, f"above 0 and at most high={high:g}")
    return lambda stream: float(stream.uniform(low, high))


@speeds.register("stragglers")
def stragglers(share: float = 0.1, factor: float = 0.1) -> Speed:
    """Each node is a straggler of that factor with probability share, else of factor 1."""
    _check(0 <= share <= 1, "stragglers", "share", share, "0 to 1")
    _check(factor > 0, "stragglers", "factor", factor, "above 0")
    return lambda stream: factor if stream.random() < share else 1.0


def node_speeds(text: str, topology: Topology, seed: int) -> list[float]:
    """The factor of each node, above 0. Raises BadInput."""
    speed = speeds.make(text)
    factors = []
    for node in range(topology.n):
        given = topology.node_attributes.get(node, {}).get("speed")
        factor = speed(generator(seed, node, "speed")) if given is None else float(given)
        if not 0 < factor < float("inf"):
            raise BadInput(f"network.speed: {text!r} gave node {node} the factor {factor!r}, expected a number above 0")
        factors.append(factor)
    return factors


def _check(good: bool, name: str, option: str, got: float, expected: str) -> None:
    if not good:
        raise BadInput(f"speed {name!r}, option {option!r}: got {got:g}, expected {expected}")
