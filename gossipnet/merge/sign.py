"""Sign-aligned merging: neighbors vote, element by element, on the direction in which the own model moves."""

import numpy as np
import torch
from torch import Tensor

from gossipnet.errors import BadInput, unknown
from gossipnet.merge.apart import Apart, Vectors, own_of
from gossipnet.merge.blocks import Results, Scratch, batched, weighted_sum
from gossipnet.merge.group import Group, Merge, merge_rule
from gossipnet.merge.variance import Correction, combine

ELECTIONS = ("mass", "count")
_PIECE = 1 << 20  # numbers compared at a time by `sign_agreement`


@merge_rule("sign-aligned", blocks="model", streams=True, looks=True)
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
        own = own_of(group.vectors)
        if len(group.vectors) == 1:
            return results.like(own).copy_(own)
        weights = group.weights[1:].to(own.dtype)
        vote = Vote(weights, elect, _thresholds(group.vectors, trim) if trim else None)
        return combine(group, vote, correction, results)

    return merge


class Vote:
    """Moves the own rows of blocks by what the neighbors elect; weights (k,), least |x_j - own| that counts (k, 1)."""

    def __init__(self, weights: Tensor, elect: str, least: Tensor | None) -> None:
        self._weights, self._elect, self._least = weights, elect, least
        self._steps = weights * weights.sum()  # the weight of dissenters counts too
        # A sum of k products errs by (k + 2) / 2 eps of the sum of their sizes, and that is at most twice what won.
        self._near = (len(weights) + 3) * torch.finfo(weights.dtype).eps

    def __call__(self, rows: Tensor, scratch: Scratch, out: Tensor | None) -> Tensor:
        """(k+1, n) -> (n,), written to `out` if there is one."""
        if self._elect == "mass" and scratch.may_branch:
            return self._by_mass(rows, scratch, out)
        deltas = self._deltas(rows, scratch)
        elected = (self._count if self._elect == "count" else self._wide_mass)(deltas, scratch).sign_()
        winners, share = self._winners(deltas, elected, scratch)
        return self._move(rows[0], winners, elected, share, out)

    def _by_mass(self, rows: Tensor, scratch: Scratch, out: Tensor | None) -> Tensor:
        """Elect in the dtype of the rows; once more, in float64, where the rounding of that could have decided."""
        own, deltas = rows[0], self._deltas(rows, scratch)
        mass = weighted_sum(self._steps, deltas, scratch("mass", rows.shape[1]))
        mass += torch.finfo(mass.dtype).tiny  # no sum of 0 goes without a look at how it came about
        elected = torch.sign(mass, out=scratch("elected", rows.shape[1]))
        winners, share = self._winners(deltas, elected, scratch)
        mass.mul_(elected).sub_(winners, alpha=self._near)
        made = self._move(own, winners, elected, share, out)
        if float(mass.amin()) < 0:
            close = torch.from_numpy(np.flatnonzero(mass.numpy() < 0))  # ten times faster than torch's
            made[close] = self._exact(rows[:, close])
        return made

    def _exact(self, rows: Tensor) -> Tensor:
        scratch = Scratch(rows)
        deltas = self._deltas(rows, scratch)
        elected = self._wide_mass(deltas, scratch).sign_()
        winners, share = self._winners(deltas, elected, scratch)
        return self._move(rows[0], winners, elected, share, None)

    def _deltas(self, rows: Tensor, scratch: Scratch) -> Tensor:
        """x_j - own, (k, n), 0 where it is trimmed away."""
        deltas = torch.sub(rows[1:], rows[0], out=scratch("rows", rows.shape[0] - 1, rows.shape[1]))
        if self._least is not None:  # times 1 where |t_j| >= least, else 0
            size = torch.abs(deltas, out=scratch("size", *deltas.shape))
            deltas *= size.sub_(self._least).sign_().add_(1).clamp_max_(1)
        return deltas

    def _count(self, deltas: Tensor, scratch: Scratch) -> Tensor:
        """One vote for each neighbor that has a weight, (n,)."""
        votes = torch.sign(deltas, out=scratch("votes", *deltas.shape))
        return weighted_sum(self._weights.sign(), votes, scratch("mass", deltas.shape[1]))

    def _wide_mass(self, deltas: Tensor, scratch: Scratch) -> Tensor:
        """sum_j w_j t_j in float64: where votes nearly balance, a float32 sum depends on its order. (n,)"""
        wide = scratch("wide", *deltas.shape, dtype=torch.float64)
        wide = deltas.double() if wide is None else wide.copy_(deltas)
        mass = weighted_sum(self._weights.double(), wide, scratch("wide mass", deltas.shape[1], dtype=torch.float64))
        return mass.sign().to(deltas.dtype)

    def _winners(self, deltas: Tensor, elected: Tensor, scratch: Scratch) -> tuple[Tensor, Tensor]:
        """The mass of those who agree, and their weight, which is more than 0; (n,) both. Uses up `deltas`.

        Signs are multiplied with and clamped rather than compared: torch's comparisons and `where` cost ten times more.
        """
        n = deltas.shape[1]
        agreeing = deltas.mul_(elected).relu_()
        winners = weighted_sum(self._steps, agreeing, scratch("winners", n))
        share = weighted_sum(self._weights, agreeing.sign_(), scratch("share", n))
        return winners, share.clamp_min_(torch.finfo(share.dtype).tiny)

    def _move(self, own: Tensor, winners: Tensor, elected: Tensor, share: Tensor, out: Tensor | None) -> Tensor:
        """Own, moved by the mean of the winners; 0 / tiny where nobody won. Uses up `winners`."""
        return torch.addcdiv(own, winners.mul_(elected), share, out=out)


def _thresholds(vectors: Vectors, trim: float) -> Tensor:
    """The smallest |x_j - own| of each neighbor that still has a say, (k, 1). Equals at the threshold all have."""
    own = own_of(vectors)
    dropped = min(int(trim * len(own) + 1e-9), len(own) - 1)
    sizes = None if batched(own) else torch.empty_like(own)
    others = vectors.rows[1:] if isinstance(vectors, Apart) else vectors[1:]
    least = [_smallest(torch.sub(v.to(own.device), own, out=sizes).abs_(), dropped) for v in others]
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
