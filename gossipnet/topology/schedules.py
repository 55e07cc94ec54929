"""Topologies that change every round: factories that return one graph per round of a period.

All nodes must agree on n, on the seed and on the round. The random ones draw `period` rounds and then repeat them.
"""

import math
import random
from collections.abc import Iterator

from gossipnet.errors import BadInput
from gossipnet.topology.convert import Graph
from gossipnet.topology.graph import MIXING_WEIGHT
from gossipnet.topology.named import check_regular, topologies

PERIOD = 32


@topologies.register("one-peer-exponential")
def one_peer_exponential(n: int) -> list[Graph]:
    """Round t sends to the node 2^t further on: one model per round, exact after log2(n) rounds if n is 2^k.

    Ying et al. 2021. With n nodes the offsets 1, 2, 4, ... below n take turns.
    """
    import networkx as nx

    rounds = []
    for t in range(max(1, (n - 1).bit_length())):
        graph = nx.DiGraph()
        graph.add_nodes_from(range(n))
        graph.add_edges_from((i, (i + 2**t) % n) for i in range(n) if n > 1)
        rounds.append(graph)
    return rounds


@topologies.register("random-matching")
def random_matching(n: int, seed: int, period: int = PERIOD) -> list[Graph]:
    """Random pairs each round: one model per node and round; with n odd, one node sits out."""
    import networkx as nx

    rounds = []
    for draw in _streams("random-matching", seed, period):
        order = list(range(n))
        draw.shuffle(order)
        graph = nx.Graph()
        graph.add_nodes_from(range(n))
        graph.add_edges_from(zip(order[::2], order[1::2], strict=False))
        rounds.append(graph)
    return rounds


@topologies.register("random-regular")
def random_regular(n: int, seed: int, d: int = 4, period: int = PERIOD) -> list[Graph]:
    """A fresh random graph with d neighbors per node each round (the oracle variant of Epidemic Learning)."""
    import networkx as nx

    check_regular("random-regular", n, d)
    streams = _streams("random-regular", seed, period)
    return [nx.random_regular_graph(d, n, seed=s.getrandbits(32)) for s in streams]


@topologies.register("base")
def base(n: int, k: int = 1) -> list[Graph]:
    """At most k neighbors a round, exact averaging after about 2 log(n) / log(k + 1) rounds, for every n.

    The Base-(k+1) graph, Takezawa et al. 2023. It brings its own mixing weights.
    """
    if not 1 <= k < max(n, 2):
        raise BadInput(f"base needs k from 1 to n - 1 = {n - 1}; got k={k}")
    import networkx as nx

    rounds = []
    for weights in _shortest_base(n, k + 1):
        graph = nx.Graph()
        graph.add_nodes_from(range(n))
        graph.add_edges_from((i, j, {MIXING_WEIGHT: w}) for (i, j), w in weights.items())
        rounds.append(graph)
    return rounds


def _streams(name: str, seed: int, period: int) -> Iterator[random.Random]:
    """An independent generator for each round."""
    if period < 1:
        raise BadInput(f"{name}, option 'period': got {period}, expected at least 1 round")
    return (random.Random(f"{seed}:{name}:{r}") for r in range(period))


# The Base graph. A round is {(i, j): W_ij}, i < j; what a node does not give away it keeps.
Weights = dict[tuple[int, int], float]


def _shortest_base(n: int, b: int) -> list[Weights]:
    """Rounds whose product averages n nodes exactly, with fewer than b neighbors each: the shorter of two ways."""
    simple = _simple_base(list(range(n)), b)
    p = math.gcd(n, math.prod(f ** int(math.log(n) / math.log(f) + 1e-9) for f in range(2, b + 1)))
    q = n // p
    groups = [list(range(g * q, (g + 1) * q)) for g in range(p)]
    within = [_union(parts) for parts in zip(*(_simple_base(group, b) for group in groups), strict=True)]
    across = zip(*(_hypercube([group[m] for group in groups], b) for m in range(q)), strict=True)
    both = within + [_union(parts) for parts in across]
    return min((rounds for rounds in (simple, both)), key=len) or [{}]


def _union(parts: tuple[Weights, ...]) -> Weights:
    return {edge: w for part in parts for edge, w in part.items()}


def _factors(n: int, b: int) -> list[int] | None:
    """n as a product of factors from 2 to b, the largest first; None if it has a larger prime factor."""
    factors = []
    while n > 1:
        f = next((f for f in range(b, 1, -1) if n % f == 0), None)
        if f is None:
            return None
        factors.append(f)
        n //= f
    return factors


def _hypercube(nodes: list[int], b: int) -> list[Weights]:
    """The hyper-hypercube: round r averages cliques of f_r nodes; len(nodes) must have no prime factor above b."""
    rounds: list[Weights] = []
    stride = 1
    for f in _factors(len(nodes), b) or []:
        weights: Weights = {}
        for start in range(len(nodes)):
            if start // stride % f == 0:
                _clique(weights, [nodes[start + m * stride] for m in range(f)])
        rounds.append(weights)
        stride *= f
    return rounds


def _clique(weights: Weights, members: list[int]) -> None:
    """Add a plain average over `members`."""
    for a, i in enumerate(members):
        for j in members[a + 1 :]:
            weights[min(i, j), max(i, j)] = 1 / len(members)


def _digits(n: int, b: int) -> list[tuple[int, int]]:
    """n = sum of a * b^p as (a, p) with 0 < a < b, p descending."""
    digits = []
    p = 0
    while n:
        n, a = divmod(n, b)
        if a:
            digits.append((a, p))
        p += 1
    return digits[::-1]


def _simple_base(nodes: list[int], b: int) -> list[Weights]:
    """The simple base graph: n = sum of a * b^p gives sets of a subsets of b^p nodes each, largest first.

    Each set averages itself; then, set by set, every node of the smaller sets exchanges with one node of each subset
    of the set, so that each subset holds its share of everything; then each subset averages itself.
    """
    sets: list[list[list[int]]] = []
    rest = nodes
    for a, p in _digits(len(nodes), b):
        sets.append([rest[m * b**p : (m + 1) * b**p] for m in range(a)])
        rest = rest[a * b**p :]
    whole = [_hypercube([i for subset in parts for i in subset], b) for parts in sets]
    rounds = [_union(tuple(own[t % len(own)] for own in whole if own)) for t in range(len(whole[0]))]
    if len(sets) == 1:
        return rounds
    spread = [_exchange(sets[r:]) for r in range(len(sets) - 1)]
    inside = [[_hypercube(subset, b) for subset in parts] for parts in sets]
    for t in range(max(len(spread), max(r + 1 + len(own[0]) for r, own in enumerate(inside[:-1])))):
        parts = [own[t - r - 1] for r, each in enumerate(inside[:-1]) for own in each if 0 < t - r <= len(own)]
        rounds.append(_union((*parts, *spread[t : t + 1])))
    return rounds


def _exchange(sets: list[list[list[int]]]) -> Weights:
    """Every node of the later sets gives and takes with one node of each subset of the first set."""
    first, *others = sets
    later = [i for parts in others for subset in parts for i in subset]
    size = sum(map(len, first))
    weight = size / (size + len(later)) / len(first)
    pairs = ((i, subset[m]) for m, i in enumerate(later) for subset in first)
    return {(min(i, j), max(i, j)): weight for i, j in pairs}
