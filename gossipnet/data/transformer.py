"""A small transformer encoder (Vaswani et al. 2017, normalised before each layer) for sequences and images."""

import math

from torch import Tensor, nn
from torch.nn import functional

from gossipnet.data.models import models, xavier
from gossipnet.errors import BadInput


@models.register("transformer")
def transformer(inputs: tuple[int, ...], outputs: int, width: int = 64, layers: int = 2, heads: int = 4) -> nn.Module:
    """A small transformer: reads a sequence, or an image row by row, and predicts from its last position."""
    if len(inputs) not in (2, 3):
        raise BadInput(
            f"model 'transformer' takes sequences (length, features) or images, got inputs of shape {inputs}: use 'mlp'"
        )
    if min(width, layers, heads) < 1 or width % heads:
        raise BadInput(
            f"model 'transformer': got width={width}, layers={layers}, heads={heads}, expected 1 or more of each"
            f" and a width that the heads divide"
        )
    length = inputs[-2]
    features = inputs[-1] if len(inputs) == 2 else inputs[0] * inputs[2]
    return xavier(Transformer(length, features, outputs, width, layers, heads))


class Transformer(nn.Module):
    """Sequences (B, length, features), or images (B, channels, length, width) as sequences of rows -> (B, outputs)."""

    def __init__(self, length: int, features: int, outputs: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.embed = nn.Linear(features, width)
        self.positions = nn.Parameter(nn.init.xavier_uniform_(self.embed.weight.new_empty(length, width)))
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, outputs)

    def forward(self, batch: Tensor) -> Tensor:
        if batch.ndim == 4:
            batch = batch.transpose(1, 2).flatten(2)
        states = self.layers(self.embed(batch) + self.positions)
        scores: Tensor = self.linear(self.norm(states[:, -1]))
        return scores


class Layer(nn.Module):
    """Attention over all positions, then a ReLU layer on each; both added to what came in, (B, length, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, 4 * width)
        self.out = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix(self._attend(self.query_key_value(self.norm1(x))))
        after: Tensor = x + self.out(functional.relu(self.hidden(self.norm2(x))))
        return after

    def _attend(self, x: Tensor) -> Tensor:
        """(B, length, 3 width) -> (B, length, width)."""
        query, key, value = x.view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        # torch's fused attention has no rule for vmap, which trains many nodes at a time
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        attended: Tensor = scores.softmax(-1) @ value
        return attended.transpose(1, 2).flatten(2)
