"""A model is one vector: `ModelSpec` says what lies where in it, `bind` makes a module live in it.

Layout of the vector, (d,) float32, dense: the parameters in `named_parameters()` order (tied ones once), then the
persistent float buffers in `named_buffers()` order. Integer and bool buffers (`num_batches_tracked`) and
non-persistent buffers (masks, tables) stay local to each node; so does what is not shared, if only a part is.
"""

import difflib
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from gossipnet.errors import BadInput

# A part of a model: the name of a submodule or tensor, a regular expression that matches whole names of tensors, a
# function of such a name, or several of these.
Share = str | re.Pattern[str] | Callable[[str], bool] | Sequence["Share"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of a model: `vector[offset : offset + numel].view(shape)`."""

    name: str
    shape: tuple[int, ...]
    offset: int
    numel: int
    buffer: bool  # a float buffer (BatchNorm statistics), not a parameter

    @property
    def end(self) -> int:
        """Where the next entry begins."""
        return self.offset + self.numel

    def of(self, vector: Tensor) -> Tensor:
        """The entry's view of `vector` (..., d), shape (..., *shape)."""
        part = vector[..., self.offset : self.end]
        return part.view(vector.shape[:-1] + self.shape)


@dataclass(frozen=True)
class ModelSpec:
    """What lies where in a model's vector. Two models can be merged if and only if their digests are equal.

    `ties` maps the further names of a shared tensor to the name that carries it.
    """

    entries: tuple[Entry, ...]
    ties: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, module: nn.Module, share: Share | None = None) -> "ModelSpec":
        """The spec of a module, or of the part that is shared. Raises BadInput if that cannot be a float32 vector."""
        return _inspect(module, share)[0]

    @cached_property
    def numel(self) -> int:
        """d, the length of the vector."""
        return sum(e.numel for e in self.entries)

    @cached_property
    def n_parameters(self) -> int:
        """Length of the vector's first part, the parameters; the float buffers follow."""
        return sum(e.numel for e in self.entries if not e.buffer)

    @cached_property
    def digest(self) -> bytes:
        """8 bytes that name the layout on the wire, where no shape ever travels."""
        lines = [
            # !a quotes the name, so that no name can pass for two
            f"{e.name!a}|{','.join(map(str, e.shape))}|float32|{'buffer' if e.buffer else 'parameter'}"
            for e in self.entries
        ]
        lines += [f"{alias!a}={name!a}" for alias, name in self.ties]
        return hashlib.blake2b("\n".join(lines).encode(), digest_size=8).digest()

    def views(self, vector: Tensor) -> dict[str, Tensor]:
        """Name -> view of `vector` (..., d)."""
        return {e.name: e.of(vector) for e in self.entries}

    def __str__(self) -> str:
        return f"{self.digest.hex()} ({len(self.entries)} tensors, {self.numel:,} numbers)"


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A model as it was at one moment, held somewhere. The node passes it on and never looks inside `storage`."""

    digest: bytes  # of the ModelSpec
    round: int  # the round in which it was trained, from 1
    age: int  # local steps folded in
    samples: int  # training samples of the node that made it
    storage: Any = field(repr=False)  # a tensor, a row of an arena, a buffer: the driver's own business


def bind(module: nn.Module, share: Share | None = None) -> Tensor:
    """Move the parameters and float buffers of `module` into one new vector and make them views of it.

    share: only that part of it; the rest stays as it is. A submodule's name ("head"), a regular expression that
    matches whole names (".*lora_.*"), a function of a name, or several of these.
    Returns the vector, (d,) float32 on the module's device: reading a model then costs nothing and writing it is one
    `copy_`. The Parameter objects stay the same, so an optimizer may exist already; do not `module.to(...)` afterwards.
    Raises BadInput if the module cannot be a float32 vector, or has no such part.
    """
    spec, tensors = _inspect(module, share)
    vector = torch.empty(spec.numel, dtype=torch.float32, device=tensors[0][0].device)
    with torch.no_grad():
        for entry, same in zip(spec.entries, tensors, strict=True):
            view = entry.of(vector)
            view.copy_(same[0])
            for tensor in same:
                tensor.data = view
    return vector


@dataclass(slots=True)
class _Same:
    """One piece of memory: the names that are shared, and all the tensor objects that hold it."""

    names: list[str]
    tensors: list[Tensor]
    buffer: bool


def _inspect(module: nn.Module, share: Share | None) -> tuple[ModelSpec, list[list[Tensor]]]:
    """The spec, and for each entry all the tensor objects of the module that hold it."""
    pieces = _pieces(module, share)
    shared = [piece for piece in pieces if piece.names]
    entries: list[Entry] = []
    offset = 0
    for piece in shared:
        tensor = piece.tensors[0]
        entries.append(Entry(piece.names[0], tuple(tensor.shape), offset, tensor.numel(), piece.buffer))
        offset += tensor.numel()
    if all(e.buffer or not e.numel for e in entries):
        what = type(module).__name__ if share is None else f"the shared part of {type(module).__name__}"
        raise BadInput(f"{what} has no parameters: there is nothing to train or exchange")
    devices = {piece.tensors[0].device for piece in shared}
    if len(devices) > 1:
        raise BadInput(
            f"the model lies on {len(devices)} devices ({', '.join(sorted(map(str, devices)))}): move it to one"
        )
    _refuse_overlap((piece.names[0] if piece.names else "a part not shared", piece.tensors[0]) for piece in pieces)
    # named in the order of the module, whichever piece they are of
    carrier = {alias: piece.names[0] for piece in shared for alias in piece.names[1:]}
    ties = tuple((name, carrier[name]) for name, _, _ in _float_tensors(module) if name in carrier)
    return ModelSpec(tuple(entries), ties), [piece.tensors for piece in shared]


def _pieces(module: nn.Module, share: Share | None) -> list[_Same]:
    """The memory of the float tensors of a module, tied ones once, in the order of the names that are shared."""
    if isinstance(module, torch.jit.ScriptModule):
        raise BadInput("a scripted module keeps its tensors to itself: give the nn.Module that it was made from")
    found = list(_float_tensors(module))
    chosen = _chosen([name for name, _, _ in found], share)
    pieces: dict[Any, _Same] = {}
    for name, tensor, buffer in sorted(found, key=lambda f: f[0] not in chosen):
        if name in chosen:
            _refuse_unfit(f"{'buffer' if buffer else 'parameter'} {name!r}", tensor, buffer)
        elif not _dense(tensor):
            continue
        piece = pieces.setdefault(_storage_key(tensor), _Same([], [], buffer))
        if name in chosen:
            piece.names.append(name)
        if all(tensor is not t for t in piece.tensors):
            piece.tensors.append(tensor)
    return list(pieces.values())


def _chosen(names: Sequence[str], share: Share | None) -> set[str]:
    """The names of the shared part. Raises BadInput if there is none."""
    if share is None or not names:
        return set(names)
    if isinstance(share, str):
        return _named(names, share)
    if isinstance(share, re.Pattern):
        chosen = {name for name in names if share.fullmatch(name)}
    elif callable(share):
        chosen = {name for name in names if share(name)}
    else:
        chosen = {name for part in share for name in _chosen(names, part)}
    if not chosen:
        raise BadInput(f"share selects none of the model's {len(names)} tensors, such as {names[0]!r}")
    return chosen


def _named(names: Sequence[str], share: str) -> set[str]:
    chosen = {name for name in names if name == share or name.startswith(f"{share}.")}
    if not chosen:
        try:
            chosen = {name for name in names if re.fullmatch(share, name)}
        except re.error:
            chosen = set()
    if chosen:
        return chosen
    parts = {".".join(words[:n]) for words in (name.split(".") for name in names) for n in range(1, len(words) + 1)}
    close = difflib.get_close_matches(share, sorted(parts), n=1)
    hint = f" did you mean {close[0]!r}?" if close else ""
    top = sorted({name.partition(".")[0] for name in names})
    raise BadInput(
        f"share: no part of the model is called, and no tensor matches, {share!r};{hint} its parts: "
        + ", ".join(top[:12] + ["..."] * (len(top) > 12))
    )


def _float_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor, bool]]:
    """Every name that a vector may have: (name, tensor, whether it is a buffer)."""
    for name, parameter in module.named_parameters(remove_duplicate=False):
        yield name, parameter, False
    for name, buffer in module.named_buffers(remove_duplicate=False):
        if (buffer.is_floating_point() or buffer.is_complex()) and _persistent(module, name):
            yield name, buffer, True


def _dense(tensor: Tensor) -> bool:
    """Whether it has memory that another tensor might share."""
    return not nn.parameter.is_lazy(tensor) and not tensor.is_meta and tensor.layout == torch.strided


def _refuse_unfit(what: str, tensor: Tensor, buffer: bool) -> None:
    """Raises BadInput for what has no numbers yet, and for what is not dense float32."""
    if nn.parameter.is_lazy(tensor):
        raise BadInput(f"{what} has no shape yet: run one forward pass before the model is used")
    if tensor.is_meta:
        raise BadInput(f"{what} is on the meta device, without numbers: build the model on cpu or cuda")
    if tensor.layout != torch.strided:
        raise BadInput(f"{what} is {tensor.layout}: gossipnet exchanges dense models")
    if tensor.is_complex():
        raise BadInput(f"{what} is {tensor.dtype}: gossipnet exchanges float32 models, hold torch.view_as_real of it")
    if tensor.dtype != torch.float32:
        raise BadInput(f"{what} is {tensor.dtype}: gossipnet exchanges float32 models, call .float()")
    if buffer and not bool(tensor.isfinite().all()):
        raise BadInput(f"{what} holds nan or inf, which no node accepts: register it with persistent=False")


def _refuse_overlap(named: Iterable[tuple[str, Tensor]]) -> None:
    """Raises BadInput where tensors share memory without being the same view of it: `bind` would part them."""
    by_storage: dict[int, list[tuple[str, Tensor]]] = {}
    for name, tensor in named:
        if tensor.numel():
            by_storage.setdefault(tensor.untyped_storage().data_ptr(), []).append((name, tensor))
    for sharing in by_storage.values():
        for entangled in _entangled(sharing):
            _refuse_overlap_in(entangled)


def _entangled(storage: list[tuple[str, Tensor]]) -> Iterator[list[tuple[str, Tensor]]]:
    """Those tensors of one storage that lie between each other's first and last number."""
    together: list[tuple[str, Tensor]] = []
    end = 0
    for named in sorted(storage, key=lambda named: _extent(named[1])):
        first, last = _extent(named[1])
        if together and first >= end:
            if len(together) > 1:
                yield together
            together = []
        together.append(named)
        end = max(end, last + 1)
    if len(together) > 1:
        yield together


def _refuse_overlap_in(storage: list[tuple[str, Tensor]]) -> None:
    first = min(_extent(t)[0] for _, t in storage)
    last = max(_extent(t)[1] for _, t in storage)
    taken = torch.zeros(last - first + 1, dtype=torch.bool)
    for name, tensor in storage:
        part = taken.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset() - first)
        if part.any():
            raise BadInput(
                f"{name!r} is another view (transposed, sliced) of memory that the model holds already: "
                "assign the whole Parameter to tie weights, and transpose in forward()"
            )
        part.fill_(True)


def _extent(tensor: Tensor) -> tuple[int, int]:
    """Where its first and its last number lie in its storage."""
    first = int(tensor.storage_offset())
    return first, first + sum((n - 1) * s for n, s in _dims(tensor))


def _dims(tensor: Tensor) -> list[tuple[int, int]]:
    return list(zip(tensor.shape, tensor.stride(), strict=True))


def _persistent(module: nn.Module, name: str) -> bool:
    owner, _, leaf = name.rpartition(".")
    return leaf not in module.get_submodule(owner)._non_persistent_buffers_set


def _storage_key(tensor: Tensor) -> Any:
    """Equal for two tensors that are the same memory seen the same way; tied weights, in short."""
    if tensor.numel() == 0:
        return id(tensor)
    steps = tuple(s for n, s in _dims(tensor) if n > 1)  # the stride of a dimension of 1 means nothing
    return tensor.data_ptr(), tuple(tensor.shape), steps, str(tensor.device)
