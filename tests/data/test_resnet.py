import pytest
import torch
from torch import nn

from gossipnet.data import Samples, Task, make_model
from gossipnet.data.task import classification
from gossipnet.errors import BadInput
from gossipnet.model import ModelSpec


def image_task(*inputs: int, outputs: int = 10) -> Task:
    samples = Samples([[0]], [0])
    return classification("images", samples, samples, inputs=inputs, outputs=outputs, model="resnet18")


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (image_task(3, 32, 32), 11_173_962),  # as everybody's CIFAR variant has
        (image_task(3, 224, 224, outputs=1000), 11_689_512),  # as torchvision's has
    ],
)
def test_parameters_are_as_many_as_elsewhere(task: Task, expected: int, norm: str) -> None:
    assert ModelSpec.of(make_model(f"resnet18:norm={norm}", task)).n_parameters == expected


def test_group_normalisation_is_the_default_and_leaves_no_statistics_to_merge() -> None:
    names = ModelSpec.of(make_model("resnet18:width=4", image_task(1, 8, 8))).entries
    assert not any(entry.buffer for entry in names)
    names = ModelSpec.of(make_model("resnet18:width=4,norm=batch", image_task(1, 8, 8))).entries
    assert sum(entry.buffer for entry in names) == 2 * 20


@pytest.mark.parametrize("side", [8, 28, 32, 64])
@pytest.mark.parametrize("width", [1, 2, 9, 66])
def test_any_side_and_width_give_scores(side: int, width: int) -> None:
    model = make_model(f"resnet18:width={width}", image_task(1, side, side, outputs=3))
    assert model(torch.rand(2, 1, side, side)).shape == (2, 3)


@pytest.mark.parametrize("width", [8, 16, 64])
def test_groups_have_eight_channels_or_more(width: int) -> None:
    model = make_model(f"resnet18:width={width}", image_task(3, 32, 32))
    groups = [part for part in model.modules() if isinstance(part, nn.GroupNorm)]
    assert len(groups) == 20
    assert min(part.num_channels // part.num_groups for part in groups) >= 8
    assert max(part.num_groups for part in groups) == min(32, width)


def test_blocks_are_shortcuts_around_their_convolutions() -> None:
    """With every last normalisation of a block at zero, a block is the ReLU of its shortcut."""
    model = make_model("resnet18:width=4", image_task(1, 8, 8))
    x = torch.rand(2, 4, 8, 8)
    block = model.blocks[1]
    torch.nn.init.zeros_(block.norm2.weight)
    assert torch.equal(block(x), x)
    block = model.blocks[2]
    torch.nn.init.zeros_(block.norm2.weight)
    assert torch.equal(block(x), block.shortcut(x).relu())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("resnet18:norm=grup", "did you mean 'group'"), ("resnet18:width=0", "got width=0")],
)
def test_wrong_options_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        make_model(text, image_task(3, 32, 32))
