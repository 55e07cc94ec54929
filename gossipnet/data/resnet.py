"""ResNet-18 (He et al. 2016) with a choice of normalisation."""

import math

from torch import Tensor, nn
from torch.nn import functional

from gossipnet.data.models import image_shape, models, xavier
from gossipnet.errors import BadInput, unknown

_LARGE = 64  # pixels: from here on the first layers shrink the image to a quarter, as the paper does for ImageNet


@models.register("resnet18")
def resnet18(inputs: tuple[int, ...], outputs: int, norm: str = "group", width: int = 64) -> nn.Module:
    """ResNet-18; norm=group needs no running statistics, which merging spoils; norm=batch is the paper's."""
    channels, height, across = image_shape("resnet18", inputs, least=8)
    if norm not in ("group", "batch"):
        raise unknown("norm of model 'resnet18' called", norm, ("group", "batch"))
    if width < 1:
        raise BadInput(f"model 'resnet18': got width={width}, expected 1 or more")
    return xavier(ResNet18(channels, outputs, norm, width, large=min(height, across) >= _LARGE))


class ResNet18(nn.Module):
    """Images (B, channels, H, W) -> (B, outputs). `width` channels at first, twice as many in each further stage.

    `large` images pass a 7x7 convolution of stride 2 and max-pooling first, small ones a 3x3 convolution (the paper's
    CIFAR variant).
    """

    def __init__(self, channels: int, outputs: int, norm: str, width: int, large: bool) -> None:
        super().__init__()
        size, stride = (7, 2) if large else (3, 1)
        self.conv = nn.Conv2d(channels, width, size, stride, padding=size // 2, bias=False)
        self.norm = _norm(norm, width)
        self.pool = nn.MaxPool2d(3, 2, padding=1) if large else nn.Identity()
        stages = [(width, width, 1), (width, 2 * width, 2), (2 * width, 4 * width, 2), (4 * width, 8 * width, 2)]
        self.blocks = nn.Sequential(
            *(
                block
                for before, after, stride in stages
                for block in (Block(before, after, stride, norm), Block(after, after, 1, norm))
            )
        )
        self.linear = nn.Linear(8 * width, outputs)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.blocks(self.pool(functional.relu(self.norm(self.conv(images)))))
        scores: Tensor = self.linear(features.mean((2, 3)))
        return scores


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, before: int, after: int, stride: int, norm: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm1 = _norm(norm, after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = _norm(norm, after)
        self.shortcut = (
            nn.Identity()
            if before == after and stride == 1
            else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), _norm(norm, after))
        )

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(inner)) + self.shortcut(x))


def _norm(kind: str, channels: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    # 32 groups (Wu and He 2018), fewer where they would have less than 8 channels: in the last stage an image can be a
    # single pixel, and of two numbers normalisation leaves the signs alone.
    return nn.GroupNorm(math.gcd(channels, min(32, 1 << (max(1, channels // 8).bit_length() - 1))), channels)
