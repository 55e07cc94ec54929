"""Two merge rules that were weighed against `sign-aligned` and rejected; `bench/rejected.toml` shows why.

gossipnet bench bench/rejected.toml

Both look at the signs of weights, where `sign-aligned` looks at those of differences to one's own model.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gossipnet.merge import Group, merge_rule
from gossipnet.merge.blocks import Results, Scratch
from gossipnet.merge.group import Merge
from gossipnet.merge.variance import Correction, combine


@merge_rule("raw-sign-aligned", blocks="model")
def raw_sign_aligned() -> Merge:
    """Elect the sign of each weight, average those models that have it, correct the variance.

    TIES-Merging (Yadav et al. 2023, arXiv 2306.01708) with 0 as the base and no trimming.
    """
    return _by_sign(lambda rows, weights: (weights @ rows).sign())


@merge_rule("keep-own-sign", blocks="model")
def keep_own_sign() -> Merge:
    """Average, weight by weight, the models that have one's own sign there; correct the variance."""
    return _by_sign(lambda rows, weights: rows[0].sign())


def _by_sign(elect: Callable[[Tensor, Tensor], Tensor]) -> Merge:
    results = Results()

    def merge(group: Group) -> Tensor:
        if len(group.vectors) == 1:
            return group.vectors[0].clone()
        weights = group.weights.to(group.vectors.dtype)

        def how(rows: Tensor, scratch: Scratch, out: Tensor | None) -> Tensor:
            chosen = elect(rows, weights)
            agree = (rows.sign() == chosen).to(rows.dtype)
            share = weights @ agree
            mean = (weights @ (rows * agree)) / share.clamp_min(torch.finfo(rows.dtype).tiny)
            made = torch.where((share > 0) & (chosen != 0), mean, rows[0])
            return made if out is None else out.copy_(made)

        return combine(group, how, Correction(), results)

    return merge
