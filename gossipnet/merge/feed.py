"""Feeds models that lie apart to a rule: as they are, in pieces, or as one matrix, by what the rule declares."""

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from gossipnet.merge.apart import Cut, block_of, blocks_of, own_of
from gossipnet.merge.blocks import Results, columns
from gossipnet.merge.group import Group, MergeRule, State
from gossipnet.model import Entry, ModelSpec

_PIECE = 1 << 18  # numbers of each model: 1 MiB, so that the pieces of a group stay in the cache


def feed(rule: MergeRule, group: Group, state: State | None, results: Results) -> tuple[Tensor, State]:
    """`rule.step` for a group whose vectors are an `Apart`, with no more memory than the rule needs."""
    if rule.streams:
        return rule.step(group, state)
    own = own_of(group.vectors)
    if rule.init is not None or rule.blocks == "model":
        return rule.step(replace(group, vectors=block_of(group.vectors, 0, len(own))), state)
    merged = results.like(own)
    least = _PIECE if own.device.type == "cpu" else columns(len(group.vectors), own.device)
    cuts = list(pieces(group.spec, rule.blocks == "tensor", least))
    for (start, stop), rows in zip(cuts, blocks_of(group.vectors, cuts), strict=True):
        made = rule(replace(group, vectors=rows, spec=part_of(group.spec, start, stop)))
        if made.shape != (stop - start,):
            got = f"returned a vector of shape {tuple(made.shape)}, expected {(stop - start,)}"
            raise RuntimeError(f"merge rule {rule.name!r} {got}: it is fed by blocks={rule.blocks!r}")
        merged[start:stop] = made
    return merged, {}


def pieces(spec: ModelSpec, tensors: bool, size: int) -> Iterator[Cut]:
    """Pieces of `size` numbers of the vector, in order; `tensors`: of whole tensors, however large."""
    if not tensors:
        for start in range(0, spec.numel, size):
            yield start, min(start + size, spec.numel)
        return
    start = 0
    for entry in spec.entries:
        if entry.end - start >= size:
            yield start, entry.end
            start = entry.end
    if start < spec.numel:
        yield start, spec.numel


def part_of(spec: ModelSpec, start: int, stop: int) -> ModelSpec:
    """The spec of a piece: its tensors, of which those that are cut have one dimension."""
    inside = (e for e in spec.entries if e.offset < stop and e.end > start)
    return ModelSpec(tuple(_cut(entry, start, stop) for entry in inside))


def _cut(entry: Entry, start: int, stop: int) -> Entry:
    first, last = max(entry.offset, start), min(entry.end, stop)
    shape = entry.shape if last - first == entry.numel else (last - first,)
    return replace(entry, shape=shape, offset=first - start, numel=last - first)
