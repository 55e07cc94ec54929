"""What a merge rule takes and gives: Group, MergeRule and the registry of rules."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import Tensor

from gossipnet.errors import BadInput, unknown
from gossipnet.model import ModelSpec
from gossipnet.registry import Registry

State = dict[str, Tensor]
Merge = Callable[..., Any]  # (group) -> (d,), or with memory (group, state) -> ((d,), state)
Init = Callable[[ModelSpec], State]
Blocks = Literal["element", "tensor", "model"]
Factory = TypeVar("Factory", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class Group:
    """The models that one merge combines. No value is checked: that is done when a model is admitted.

    vectors: (k+1, d) float32, row 0 is the node's own model, the others follow by peer number. A rule only reads it.
    weights: (k+1,) float32, not negative, sum 1; a row of weight 0 has no say.
    ages: (k+1,) local steps folded into each model. samples: (k+1,) training samples behind it.
    extras: whatever a rule and the program that calls it agree on.
    """

    vectors: Tensor
    weights: Tensor
    spec: ModelSpec
    ages: Tensor | None = None
    samples: Tensor | None = None
    extras: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class MergeRule:
    """A rule made from text. Call it with a Group: `vector = rule(group)`, `vector, state = rule(group, state)`.

    blocks: the smallest piece of a model that the rule may be fed: "element", "tensor" or "model".
    streams: whether it reads models that lie apart by itself (`gossipnet.merge.apart`).
    looks: whether it is much faster where it may look at values, which it may not under torch.vmap.
    """

    name: str
    merge: Merge
    init: Init | None = None
    blocks: Blocks = "model"
    streams: bool = False
    looks: bool = False

    @torch.no_grad()
    def __call__(self, group: Group, state: State | None = None) -> Any:
        """The merged vector (d,); of a rule with memory `(vector, state)`, where no state means the first one."""
        if self.init is None:
            return self.merge(group)
        return self.merge(group, self.init(group.spec) if state is None else state)

    def step(self, group: Group, state: State | None = None) -> tuple[Tensor, State]:
        """`(vector, state)` of any rule, with memory or without; for the programs that drive rules."""
        made = self(group, state)
        return (made, {}) if self.init is None else made


merge_rules: Registry[MergeRule] = Registry("merge rule", "merge_rule")


def merge_rule(
    name: str, blocks: Blocks = "model", streams: bool = False, looks: bool = False
) -> Callable[[Factory], Factory]:
    """Register a factory of merge rules; its annotated parameters are the options of the rule.

    The factory returns `merge(group) -> (d,)`, or, for a rule with memory, the pair `init(spec) -> dict of tensors`
    and `merge(group, state) -> (vector, state)`. `streams` is for rules that take `group.vectors` as an `Apart` too,
    `looks` for those that are much faster where they may look at values.
    Raises BadInput for a name or a `blocks` that cannot be.
    """
    if blocks not in get_args(Blocks):
        raise unknown("blocks", blocks, get_args(Blocks))
    register = merge_rules.register(name)

    def keep(factory: Factory) -> Factory:
        factory.blocks, factory.streams, factory.looks = blocks, streams, looks  # type: ignore[attr-defined]
        return register(factory)

    return keep


def make_merge(text: str) -> MergeRule:
    """The rule that `text` describes: `"average"`, `"sign-aligned:trim=0.2"`, `"my_rules.py:median"`.

    Raises BadInput for an unknown name, an unknown option or a value out of its range.
    """
    name, options = merge_rules.parse(text)
    factory = merge_rules.factory(name)
    missing = _missing(factory, options)
    if missing:
        raise BadInput(f"merge rule {name!r} needs {', '.join(missing)}: write {name}:{missing[0]}=VALUE")
    made = factory(**options)
    blocks: Blocks = getattr(factory, "blocks", "model")
    streams: bool = getattr(factory, "streams", False)
    looks: bool = getattr(factory, "looks", False)
    match made:
        case MergeRule():
            return replace(made, name=text)
        case (init, merge) if callable(init) and callable(merge):
            return MergeRule(text, merge, init, blocks, streams, looks)
        case merge if callable(merge):
            return MergeRule(text, merge, None, blocks, streams, looks)
    raise BadInput(f"merge rule {name!r} made {made!r}: expected a function merge(group) or a pair (init, merge)")


def _missing(factory: Callable[..., Any], options: Mapping[str, Any]) -> list[str]:
    """Parameters without a default for which no option was given."""
    parameters = inspect.signature(factory).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.name not in options]
