"""Mixings: how much a node's neighbors count when it merges. A mixing turns degrees into one row of W.

A mixing is a factory of a plain function `weights(receives, sends) -> list of floats`: `receives` is how many nodes
this one hears in the round, `sends` is, for each of them in order, how many nodes that one sends to. What the weights
leave of 1 is the node's own. On an undirected graph both numbers are the degree.
"""

from collections.abc import Callable, Sequence
from typing import Any

from gossipnet.errors import BadInput
from gossipnet.registry import Registry

Mixing = Callable[[int, Sequence[int]], Sequence[float]]

mixings: Registry[Mixing] = Registry("mixing", "mixing")


def make_mixing(text: str) -> Mixing:
    """The mixing that `text` names, such as `"keep:own=0.5"`. Raises BadInput."""
    made: Any = mixings.make(text)
    if not callable(made):
        raise BadInput(f"mixing {text!r} made a {type(made).__name__}; expected a function weights(receives, sends)")
    return made  # type: ignore[no-any-return]


@mixings.register("metropolis")
def metropolis() -> Mixing:
    """1 / (1 + the larger degree of the two): symmetric, keeps the mean of all models; the default.

    On a directed edge j -> i the degrees are how many i hears and how many j sends to. Rows then sum to 1 and columns
    stay below 1 plus the node's own weight; where every node hears and sends alike, W is doubly stochastic.
    """
    return lambda receives, sends: [1 / (1 + max(receives, d)) for d in sends]


@mixings.register("lazy")
def lazy() -> Mixing:
    """Half metropolis, half standing still: (I + W) / 2, with no negative eigenvalue, so it never oscillates."""
    return lambda receives, sends: [0.5 / (1 + max(receives, d)) for d in sends]


@mixings.register("uniform")
def uniform() -> Mixing:
    """The same weight for oneself and for each neighbor: rows sum to 1, columns need not (hubs count more)."""
    return lambda receives, sends: [1 / (1 + receives)] * receives


@mixings.register("keep")
def keep(own: float = 0.5) -> Mixing:
    """Keep the share `own` of one's own model and spread the rest evenly over the neighbors."""
    if not 0 <= own < 1:
        raise BadInput(f"mixing 'keep', option 'own': got {own:g}, expected at least 0 and below 1; try keep:own=0.5")
    return lambda receives, sends: [(1 - own) / receives] * receives
