"""Who talks to whom, and how much each model counts: graphs by name or file, mixing weights, schedules, spectra.

    make_topology("small-world:k=4,p=0.2", n=16).neighborhood(3)    # what node 3 needs
    @topology("two-rings")                                          # your own: (n, seed, options) -> networkx graph

`Row` and `Neighborhood` are all that a node needs; networkx is imported only when a graph is made.
"""

from gossipnet.registry import also_decorator
from gossipnet.topology import schedules  # noqa: F401  (registers its names)
from gossipnet.topology.files import save
from gossipnet.topology.graph import Edge, Topology
from gossipnet.topology.make import absolute, from_graphs, known_topologies, make_topology
from gossipnet.topology.mixing import Mixing, make_mixing, mixings
from gossipnet.topology.named import topologies
from gossipnet.topology.row import Neighborhood, Row

topology = topologies.register
also_decorator(__name__, topologies)

__all__ = [
    "Edge",
    "Mixing",
    "Neighborhood",
    "Row",
    "Topology",
    "absolute",
    "from_graphs",
    "known_topologies",
    "make_mixing",
    "make_topology",
    "mixings",
    "save",
    "topologies",
    "topology",
]
