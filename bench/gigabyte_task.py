"""A task with a model of any size of which a step touches little: a large table of word vectors, two classes of bags.

    gossipnet swarm --task "bench/gigabyte_task.py:bags:parameters=1000000" --nodes 3

Its gradient is sparse: what a node holds is then models, not gradients.
"""

from typing import Any

import numpy as np
from torch import Tensor, nn

from gossipnet.data.samples import Samples

WIDTH = 64
WORDS = 8  # of one bag


class Bags(nn.Module):
    """The mean of the vectors of a bag's words, and a linear layer on that. parameters: about so many."""

    def __init__(self, parameters: int) -> None:
        super().__init__()
        self.table = nn.Embedding(parameters // WIDTH, WIDTH, sparse=True)
        self.out = nn.Linear(WIDTH, 2)

    def forward(self, bags: Tensor) -> Tensor:
        outputs: Tensor = self.out(self.table(bags).mean(1))
        return outputs


def correct(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(-1) == targets).float()


def bags(parameters: int = 250_000_000, samples: int = 600) -> tuple[Any, ...]:
    """(module, loss, train, test, metrics); a bag is of class 1 if most of its words are of the upper half."""
    words = np.random.default_rng(0).integers(0, parameters // WIDTH, (samples, WORDS))
    classes = (words >= parameters // WIDTH // 2).sum(1) > WORDS // 2
    parts = (slice(0, samples * 5 // 6), slice(samples * 5 // 6, samples))
    train, test = (Samples(words[part], classes[part].astype(np.int64), Tensor.long) for part in parts)
    return lambda: Bags(parameters), nn.functional.cross_entropy, train, test, {"accuracy": correct}
