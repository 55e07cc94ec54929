"""The weighted average of all models, the reference that every other rule is compared with."""

from torch import Tensor

from gossipnet.merge.blocks import Results, batched, weighted_sum
from gossipnet.merge.group import Group, Merge, merge_rule


@merge_rule("average", blocks="element")
def average() -> Merge:
    """The weighted average of own and received models: gossip averaging, D-PSGD.

    Cheapest of all, and with doubly stochastic weights the mean over nodes does not move. It shrinks the variance of
    weights that are not correlated; variance-corrected is the same average with the variance put back.
    Source: Lian et al., 2017 (arXiv 1705.09056).
    """
    results = Results()

    def merge(group: Group) -> Tensor:
        vectors = group.vectors
        if len(vectors) == 1:
            return results.like(vectors).copy_(vectors[0])
        out = None if batched(vectors) else results.like(vectors)
        return weighted_sum(group.weights.to(vectors.dtype), vectors, out)

    return merge
