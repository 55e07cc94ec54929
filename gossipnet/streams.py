"""One root seed, many independent streams: each keyed by (seed, node, purpose).

A stream depends on nothing else, so that a node draws the same numbers in its own process and in the simulator, and
a new purpose changes none of the old ones.
"""

import hashlib
from functools import lru_cache

import numpy as np

SWARM = -1  # in place of a node: a stream that all nodes share


def seed_of(seed: int, node: int, purpose: str) -> int:
    """A seed in [0, 2**63), for a generator of any library."""
    digest = hashlib.blake2b(f"{seed}/{node}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, node: int, purpose: str) -> np.random.Generator:
    """A numpy generator of that stream."""
    return np.random.Generator(np.random.PCG64(seed_of(seed, node, purpose)))


@lru_cache(maxsize=16)  # every node asks for itself: drawn anew, that would be quadratic
def evaluated(seed: int, nodes: int, most: int) -> frozenset[int]:
    """The nodes whose accuracy is measured: all, or as many as `most`, drawn by the seed."""
    if nodes <= most:
        return frozenset(range(nodes))
    return frozenset(generator(seed, SWARM, "evaluated").choice(nodes, most, replace=False).tolist())
