"""The networks that experiments name; all draw Xavier-uniform weights and zero biases from torch's generator.

A factory takes `inputs` (the shape of one input) and `outputs` from the task, its other parameters are options.
"""

import math
from collections import OrderedDict
from collections.abc import Callable

from torch import nn

from gossipnet.data.own import Made, make, said
from gossipnet.data.task import Task
from gossipnet.errors import BadInput
from gossipnet.registry import Registry

models: Registry[nn.Module] = Registry("model", "model")


def make_model(text: str, task: Task) -> nn.Module:
    """A new model for `task`, freshly drawn, on the CPU; without a text (or with the task's own) the task's own model.

    `text` names a model and its options, or a function of the user's, as `"file.py:function"` or `"module:function"`,
    that returns a module. Raises BadInput, for an architecture that does not take the task's inputs too.
    """
    if task.module is not None and text in ("", task.model):
        made = _own_model(task.name, task.module)
    else:
        if not task.outputs:
            raise BadInput(f"task {task.name!r} does not say how many outputs a model needs: leave the model to it")
        made = make(models, text or task.model, inputs=task.inputs or task.train.shape, outputs=task.outputs)
    if not isinstance(made.value, nn.Module):
        raise BadInput(f"{made.where}: got a {type(made.value).__name__}, expected a torch.nn.Module")
    return made.value


def _own_model(name: str, factory: Callable[[], nn.Module]) -> Made:
    try:
        return Made(factory(), f"the model of task {name!r}")
    except Exception as error:
        raise BadInput(f"the model of task {name!r}: {said(error)}") from error


@models.register("logistic")
def logistic(inputs: tuple[int, ...], outputs: int) -> nn.Module:
    """One affine layer: logistic regression, or linear regression with one output."""
    return xavier(nn.Sequential(OrderedDict(flatten=nn.Flatten(), linear=nn.Linear(math.prod(inputs), outputs))))


@models.register("mlp")
def mlp(inputs: tuple[int, ...], outputs: int) -> nn.Module:
    """Three affine layers with ReLU between them, 64 and 32 hidden units."""
    return xavier(
        nn.Sequential(
            OrderedDict(
                flatten=nn.Flatten(),
                hidden1=nn.Linear(math.prod(inputs), 64),
                relu1=nn.ReLU(),
                hidden2=nn.Linear(64, 32),
                relu2=nn.ReLU(),
                linear=nn.Linear(32, outputs),
            )
        )
    )


@models.register("lenet5")
def lenet5(inputs: tuple[int, ...], outputs: int) -> nn.Module:
    """LeNet-5 with ReLU and max-pooling; 61,706 parameters on 28x28 images and 10 classes."""
    channels, height, width = image_shape("lenet5", inputs, least=12)
    flat = 16 * lenet5_side(height) * lenet5_side(width)
    return xavier(
        nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, 6, 5, padding=2),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(6, 16, 5),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
                flatten=nn.Flatten(),
                hidden1=nn.Linear(flat, 120),
                relu3=nn.ReLU(),
                hidden2=nn.Linear(120, 84),
                relu4=nn.ReLU(),
                linear=nn.Linear(84, outputs),
            )
        )
    )


def lenet5_side(pixels: int) -> int:
    """Side of the second pooled image: pool, a 5x5 convolution without padding, pool."""
    return (pixels // 2 - 4) // 2


@models.register("cnn")
def cnn(inputs: tuple[int, ...], outputs: int, width: int = 32) -> nn.Module:
    """Two 3x3 convolutions, `width` and 2 `width` channels, each with ReLU and max-pooling, and two affine layers."""
    channels, height, across = image_shape("cnn", inputs, least=4)
    if width < 1:
        raise BadInput(f"model 'cnn': got width={width}, expected 1 or more")
    return xavier(
        nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, width, 3, padding=1),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(width, 2 * width, 3, padding=1),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
                flatten=nn.Flatten(),
                hidden=nn.Linear(2 * width * (height // 4) * (across // 4), 128),
                relu3=nn.ReLU(),
                linear=nn.Linear(128, outputs),
            )
        )
    )


def image_shape(model: str, inputs: tuple[int, ...], least: int) -> tuple[int, int, int]:
    """(channels, height, width) of inputs that are images. Raises BadInput for others, and for too small ones."""
    if len(inputs) != 3 or min(inputs[1:]) < least:
        raise BadInput(
            f"model {model!r} takes images (channels, height, width) of {least}x{least} or more,"
            f" got inputs of shape {inputs}: use 'mlp' or 'logistic'"
        )
    return inputs[0], inputs[1], inputs[2]


def xavier(module: nn.Module) -> nn.Module:
    """Draw every weight matrix and kernel Xavier-uniform (variance 2 / (fan in + fan out)) and zero the biases."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    return module
