"""Samples: the inputs and targets of a task, read batch by batch from numpy arrays or from a torch Dataset.

Nothing here runs a torch op before `Samples.batch`: data is loaded once, in the process from which the nodes fork.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gossipnet.errors import BadInput

Prepare = Callable[[Tensor], Tensor]
_TEST_EVERY = 5


class Samples:
    """Inputs and what they should give: `Samples(inputs, targets)` of two arrays, or `Samples(dataset)`.

    Arrays: row i of `inputs` (n, ...) and of `targets` (n, ...) is sample i; class labels are integers, (n,). Inputs
    stay in memory as they are, and `prepare` turns a batch of them into float32. Without one, uint8 is scaled to
    [0, 1] by 255 and anything else becomes float32.
    A dataset is anything with a length whose items are pairs (input, target), such as a map-style torch Dataset.
    `groups` (n,), of numbers or texts, says what each sample belongs to, for the partition `column`; a dataset may
    have them as an attribute of that name.
    """

    def __init__(self, inputs: Any, targets: Any = None, prepare: Prepare | None = None, groups: Any = None) -> None:
        groups = getattr(inputs, "groups", None) if groups is None and targets is None else groups
        self.groups = None if groups is None else np.asarray(groups)
        if targets is None:
            self._source: _Arrays | _Dataset = _Dataset(inputs)
        else:
            self._source = _Arrays(np.asarray(inputs), np.asarray(targets), prepare or as_float)
        self._size = len(inputs)
        if not self._size:
            raise BadInput("got no samples, expected at least one")
        if self.groups is not None and self.groups.shape != (self._size,):
            raise BadInput(f"got groups of shape {self.groups.shape}, expected one for each of {self._size} samples")

    def __len__(self) -> int:
        return self._size

    @property
    def targets(self) -> NDArray[np.int64] | None:
        """The class label of each sample, (n,) int64, by which data is split; None where there are no such labels."""
        return as_labels(self._source.targets, self._size)

    @property
    def arrays(self) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """(inputs, targets), of which a batch is mere rows, inputs `as_float`; None if there is more to it."""
        held = self._source
        if not isinstance(held, _Arrays) or held.prepare is not as_float:
            return None
        return held.inputs, held.exact_targets

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input, found by reading one sample."""
        return tuple(self.batch(np.zeros(1, dtype=np.int64))[0].shape[1:])

    def batch(self, indices: NDArray[Any]) -> tuple[Tensor, Tensor]:
        """The samples `indices` (B,): inputs (B, ...) float32, targets (B,) int64 or (B, ...) float32; on the CPU."""
        return self._source.batch(indices)


class _Arrays:
    def __init__(self, inputs: NDArray[Any], targets: NDArray[Any], prepare: Prepare) -> None:
        if len(inputs) != len(targets):
            raise BadInput(f"got {len(inputs)} inputs and {len(targets)} targets, expected as many of each")
        self.inputs = inputs
        self.targets = targets
        self.prepare = prepare

    def batch(self, indices: NDArray[Any]) -> tuple[Tensor, Tensor]:
        wanted = self.targets[indices].astype(self._exact)
        chosen = self.inputs[indices]
        # Rows in plain order: `images[:, None]` has strides that torch takes for channels_last, where the gradient of
        # a 1x1 convolution of stride 2 with few channels writes past its memory (torch 2.13 on a CPU).
        inputs = torch.from_numpy(chosen.reshape(-1)).view(chosen.shape)
        return self.prepare(inputs), torch.from_numpy(wanted)

    @property
    def exact_targets(self) -> NDArray[Any]:
        """All targets, as a batch has them."""
        return self.targets.astype(self._exact)

    @property
    def _exact(self) -> type[Any]:
        return np.int64 if self.targets.dtype.kind in "iub" else np.float32


class _Dataset:
    def __init__(self, dataset: Any) -> None:
        if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
            raise BadInput(f"got a {type(dataset).__name__}, expected arrays or a dataset with a length and items")
        self.dataset = dataset

    @property
    def targets(self) -> Any:
        return dataset_labels(self.dataset)

    def batch(self, indices: NDArray[Any]) -> tuple[Tensor, Tensor]:
        from torch.utils.data import default_collate

        wanted = [int(i) for i in indices]
        many = getattr(self.dataset, "__getitems__", None)
        pairs = many(wanted) if many else [self.dataset[i] for i in wanted]
        name = f"item {wanted[0]} of {type(self.dataset).__name__}"
        if not (isinstance(pairs[0], tuple | list) and len(pairs[0]) == 2):
            raise BadInput(f"{name} is a {type(pairs[0]).__name__}, expected a pair (input, target)")
        try:
            inputs, targets = default_collate([tuple(pair) for pair in pairs])
        except (TypeError, RuntimeError) as error:
            raise BadInput(f"{name} and the next make no batch: {' '.join(str(error).split())}") from error
        if not (isinstance(inputs, Tensor) and isinstance(targets, Tensor)):
            got = " and ".join(type(part).__name__ for part in pairs[0])
            raise BadInput(f"{name} is a pair of {got}, expected tensors, arrays or numbers")
        return as_float(inputs), targets.float() if targets.is_floating_point() else targets.long()


def as_float(batch: Tensor) -> Tensor:
    """Any numbers as float32; uint8 is taken for pixels, and scaled to [0, 1]."""
    return batch.float().div_(255) if batch.dtype == torch.uint8 else batch.float()


def as_labels(targets: Any, size: int) -> NDArray[np.int64] | None:
    """`targets` as class labels, (size,) int64, if that is what they are."""
    if targets is None:
        return None
    array = np.asarray(targets)
    return array.astype(np.int64) if array.shape == (size,) and array.dtype.kind in "iub" else None


def dataset_labels(dataset: Any) -> Any:
    """The targets of a dataset as far as it names them, without reading an item; else None.

    Understands the attributes `targets` and `labels`, and torch's TensorDataset, Subset and ConcatDataset.
    """
    if hasattr(dataset, "dataset") and hasattr(dataset, "indices"):  # a Subset
        labels = dataset_labels(dataset.dataset)
        return None if labels is None else np.asarray(labels)[np.asarray(dataset.indices)]
    if hasattr(dataset, "datasets"):  # a ConcatDataset
        parts = [dataset_labels(part) for part in dataset.datasets]
        return None if any(part is None for part in parts) else np.concatenate([np.asarray(part) for part in parts])
    if hasattr(dataset, "tensors"):  # a TensorDataset
        return dataset.tensors[-1]
    return next((getattr(dataset, name) for name in ("targets", "labels") if hasattr(dataset, name)), None)


def as_samples(data: Any) -> Samples:
    """What a user gives as training or test data: Samples, a dataset, or a pair of arrays. Raises BadInput."""
    if isinstance(data, Samples):
        return data
    return Samples(*data) if isinstance(data, tuple) and len(data) == 2 else Samples(data)


def one_in_five(labels: NDArray[Any], seed: int = 0) -> NDArray[np.bool_]:
    """Which samples are for testing, (n,): one in five, drawn at random, of each class its share to within one.

    The default seed gives every node and every run of anybody the same test set.
    """
    by_class = np.lexsort((np.random.default_rng(seed).random(len(labels)), labels))
    testing = np.zeros(len(labels), dtype=bool)
    testing[by_class[::_TEST_EVERY]] = True
    return testing
