"""Batches of many nodes at a time: of each node exactly those that its own Trainer would draw."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gossipnet.data.samples import Samples, as_float
from gossipnet.streams import generator
from gossipnet.training.batches import Indices, batches
from gossipnet.training.randomness import OwnRandomness


class Feed:
    """The training samples of all nodes, drawn on demand.

    Rows of arrays are read for all nodes at once, on a GPU from a copy there. A dataset of the user's, or what prepares
    its samples, may draw random numbers: it is read node by node, each within its own stream.
    """

    def __init__(
        self,
        samples: Samples,
        parts: Sequence[Indices],
        size: int,
        seed: int,
        device: torch.device,
        streams: Mapping[int, OwnRandomness],
    ) -> None:
        self._samples, self._size, self._device, self._streams = samples, size, device, streams
        self._parts, self._seed = parts, seed
        self._orders = [self._order(node) for node in range(len(parts))]
        arrays = samples.arrays
        self._plain = arrays is not None
        self._resident = (
            tuple(torch.tensor(a, device=device) for a in arrays) if arrays and device.type != "cpu" else ()
        )

    def _order(self, node: int) -> Iterator[Indices]:
        return batches(self._parts[node], self._size, generator(self._seed, node, "batches"))

    def restart(self, node: int) -> None:
        """Begin with that node's first batch again."""
        self._orders[node] = self._order(node)

    def draw(self, nodes: Sequence[int]) -> tuple[Tensor, Tensor, dict[int, Exception]]:
        """The next batch of each node: inputs (b, B, ...), targets (b, B, ...), and the nodes whose samples failed.

        A node that failed has the batch of another in its place. Raises what the last one raised if all failed.
        """
        if not self._plain:
            return self._one_by_one(nodes)
        chosen = np.concatenate([next(self._orders[node]) for node in nodes])
        inputs, targets = (part.view(len(nodes), self._size, *part.shape[1:]) for part in self._rows(chosen))
        return inputs, targets, {}

    def _rows(self, chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        if not self._resident:
            inputs, targets = self._samples.batch(chosen)
            return inputs.to(self._device), targets.to(self._device)
        at = torch.from_numpy(chosen).to(self._device)
        inputs, targets = self._resident
        return as_float(inputs[at]), targets[at]

    def _one_by_one(self, nodes: Sequence[int]) -> tuple[Tensor, Tensor, dict[int, Exception]]:
        found: list[tuple[Tensor, Tensor] | None] = []
        failed: dict[int, Exception] = {}
        for node in nodes:
            try:
                with self._streams[node]():
                    found.append(self._samples.batch(next(self._orders[node])))
            except Exception as error:
                failed[node] = error
                found.append(None)
        good = next(filter(None, found), None)
        if good is None:
            raise failed[nodes[-1]]
        inputs, targets = (torch.stack([(pair or good)[i] for pair in found]).to(self._device) for i in (0, 1))
        return inputs, targets, failed
