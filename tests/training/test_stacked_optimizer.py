import pytest
import torch

from gossipnet.training.optimizer import make_optimizer, optimizers
from gossipnet.training.stacked_optimizer import rows_of, stacked_optimizer


@pytest.mark.parametrize(
    "text",
    [
        "sgd",
        "sgd:momentum=0.9",
        "sgd:momentum=0.9,nesterov=true",
        "sgd:momentum=0.5,weight_decay=0.1",
        "adamw",
        "adamw:beta1=0.5,beta2=0.9,weight_decay=0.3",
        "adamw:beta1=0,beta2=0",
    ],
)
@pytest.mark.parametrize("one_rate", [True, False])
def test_rows_go_the_way_of_single_models(text, one_rate):
    torch.manual_seed(0)
    start, rates = torch.randn(3, 4, 5), [0.1] * 3 if one_rate else [0.1, 0.02, 0.3]
    stacked = stacked_optimizer(text)
    values, memory = start.clone(), [torch.zeros(3, 4, 5) for _ in range(stacked.memories)]
    parameters = [torch.nn.Parameter(row.clone()) for row in start]
    alone = [make_optimizer(text, [p], lr) for p, lr in zip(parameters, rates, strict=True)]
    for step in range(1, 6):
        gradients = torch.randn(3, 4, 5)
        for parameter, optimizer, gradient in zip(parameters, alone, gradients, strict=True):
            if parameter.grad is None:
                parameter.grad = gradient.clone()
            parameter.grad.copy_(gradient)
            optimizer.step()
        lr = 0.1 if one_rate else torch.tensor(rates, dtype=torch.float64)
        stacked.step(values, gradients, memory, lr, torch.full((3,), step))
    torch.testing.assert_close(values, torch.stack([p.data for p in parameters]), rtol=1e-5, atol=1e-6)


def test_every_optimizer_of_ours_has_a_stacked_form():
    ours = [n for n in optimizers.names() if optimizers.factory(n).__module__.startswith("gossipnet.")]
    assert all(stacked_optimizer(name) for name in ours)


def test_one_of_the_users_has_none():
    optimizers.register("lazy-for-a-test")(lambda: None)
    assert stacked_optimizer("lazy-for-a-test") is None


def test_a_number_a_row():
    assert (torch.ones(2, 3, 4) * rows_of(torch.tensor([1.0, 2.0]), torch.ones(2, 3, 4))).sum((1, 2)).tolist() == [
        12,
        24,
    ]
