"""Variance-corrected averaging: the average, with the variance of its weights put back tensor by tensor.

Averaging models that are not correlated divides the variance of every weight tensor by up to the number of models, and
training then stands still until it has grown back. Source: Tian et al., 2024 (arXiv 2404.04616).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gossipnet.errors import unknown
from gossipnet.merge.blocks import Results, Scratch, scoped_entries, spans
from gossipnet.merge.group import Group, Merge, merge_rule
from gossipnet.merge.moments import Moments, variances
from gossipnet.model import ModelSpec

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

    def factor(self, weights: Tensor, inputs: Tensor, merged: Tensor) -> Tensor:
        """s, () float64, by which deviations from the tensor's mean are multiplied.

        weights: (k+1,). inputs: (k+1,), the variance of the tensor in each model. merged: (), that after the merge.
        """
        weights, mean = weights.double(), weights.double() @ inputs
        independent = weights.square() @ inputs  # the variance of the average of uncorrelated models
        if self.target == "all":
            # By convexity the average never has more variance than this target, hence the 1; the upper end is in
            # terms of weights alone, so that one model of huge variance does not lift it.
            target, least, most = mean, 1.0, _SLACK * weights.square().sum().rsqrt()
        else:
            target = inputs[0] if self.target == "self" else (weights[1:] @ inputs[1:]) / weights[1:].sum()
            least, most = 0.0, _SLACK * (target / independent).sqrt()
        factor = (target / merged).sqrt().clamp(min=least).minimum(most.nan_to_num())
        usable = (merged > _ROUNDING * mean) & (target > 0)
        return torch.where(usable, factor, 1.0).nan_to_num(nan=1.0, posinf=1.0)


def combine(group: Group, how: Combine, correction: Correction | None, results: Results) -> Tensor:
    """Merge block by block with `how`, then correct the variance of every tensor that `correction` covers. (d,)"""
    vectors, scratch, result = group.vectors, Scratch(group.vectors), results.like(group.vectors)
    for span in spans(group.spec, scoped_entries(group.spec, correction.tensors) if correction else ()):
        inputs, merged = Moments(scratch), Moments(scratch)
        for columns in span.blocks(vectors.device):
            rows, window = vectors[:, columns], scratch.window(result, columns)
            made = how(rows, scratch, window)
            if window is None:
                result[columns] = made
            if span.scoped:
                inputs.add(rows)
                merged.add(made.unsqueeze(0))
        if correction and span.scoped:
            factor = correction.factor(group.weights, inputs.variance(), merged.variance()[0]).to(result.dtype)
            mean = merged.mean()[0].to(result.dtype)
            for columns in span.blocks(vectors.device):
                _stretch(result[columns], mean, factor, scratch)
    return result


def _stretch(part: Tensor, mean: Tensor, factor: Tensor, scratch: Scratch) -> None:
    """part += (part - mean) * (factor - 1), so that a factor of 1 changes no bit."""
    deviation = torch.sub(part, mean, out=scratch("centred", len(part)))
    part += deviation.mul_(factor - 1)


@merge_rule("variance-corrected", blocks="tensor")
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
        if len(group.vectors) == 1:
            return results.like(group.vectors).copy_(group.vectors[0])
        weights = group.weights.to(group.vectors.dtype)
        return combine(group, lambda rows, _, out: torch.mv(rows.T, weights, out=out), correction, results)

    return merge


def variance_ratios(spec: ModelSpec, vectors: Tensor, weights: Tensor, merged: Tensor) -> Tensor:
    """Variance after a merge / weighted mean of the variances before it, per tensor of two dimensions or more.

    vectors: (k+1, d), weights: (k+1,), merged: (d,). Returns (t,) float64, in the order of `scoped_entries(spec)`; nan
    for a tensor that was constant in every model.
    """
    before = weights.double() @ variances(spec, vectors)
    return variances(spec, merged.unsqueeze(0))[0] / torch.where(before > 0, before, torch.nan)


def variance_ratio(spec: ModelSpec, vectors: Tensor, weights: Tensor, merged: Tensor) -> float | None:
    """The mean of `variance_ratios` over tensors; None if nothing was merged or every tensor was constant."""
    if len(vectors) == 1:
        return None
    ratios = variance_ratios(spec, vectors, weights, merged)
    mean = float(ratios.nanmean()) if len(ratios) else float("nan")
    return None if mean != mean else mean
