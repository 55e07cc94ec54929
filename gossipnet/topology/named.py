"""Topologies by name. Each is a factory `(n, seed, options) -> networkx graph`; the ones without `seed` are fixed."""

import math

from gossipnet.errors import BadInput
from gossipnet.registry import Registry
from gossipnet.topology.convert import Graph

topologies: Registry[Graph] = Registry("topology", "topology")


@topologies.register("ring")
def ring(n: int) -> Graph:
    """Each node and its two neighbors on a circle: cheapest, slowest to mix."""
    import networkx as nx

    return nx.cycle_graph(n)


@topologies.register("path")
def path(n: int) -> Graph:
    """A line of nodes."""
    import networkx as nx

    return nx.path_graph(n)


@topologies.register("complete")
def complete(n: int) -> Graph:
    """Everybody with everybody: averages exactly in one round, at n - 1 models per node."""
    import networkx as nx

    return nx.complete_graph(n)


@topologies.register("star")
def star(n: int) -> Graph:
    """Node 0 in the middle, as a federated-averaging server would be."""
    import networkx as nx

    if n < 2:
        raise BadInput(f"a star needs at least 2 nodes, a middle and a leaf; got n={n}")
    return nx.star_graph(n - 1)


@topologies.register("tree")
def tree(n: int, children: int = 2) -> Graph:
    """A tree that is filled level by level, `children` below each node."""
    import networkx as nx

    if children < 1:
        raise BadInput(f"a tree needs at least 1 child per node; got children={children}")
    return nx.full_rary_tree(children, n)


@topologies.register("grid")
def grid(n: int, rows: int = 0) -> Graph:
    """A rectangle of rows x columns, as square as possible unless `rows` is given."""
    import networkx as nx

    return nx.convert_node_labels_to_integers(nx.grid_2d_graph(*_rectangle("grid", n, rows)))


@topologies.register("torus")
def torus(n: int, rows: int = 0) -> Graph:
    """A grid whose opposite borders are joined, as square as possible unless `rows` is given."""
    import networkx as nx

    return nx.convert_node_labels_to_integers(nx.grid_2d_graph(*_rectangle("torus", n, rows), periodic=True))


@topologies.register("hypercube")
def hypercube(n: int) -> Graph:
    """n = 2^k nodes, each with the k whose binary number differs in one digit."""
    import networkx as nx

    k = (n - 1).bit_length()
    if n != 2**k:
        raise BadInput(f"a hypercube has 2^k nodes; got n={n}: use {2 ** (k - 1)} or {2**k}")
    graph = nx.empty_graph(n)
    graph.add_edges_from((i, i ^ 1 << b) for i in range(n) for b in range(k))
    return graph


@topologies.register("regular")
def regular(n: int, seed: int, d: int = 4) -> Graph:
    """A random graph in which every node has d neighbors: mixes fast whatever n."""
    import networkx as nx

    check_regular("regular", n, d)
    return nx.random_regular_graph(d, n, seed=seed)


@topologies.register("small-world")
def small_world(n: int, seed: int, k: int = 4, p: float = 0.2) -> Graph:
    """A circle with k neighbors per node, each edge rewired at random with probability p (Watts and Strogatz)."""
    import networkx as nx

    if not 2 <= k < n or k % 2:
        raise BadInput(f"small-world needs an even k from 2 to {_even_below(n)} with n={n}; got k={k}")
    _probability("small-world", p)
    return nx.watts_strogatz_graph(n, k, p, seed=seed)


@topologies.register("erdos-renyi")
def erdos_renyi(n: int, seed: int, p: float = 0.3) -> Graph:
    """Every pair of nodes is joined with probability p."""
    import networkx as nx

    _probability("erdos-renyi", p)
    return nx.gnp_random_graph(n, p, seed=seed)


@topologies.register("scale-free")
def scale_free(n: int, seed: int, m: int = 2) -> Graph:
    """Nodes arrive one by one and join m others, the popular ones first (Barabasi and Albert): a few hubs."""
    import networkx as nx

    if not 1 <= m < n:
        raise BadInput(f"scale-free needs m from 1 to {max(n - 1, 1)} with n={n}; got m={m}")
    return nx.barabasi_albert_graph(n, m, seed=seed)


@topologies.register("exponential")
def exponential(n: int) -> Graph:
    """Node i sends to i + 1, i + 2, i + 4, ... (mod n): directed, about log2(n) models per node and round."""
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from((i, (i + 2**p) % n) for i in range(n) for p in range((n - 1).bit_length()))
    return graph


def check_regular(name: str, n: int, d: int) -> None:
    """Raises BadInput unless there is a graph of n nodes with d neighbors each."""
    if not 1 <= d < n:
        raise BadInput(f"{name} needs d from 1 to n - 1 = {n - 1}; got d={d}")
    if n * d % 2:
        fits = d - 1 if d > 2 else d + 1
        raise BadInput(f"{name} needs an even n x d; got n={n}, d={d}: use d={fits} or n={n + 1}")


def _probability(name: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise BadInput(f"{name}, option 'p': got {p:g}, expected a probability from 0 to 1")


def _even_below(n: int) -> int:
    return max(2, (n - 1) // 2 * 2)


def _rectangle(name: str, n: int, rows: int) -> tuple[int, int]:
    """(rows, columns) of n nodes, both at least 2 unless n is 1. Raises BadInput with sizes that fit."""
    if n == 1 and rows in (0, 1):
        return 1, 1
    if rows == 0:
        rows = most_square(n)
        if not rows:
            near = [m for m in range(max(4, n - 2), n + 4) if most_square(m)]
            raise BadInput(
                f"a {name} has rows x columns nodes; {n} fits none: use {' or '.join(map(_sized, near[:3]))}"
            )
    elif rows < 2 or n % rows or n // rows < 2:
        fits = [r for r in range(2, n // 2 + 1) if n % r == 0]
        fix = f"rows={' or '.join(map(str, fits))}" if fits else f"rows={max(rows, 2)} and n={2 * max(rows, 2)}"
        raise BadInput(f"a {name} of n={n} nodes cannot have rows={rows}: use {fix}")
    return rows, n // rows


def most_square(n: int) -> int:
    """The number of rows of the most square rectangle of n nodes with at least 2 rows; 0 if there is none."""
    return max((r for r in range(2, math.isqrt(n) + 1) if n % r == 0), default=0)


def _sized(n: int) -> str:
    rows = most_square(n)
    return f"{n} ({rows}x{n // rows})"
