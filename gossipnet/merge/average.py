"""The weighted average of all models, the reference that every other rule is compared with."""

from torch import Tensor

from gossipnet.merge.apart import Apart, own_of
from gossipnet.merge.blocks import Results, batched, weighted_sum
from gossipnet.merge.group import Group, Merge, merge_rule
from gossipnet.merge.variance import combine


@merge_rule("average", blocks="element", streams=True)
def average() -> Merge:
    """The weighted average of own and received models: gossip averaging, D-PSGD.

    Cheapest of all, and with doubly stochastic weights the mean over nodes does not move. It shrinks the variance of
    weights that are not correlated; variance-corrected is the same average with the variance put back.
    Source: Lian et al., 2017 (arXiv 1705.09056).
    """
    results = Results()

    def merge(group: Group) -> Tensor:
        vectors, own = group.vectors, own_of(group.vectors)
        weights = group.weights.to(own.dtype)
        if len(vectors) == 1:
            return results.like(own).copy_(own)
        if isinstance(vectors, Apart):
            return combine(group, lambda rows, _, out: weighted_sum(weights, rows, out), None, results)
        return weighted_sum(weights, vectors, None if batched(vectors) else results.like(own))

    return merge
