"""A merge rule on many nodes at a time: under torch.vmap over groups of equal size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import vmap

from gossipnet.merge import Group, MergeRule, variance_ratio, variance_ratios
from gossipnet.model import ModelSpec
from gossipnet.training.stacked import Errors, Rows, Streams, finite_rows, line

_LOOKS = 1 << 15  # numbers in a model, from which on looking at values saves more than doing many nodes at a time


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of b nodes, as `Group` has one: vectors (b, k+1, d), the others (b, k+1)."""

    nodes: Sequence[int]
    vectors: Tensor
    weights: Tensor
    ages: Tensor
    samples: Tensor


class StackedMerge:
    """`rule` for all nodes, with what it remembers of each. `buffers` is the policy of the float buffers.

    A rule that vmap refuses runs node by node; `warn` is told so once. One that `looks` does on big models on a CPU.
    """

    def __init__(
        self,
        rule: MergeRule,
        spec: ModelSpec,
        buffers: str,
        nodes: int,
        streams: Streams,
        device: torch.device,
        warn: Callable[[str], None],
    ) -> None:
        self._rule, self._spec, self._buffers, self._streams, self._warn = rule, spec, buffers, streams, warn
        first = rule.init(spec) if rule.init else {}
        self._first = {k: v.to(device) for k, v in first.items()}
        self._memory = {k: v.to(device).expand(nodes, *v.shape).clone() for k, v in first.items()}
        self._alone = False
        self._looks = rule.looks and device.type == "cpu" and spec.numel >= _LOOKS

    def __call__(self, groups: Groups) -> tuple[Tensor, Errors]:
        """The merged models (b, d), and the nodes whose merge failed, which are as they were."""
        at = Rows(groups.nodes)
        merged, memory, errors = self._merged(groups, {k: at.of(v) for k, v in self._memory.items()})
        parameters = slice(None, self._spec.n_parameters)
        for node, whole in zip(groups.nodes, finite_rows(merged[:, parameters]), strict=True):
            if not whole:
                wrong = f"merge rule {self._rule.name!r} returned nan or inf, expected finite numbers"
                errors.setdefault(node, RuntimeError(wrong))
        good = torch.tensor([node not in errors for node in groups.nodes], device=merged.device)
        for name, new in memory.items():
            old = at.of(self._memory[name])
            at.put(self._memory[name], torch.where(good.view(-1, *[1] * (new.ndim - 1)), new, old))
        self._set_buffers(groups, merged)
        return (torch.where(good.unsqueeze(1), merged, groups.vectors[:, 0]) if errors else merged), errors

    def restart(self, node: int) -> None:
        """The rule remembers nothing of that node."""
        for name, first in self._first.items():
            self._memory[name][node] = first

    def ratios(self, groups: Groups, merged: Tensor) -> list[float | None]:
        """The `variance_ratio` of each node's merge."""
        if self._alone:
            each = zip(groups.vectors, groups.weights, merged, strict=True)
            return [variance_ratio(self._spec, *parts) for parts in each]
        found = vmap(lambda *parts: variance_ratios(self._spec, *parts))(groups.vectors, groups.weights, merged)
        means = found.nanmean(1).tolist() if found.shape[1] else [float("nan")] * len(found)
        return [None if mean != mean else mean for mean in means]

    def _merged(self, groups: Groups, memory: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor], Errors]:
        if self._alone or self._looks:
            return self._one_by_one(groups, memory)
        try:
            merged, new = vmap(self._one)(groups.vectors, groups.weights, groups.ages, groups.samples, memory)
            self._check(merged, groups.vectors[:, 0])
            return merged, new, {}
        except Exception as error:
            found = self._one_by_one(groups, memory)
            if len(found[2]) < len(groups.nodes):  # else it was not vmap's fault
                self._alone = True
                self._warn(f"merge rule {self._rule.name!r} runs node by node, torch.vmap refuses it: {line(error)}")
            return found

    def _one(
        self, vectors: Tensor, weights: Tensor, ages: Tensor, samples: Tensor, memory: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        group = Group(vectors=vectors, weights=weights, ages=ages, samples=samples, spec=self._spec)
        return self._rule.step(group, memory)

    def _one_by_one(self, groups: Groups, memory: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor], Errors]:
        merged, new = groups.vectors[:, 0].clone(), {k: v.clone() for k, v in memory.items()}
        errors: Errors = {}
        for i, node in enumerate(groups.nodes):
            one = (groups.vectors[i], groups.weights[i], groups.ages[i], groups.samples[i])
            try:
                with self._streams[node]():
                    vector, state = self._one(*one, {k: v[i].clone() for k, v in memory.items()})
                self._check(vector, merged[i])
            except Exception as error:
                errors[node] = error
                continue
            merged[i] = vector
            for name, tensor in state.items():
                new[name][i] = tensor
        return merged, new, errors

    def _check(self, merged: Tensor, own: Tensor) -> None:
        if merged.shape != own.shape:
            got, wanted = tuple(merged.shape[own.ndim - 1 :]), tuple(own.shape[own.ndim - 1 :])
            raise RuntimeError(f"merge rule {self._rule.name!r} returned a vector of shape {got}, expected {wanted}")

    def _set_buffers(self, groups: Groups, merged: Tensor) -> None:
        """The float buffers by their policy, whatever the rule made of those."""
        first = self._spec.n_parameters
        if first == self._spec.numel:
            return
        held = groups.vectors[:, :, first:]
        average = self._buffers == "average"
        merged[:, first:] = (groups.weights.unsqueeze(1) @ held).squeeze(1) if average else held[:, 0]
