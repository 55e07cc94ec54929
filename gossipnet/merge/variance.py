"""Variance-corrected averaging: the average, with the variance of its weights put back tensor by tensor.

Averaging models that are not correlated divides the variance of every weight tensor by up to the number of models, and
training then stands still until it has grown back. Source: Tian et al., 2024 (arXiv 2404.04616).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gossipnet.errors import unknown
from gossipnet.merge.apart import Vectors, block_of, blocks_of, own_of
from gossipnet.merge.blocks import Results, Scratch, Stretch, blocks, scoped_entries, spans, weighted_sum
from gossipnet.merge.group import Group, Merge, merge_rule
from gossipnet.merge.moments import Moments, quiet, variances
from gossipnet.model import Entry, ModelSpec

Combine = Callable[[Tensor, Scratch, Tensor | None], Tensor]  # rows (k+1, n), scratch, out (n,) -> (n,)

TARGETS = ("all", "others", "self")
TENSORS = ("weights", "all")
_SLACK = 1.05  # above the exact factor for uncorrelated models of equal variance: room for sampling noise
_ROUNDING = 1e-12  # a variance this small beside those of the models is what rounding left, not a signal to amplify


@dataclass(frozen=True, slots=True)
class Correction:
    """What variance the merged tensors get (`target`), and which tensors (`tensors`)."""

    target: str = "all"
    tensors: str = "weights"

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise unknown("target of merge rule 'variance-corrected' called", self.target, TARGETS)
        if self.tensors not in TENSORS:
            raise unknown("choice of tensors in merge rule 'variance-corrected' called", self.tensors, TENSORS)

    def factors(self, weights: Tensor, inputs: Tensor, merged: Tensor) -> Tensor:
        """s, (t,) float64: by what the deviations from the mean of each tensor are multiplied.

        weights: (k+1,). inputs: (k+1, t), variances of the tensors in each model. merged: (t,), those after the merge.
        """
        weights = weights.double()
        mean = weights @ inputs
        if self.target == "all":
            # By convexity the average never has more variance than this target, hence the 1; the upper end is in
            # terms of weights alone, so that one model of huge variance does not lift it.
            target, least, most = mean, 1.0, weights.square().sum().rsqrt()
        else:
            target = inputs[0] if self.target == "self" else (weights[1:] @ inputs[1:]) / weights[1:].sum()
            independent = weights.square() @ inputs  # the variance of the average of uncorrelated models
            least, most = 0.0, (target / independent).sqrt()
        factors = (target / merged).sqrt().clamp(min=least).minimum(_SLACK * most)
        usable = (merged > _ROUNDING * mean) & (target > 0)
        return torch.where(usable, factors, 1.0)


@quiet
def combine(group: Group, how: Combine, correction: Correction | None, results: Results) -> Tensor:
    """Merge block by block with `how`, then correct the variance of every tensor that `correction` covers. (d,)"""
    own = own_of(group.vectors)
    scratch, result = Scratch(own), results.like(own)
    scoped = scoped_entries(group.spec, correction.tensors) if correction else ()
    moments = Moments(scoped, scratch)
    cut = list(blocks(len(own), scoped, len(group.vectors), own.device))
    for block, rows in zip(cut, blocks_of(group.vectors, spans(cut)), strict=True):
        start = block[0].start
        made = result[start : block[-1].stop]
        if scratch.off:
            made.copy_(how(rows, scratch, None))
        else:
            how(rows, scratch, made)
        for part in block:
            if part.tensor is not None:
                here = slice(part.start - start, part.stop - start)
                moments.add(part, rows[:, here], made[here].unsqueeze(0))
    if correction and scoped:
        means, spread = moments.result(
            lambda part: fed(group.vectors, result, part)
        )  # the last row is the merged model
        factors = correction.factors(group.weights, spread[:-1], spread[-1])
        rescale(result, scoped, factors, means[-1], scratch.may_branch)
    return result


def fed(vectors: Vectors, merged: Tensor, part: Stretch) -> list[Tensor]:
    """What a stretch was in the models and is after the merge, (k+1, n) and (1, n)."""
    return [block_of(vectors, part.start, part.stop), merged[part.start : part.stop].unsqueeze(0)]


def rescale(vector: Tensor, scoped: Sequence[Entry], factors: Tensor, means: Tensor, branch: bool) -> None:
    """Multiply the deviations from the mean of each tensor, in place: x becomes s x + (1 - s) mean.

    vector: (d,). factors, means: (t,) float64. `branch`: whether values may be looked at.
    """
    factors = factors.to(vector.dtype)
    shifts = ((1 - factors) * means).to(vector.dtype)  # of the rounded factor: where that is 1 no bit changes
    scale, shift = (factors.tolist() if branch else factors.unbind()), shifts.unbind()
    for number, entry in enumerate(scoped):
        _affine(vector[entry.offset : entry.end], scale[number], shift[number])


def _affine(part: Tensor, scale: float | Tensor, shift: Tensor) -> None:
    """`part` becomes scale * part + shift, in one pass if `scale` is known here."""
    if isinstance(scale, Tensor):
        part.mul_(scale).add_(shift)
    elif scale != 1:
        torch.add(shift, part, alpha=scale, out=part)


@merge_rule("variance-corrected", blocks="tensor", streams=True)
def variance_corrected(target: str = "all", tensors: str = "weights") -> Merge:
    """The weighted average, rescaled tensor by tensor to the variance of the models that went in.

    Deviations from the tensor's mean are multiplied by sqrt(target / variance of the average); the mean stays. Unlike
    average it does not keep the mean over nodes; where models are correlated already it is the average.

    target: all (mean variance of own and received models, the factor held within [1, 1.05 / sqrt(sum w^2)]),
    others (of the received, as published) or self (of the own model before the merge).
    tensors: weights (parameters of two dimensions or more) or all (every parameter; float buffers never).
    Raises BadInput. Source: Tian et al., 2024 (arXiv 2404.04616).
    """
    correction, results = Correction(target, tensors), Results()

    def merge(group: Group) -> Tensor:
        own = own_of(group.vectors)
        if len(group.vectors) == 1:
            return results.like(own).copy_(own)
        weights = group.weights.to(own.dtype)
        return combine(group, lambda rows, _, out: weighted_sum(weights, rows, out), correction, results)

    return merge


def variance_ratios(spec: ModelSpec, vectors: Vectors, weights: Tensor, merged: Tensor) -> Tensor:
    """Variance after a merge / weighted mean of the variances before it, per tensor of two dimensions or more.

    vectors: (k+1, d), weights: (k+1,), merged: (d,). Returns (t,) float64, in the order of `scoped_entries(spec)`; nan
    for a tensor that was constant in every model.
    """
    before = weights.double() @ variances(spec, vectors)
    return variances(spec, merged.unsqueeze(0))[0] / torch.where(before > 0, before, torch.nan)


def variance_ratio(spec: ModelSpec, vectors: Vectors, weights: Tensor, merged: Tensor) -> float | None:
    """The mean of `variance_ratios` over tensors; None if nothing was merged or every tensor was constant."""
    if len(vectors) == 1:
        return None
    ratios = variance_ratios(spec, vectors, weights, merged)
    mean = float(ratios.nanmean()) if len(ratios) else float("nan")
    return None if mean != mean else mean
