"""A user's module as a vector, and whether it still is one: the module stays theirs, to move and to change."""

from typing import Any

from torch import Tensor, nn

from gossipnet.errors import BadInput
from gossipnet.model import ModelSpec, Share, bind

_COMPILED = "_orig_mod"  # what torch.compile wraps a module in calls it
_PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)


class Binding:
    """The shared part of `module`, bound. Not thread-safe: used by the thread that trains the module.

    vector: (d,) float32 on the module's device. Raises BadInput if the module cannot be a vector.
    """

    def __init__(self, module: nn.Module, share: Share | None = None) -> None:
        self.module = unwrapped(module)
        self.spec = ModelSpec.of(self.module, share)
        self._share = share
        self._bind()

    def _bind(self) -> None:
        self.vector: Tensor = bind(self.module, self._share)
        modules = dict(self.module.named_modules(remove_duplicate=False))
        self._places: list[tuple[dict[str, Any], str, int]] = []  # where a tensor is held, its name there, its memory
        self._owners: dict[str, dict[str, Any]] = {}
        for entry in self.spec.entries:
            path, _, leaf = entry.name.rpartition(".")
            held: dict[str, Any] = modules[path]._buffers if entry.buffer else modules[path]._parameters
            self._places.append((held, leaf, held[leaf].data_ptr()))
            self._owners[entry.name] = held

    def moved(self) -> bool:
        """Whether a tensor of the module is not in the vector any more; takes microseconds."""
        for held, name, memory in self._places:
            tensor = held.get(name)
            if tensor is None or tensor.data_ptr() != memory:
                return True
        return False

    def changed(self) -> bool:
        """The same, and whether a layer was replaced; takes longer."""
        if self.moved():
            return True
        modules = dict(self.module.named_modules(remove_duplicate=False))
        for entry in self.spec.entries:
            owner = modules.get(entry.name.rpartition(".")[0])
            if owner is None or (owner._buffers if entry.buffer else owner._parameters) is not self._owners[entry.name]:
                return True
        return False

    def again(self) -> None:
        """Bind the module anew, wherever it is now. Raises BadInput if it is not the model that it was."""
        spec = ModelSpec.of(self.module, self._share)
        if spec.digest != self.spec.digest:
            raise BadInput(
                f"the model changed its shape while it was joined: it is {spec} now and was {self.spec}; "
                "close this gossip and join again with the new model"
            )
        self._bind()

    def overlaps(self, other: "Binding") -> bool:
        """Whether both want to hold the same tensors."""
        mine = {id(tensor) for tensor in self._tensors()}
        return any(id(tensor) in mine for tensor in other._tensors())

    def _tensors(self) -> list[Tensor]:
        return [held[name] for held, name, _ in self._places if held.get(name) is not None]


def unwrapped(module: nn.Module) -> nn.Module:
    """The user's own module inside of what torch.compile and data parallelism wrap around it: names are the same."""
    while True:
        inner = getattr(module, _COMPILED, None) or (module.module if isinstance(module, _PARALLEL) else None)
        if not isinstance(inner, nn.Module):
            return module
        module = inner
