"""Sign-aligned merging: neighbors vote, element by element, on the direction in which the own model moves."""

import torch
from torch import Tensor

from gossipnet.errors import BadInput, unknown
from gossipnet.merge.blocks import Results, Scratch, batched, weighted_sum
from gossipnet.merge.group import Group, Merge, merge_rule
from gossipnet.merge.variance import Correction, combine

ELECTIONS = ("mass", "count")
_PIECE = 1 << 20  # numbers compared at a time by `sign_agreement`


@merge_rule("sign-aligned", blocks="model")
def sign_aligned(trim: float = 0.0, elect: str = "mass", scope: bool = True) -> Merge:
    """Move the own model by the mean of those neighbors' differences that agree with the elected sign.

    With t_j = x_j - own: elect sign(sum_j w_j t_j) per element, average the agreeing t_j with renormalised weights, and
    move own by (sum_j w_j) of that, dissenters' weight included. No winner keeps own. Then the variance of every
    weight tensor is corrected as by variance-corrected. Unlike TIES, the base is the own model, which a gossip node
    always has, and not a shared ancestor; where all agree it is the weighted average.

    trim: share in [0, 1) of each neighbor's smallest |t_j| (over the whole model) that has no say; more drops more.
    elect: mass (signed sum) or count (one vote a neighbor). scope: off leaves the variance uncorrected.
    Raises BadInput. Source: TIES-Merging, Yadav et al., 2023 (arXiv 2306.01708), for the election.
    """
    if not 0 <= trim < 1:
        raise BadInput(f"merge rule 'sign-aligned', option 'trim': got {trim:g}, expected a share in [0, 1)")
    if elect not in ELECTIONS:
        raise unknown("election of merge rule 'sign-aligned' called", elect, ELECTIONS)
    correction, results = Correction() if scope else None, Results()

    def merge(group: Group) -> Tensor:
        if len(group.vectors) == 1:
            return results.like(group.vectors).copy_(group.vectors[0])
        weights = group.weights[1:].to(group.vectors.dtype)
        steps = weights * weights.sum()
        least = _thresholds(group.vectors, trim) if trim else None

        def align(rows: Tensor, scratch: Scratch, out: Tensor | None) -> Tensor:
            elected, agreeing = _agree(rows, weights, least, elect, scratch)
            total = weighted_sum(steps, agreeing, scratch("total", rows.shape[1]))
            share = weighted_sum(weights, agreeing.sign_(), scratch("share", rows.shape[1]))
            total /= share.clamp_min_(torch.finfo(share.dtype).tiny)  # 0 / tiny where nobody won
            return torch.addcmul(rows[0], total, elected, out=out)

        return combine(group, align, correction, results)

    return merge


def _agree(rows: Tensor, weights: Tensor, least: Tensor | None, elect: str, scratch: Scratch) -> tuple[Tensor, Tensor]:
    """The elected signs (n,) and |x_j - own| of those who agree, 0 for the others, (k, n), of one block (k+1, n).

    Signs are multiplied with and clamped rather than compared: torch's comparisons and `where` cost ten times more.
    """
    deltas = torch.sub(rows[1:], rows[0], out=scratch("rows", len(weights), rows.shape[1]))
    if least is not None:  # times 1 where |t_j| >= least, else 0
        size = torch.abs(deltas, out=scratch("size", *deltas.shape))
        deltas *= size.sub_(least).sign_().add_(1).clamp_max_(1)
    elected = _elect(deltas, weights, elect, scratch)
    return elected, deltas.mul_(elected).relu_()


def _elect(deltas: Tensor, weights: Tensor, elect: str, scratch: Scratch) -> Tensor:
    """The winning sign per element, -1, 0 or 1: (k, n), (k,) -> (n,) dtype of deltas.

    Mass is summed in float64: where votes nearly balance, the result of a float32 sum depends on its order.
    """
    k, n = deltas.shape
    winner = scratch("winner", n)
    if elect == "count":
        votes = torch.sign(deltas, out=scratch("votes", k, n))
        return weighted_sum(weights.sign(), votes, winner).sign_()
    wide = scratch("wide", k, n, dtype=torch.float64)
    wide = deltas.double() if wide is None else wide.copy_(deltas)
    mass = weighted_sum(weights.double(), wide, scratch("mass", n, dtype=torch.float64))
    return (mass.to(deltas.dtype) if winner is None else winner.copy_(mass)).sign_()


def _thresholds(vectors: Tensor, trim: float) -> Tensor:
    """The smallest |x_j - own| of each neighbor that still has a say, (k, 1). Equals at the threshold all have."""
    d = vectors.shape[1]
    dropped = min(int(trim * d + 1e-9), d - 1)
    sizes = None if batched(vectors) else torch.empty_like(vectors[0])
    least = [_smallest(torch.sub(v, vectors[0], out=sizes).abs_(), dropped) for v in vectors[1:]]
    return torch.stack(least).unsqueeze(1)


def _smallest(sizes: Tensor, dropped: int) -> Tensor:
    """The smallest of `sizes` (d,) when so many are dropped, (). May reorder `sizes`.

    On a CPU by numpy, whose selection is ten times faster than torch's and needs no memory.
    """
    if batched(sizes) or sizes.device.type != "cpu":
        return torch.kthvalue(sizes, dropped + 1).values
    sizes.numpy().partition(dropped)
    return sizes[dropped].clone()


def sign_agreement(a: Tensor, b: Tensor) -> float:
    """The share of elements with the same sign, 0 and 0 included: 1 for equal models, 0.5 for independent ones.

    The same-sign ratio of Li et al., 2024 (arXiv 2405.12489).
    """
    pairs = zip(a.reshape(-1).split(_PIECE), b.reshape(-1).split(_PIECE), strict=True)  # type: ignore[no-untyped-call]
    return sum(int((x.sign() == y.sign()).sum()) for x, y in pairs) / max(a.numel(), 1)
