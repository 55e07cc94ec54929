import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from gossipnet.data import Samples, Task, make_model, make_task, models
from gossipnet.data.task import classification
from gossipnet.errors import BadInput
from gossipnet.model import ModelSpec


def image_task(*inputs: int, outputs: int = 10) -> Task:
    samples = Samples(np.zeros((1, *inputs), dtype=np.uint8), np.zeros(1, dtype=np.int64))
    return classification("images", samples, samples, inputs=inputs, outputs=outputs, model="mlp")


MNIST, DIGITS = image_task(1, 28, 28), image_task(1, 8, 8)


def n_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("text", "task", "expected"),
    [
        ("lenet5", MNIST, 61_706),
        ("logistic", MNIST, 784 * 10 + 10),
        ("mlp", MNIST, 784 * 64 + 64 + 64 * 32 + 32 + 32 * 10 + 10),
        ("cnn", MNIST, 320 + 32 * 64 * 9 + 64 + 64 * 49 * 128 + 128 + 1290),
        ("cnn:width=4", DIGITS, 40 + 4 * 8 * 9 + 8 + 8 * 4 * 128 + 128 + 1290),
        ("mlp", DIGITS, 64 * 64 + 64 + 64 * 32 + 32 + 32 * 10 + 10),
    ],
)
def test_parameters_are_as_many_as_the_design_says(text: str, task: Task, expected: int) -> None:
    assert n_parameters(make_model(text, task)) == expected


@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize("inputs", [(1, 28, 28), (3, 32, 32)])
def test_every_model_classifies_images_and_is_a_vector(name: str, inputs: tuple[int, ...]) -> None:
    model = make_model(name, image_task(*inputs, outputs=7))
    assert model(torch.rand(5, *inputs)).shape == (5, 7)
    assert ModelSpec.of(model).n_parameters == n_parameters(model)


@pytest.mark.parametrize("name", models.names())
def test_weights_are_xavier_uniform_and_biases_zero(name: str) -> None:
    torch.manual_seed(0)
    model = make_model(name, MNIST)
    for part in model.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            area = math.prod(part.weight.shape[2:])
            bound = math.sqrt(6 / (area * (part.weight.shape[0] + part.weight.shape[1])))
            assert part.weight.abs().max() <= bound
            if part.weight.numel() > 2000:
                assert part.weight.var().item() == pytest.approx(bound**2 / 3, rel=0.1)
            assert part.bias is None or not part.bias.any()


@pytest.mark.parametrize("name", models.names())
def test_the_same_seed_draws_the_same_model(name: str) -> None:
    def vector(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(make_model(name, MNIST).parameters())

    assert torch.equal(vector(1), vector(1))
    assert not torch.equal(vector(1), vector(2))


def test_lenet5_is_the_composition_that_the_design_names() -> None:
    model = make_model("lenet5", MNIST)
    weights = list(model.parameters())
    f = nn.functional
    x = torch.rand(3, 1, 28, 28)
    by_hand = f.max_pool2d(f.conv2d(x, weights[0], weights[1], padding=2).relu(), 2)
    by_hand = f.max_pool2d(f.conv2d(by_hand, weights[2], weights[3]).relu(), 2).reshape(3, 400)
    by_hand = (by_hand @ weights[4].T + weights[5]).relu()
    by_hand = (by_hand @ weights[6].T + weights[7]).relu() @ weights[8].T + weights[9]
    assert torch.allclose(model(x), by_hand, atol=1e-6)


def test_logistic_is_affine() -> None:
    model = make_model("logistic", DIGITS)
    a, b = torch.rand(2, 4, 1, 8, 8)
    assert torch.allclose(model(a + b), model(a) + model(b) - model(torch.zeros_like(a)), atol=1e-5)


@pytest.mark.parametrize("name", models.names())
def test_every_model_trains_on_many_nodes_at_once(name: str) -> None:
    """Gradients under vmap, as the simulator takes them, are those of each model alone."""
    task = image_task(1, 16, 16)
    nodes = [make_model(f"{name}:width=8" if name in ("cnn", "resnet18", "transformer") else name, task) for _ in "ab"]
    parameters, buffers = stack_module_state(nodes)
    inputs, targets = torch.rand(2, 4, 1, 16, 16), torch.randint(10, (2, 4))

    def loss(parameters: dict, buffers: dict, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return task.loss(functional_call(nodes[0], (parameters, buffers), (x,)), y)

    stacked = vmap(grad(loss))(parameters, buffers, inputs, targets)
    for i, node in enumerate(nodes):
        task.loss(node(inputs[i]), targets[i]).backward()
        for key, parameter in node.named_parameters():
            assert torch.allclose(parameter.grad, stacked[key][i], rtol=1e-3, atol=1e-5), key


@pytest.mark.parametrize("task", [DIGITS, image_task(20)])
def test_lenet5_refuses_what_it_cannot_take(task: Task) -> None:
    with pytest.raises(BadInput, match=r"12x12 or more, got inputs of shape .*: use 'mlp'"):
        make_model("lenet5", task)


def test_lenet5_takes_the_smallest_images_that_it_claims_to() -> None:
    assert make_model("lenet5", image_task(1, 12, 12))(torch.rand(2, 1, 12, 12)).shape == (2, 10)


def test_no_text_is_the_tasks_own_model() -> None:
    assert n_parameters(make_model("", DIGITS)) == n_parameters(make_model("mlp", DIGITS))
    assert n_parameters(make_model("", make_task("digits"))) == n_parameters(make_model("mlp", DIGITS))


def test_unknown_model_names_the_closest() -> None:
    with pytest.raises(BadInput, match="did you mean 'lenet5'"):
        make_model("lenet", MNIST)


def test_functions_in_users_files_are_models(tmp_path: Path) -> None:
    file = tmp_path / "nets.py"
    file.write_text(
        "import math\nfrom torch import nn\n"
        "def small(inputs, outputs, bias: bool = True):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(inputs), outputs, bias=bias))\n"
        "def wrong(inputs):\n"
        "    return inputs\n"
    )
    assert n_parameters(make_model(f"{file}:small:bias=no", MNIST)) == 7840
    with pytest.raises(BadInput, match=r"nets\.py:5: got a tuple, expected a torch.nn.Module"):
        make_model(f"{file}:wrong", MNIST)


def test_a_tasks_own_module_is_made_anew_and_others_may_replace_it() -> None:
    task = replace(MNIST, model="own", module=lambda: nn.Linear(3, 2), inputs=())
    for text in ("", "own"):
        first, second = make_model(text, task), make_model(text, task)
        assert n_parameters(first) == 8
        assert first.weight is not second.weight
    assert n_parameters(make_model("logistic", task)) == 7850
    with pytest.raises(BadInput, match="the model of task 'images': got a int"):
        make_model("", replace(task, module=lambda: 3))


def test_a_model_needs_to_know_how_many_outputs() -> None:
    with pytest.raises(BadInput, match="does not say how many outputs"):
        make_model("mlp", replace(MNIST, outputs=0))
