"""Merging what has arrived into one model's vector: needs the vector and a rule, and no task or trainer."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from gossipnet.codec import all_finite
from gossipnet.lanes import lanes_of
from gossipnet.merge import Group, MergeRule, variance_ratio
from gossipnet.merge.apart import Apart, block_of
from gossipnet.merge.blocks import Results
from gossipnet.merge.feed import feed
from gossipnet.model import ModelSpec
from gossipnet.training.optimizer import Optimizer


@dataclass(frozen=True, eq=False)
class Incoming:
    """One model of a merge: its vector (d,) float32 on the CPU, and what came with it."""

    vector: Tensor
    weight: float
    age: int
    samples: int


class Merging:
    """One model's merges by `rule`, with what the rule remembers. Not thread-safe: one thread writes a vector.

    vector: (d,) float32, what `bind` returned; each merge writes into it. buffers: what becomes of float buffers,
    average | own | recalibrate; then `recalibrate()` is called once the parameters are written, to write them anew.
    optimizer: its state (momentum) is cleared after each merge if `reset`.
    """

    def __init__(
        self,
        vector: Tensor,
        spec: ModelSpec,
        rule: MergeRule,
        buffers: str = "average",
        recalibrate: Callable[[], None] | None = None,
        optimizer: Optimizer | None = None,
        reset: bool = False,
    ) -> None:
        self.vector = vector
        self.spec = spec
        self.rule = rule
        self.memory = {k: v.to(vector.device) for k, v in (rule.init(spec) if rule.init else {}).items()}
        self._lanes = lanes_of(vector.device)
        self._results = Results()
        self._full = False  # whether the device has been out of memory in a merge
        self._buffers = buffers
        self._recalibrate = recalibrate if buffers == "recalibrate" else None
        self._optimizer = optimizer if reset else None

    def __call__(self, own: tuple[float, int, int], incoming: Sequence[Incoming], measure: bool) -> dict[str, Any]:
        """Merge `incoming`, in their order, into the model. A merge that fails leaves everything as it was.

        own: weight, age and samples of the own model. Returns the numbers to report: with `measure`, variance_ratio
        (see `gossipnet.merge.variance_ratio`). Where the device runs out of memory, the merge is done on the CPU, and
        `device_full` is 1.
        Raises what the rule raises, and RuntimeError for what is no model.
        """
        vectors = [self.vector, *(m.vector for m in incoming)]
        weights = torch.tensor([own[0], *(m.weight for m in incoming)])
        numbers = [own[1:], *((m.age, m.samples) for m in incoming)]
        full = {}
        try:
            memory, ratio = self._merge(self._group(vectors, weights, numbers), measure)
        except torch.OutOfMemoryError:
            self._say_full()
            full["device_full"] = 1
            memory, ratio = self._merge(self._group([v.cpu() for v in vectors], weights, numbers), measure)
        self.memory = {name: tensor.to(self.vector.device) for name, tensor in memory.items()}
        if self._optimizer is not None:
            self._optimizer.state.clear()
        return {"variance_ratio": ratio, **full}

    def _say_full(self) -> None:
        if not self._full:
            warnings.warn(f"{self.vector.device} is out of memory: merging on the CPU", RuntimeWarning, stacklevel=3)
        self._full = True

    def _merge(self, group: Group, measure: bool) -> tuple[dict[str, Tensor], float | None]:
        """Merge on the device of the group; the rule's memory is only returned."""
        memory = {name: tensor.to(group.weights.device, copy=True) for name, tensor in self.memory.items()}
        merged, memory = feed(self.rule, group, memory, self._results)
        self._check(merged)
        ratio = variance_ratio(self.spec, group.vectors, group.weights, merged) if measure else None
        self._commit(merged, self._statistics(group))
        return memory, ratio

    def move(self, vector: Tensor) -> None:
        """Go on with another vector of the same model, perhaps on another device."""
        self.vector, self._lanes = vector, lanes_of(vector.device)
        self.memory = {name: tensor.to(vector.device) for name, tensor in self.memory.items()}

    def _group(self, vectors: list[Tensor], weights: Tensor, numbers: list[tuple[int, int]]) -> Group:
        device = vectors[0].device
        ages, samples = torch.tensor(numbers).T
        return Group(
            vectors=cast(Tensor, Apart(vectors, self._lanes if device == self.vector.device else None)),  # `feed` knows
            weights=weights.to(device),
            ages=ages.to(device),
            samples=samples.to(device),
            spec=self.spec,
        )

    def _check(self, merged: Tensor) -> None:
        """Raise RuntimeError for what no model can be; the rule may be the user's."""
        if merged.shape != self.vector.shape:
            got, wanted = tuple(merged.shape), tuple(self.vector.shape)
            raise RuntimeError(f"merge rule {self.rule.name!r} returned a vector of shape {got}, expected {wanted}")
        if not all_finite(merged.float()):
            raise RuntimeError(f"merge rule {self.rule.name!r} returned nan or inf, expected finite numbers")

    def _statistics(self, group: Group) -> Tensor:
        """The float buffers by their policy, whatever the rule makes of those."""
        start, stop = self.spec.n_parameters, self.spec.numel
        if self._buffers != "average" or start == stop:
            return self.vector[start:].clone()
        return group.weights @ block_of(group.vectors, start, stop)

    def _commit(self, merged: Tensor, statistics: Tensor) -> None:
        """Write the merged parameters and those buffers; all of it or nothing."""
        before = self.vector.clone() if self._recalibrate else self.vector
        self.vector.copy_(merged)
        self.vector[self.spec.n_parameters :] = statistics
        if self._recalibrate:
            try:
                self._recalibrate()
            except BaseException:
                self.vector.copy_(before)
                raise
