import pytest
import torch
from small_training import BLOBS, FAILING, TASK, dropout_model
from torch import nn

from gossipnet import BadInput, Experiment, make_task
from gossipnet.data.models import models
from gossipnet.training.build import split
from gossipnet.training.build_stacked import build_stacked, obstacle
from gossipnet.training.optimizer import optimizers

SMALL = Experiment(task=BLOBS, model="mlp", nodes=3, batch_size=8)


def why_not(**changes):
    experiment = SMALL.replace(**changes)
    return obstacle(experiment, make_task(experiment.task), split(experiment, TASK))


class Counting(nn.Module):
    """Keeps the number of its calls to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.calls = nn.Linear(6, 3), 0

    def forward(self, x):
        self.calls += 1
        return self.linear(x) * self.calls


class Idle(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.unused = nn.Linear(6, 3), nn.Linear(2, 2)

    def forward(self, x):
        return self.linear(x)


models.register("dropout-for-a-test")(lambda inputs, outputs: dropout_model())
models.register("counting-for-a-test")(lambda inputs, outputs: Counting())
models.register("idle-for-a-test")(lambda inputs, outputs: Idle())
models.register("norm-for-a-test")(lambda inputs, outputs: nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3)))
optimizers.register("mine-for-a-test")(lambda: lambda parameters, lr: torch.optim.Rprop(parameters, lr))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model": "logistic", "nodes": 1},
        {"optimizer": "adamw", "validation": 0.2},
        {"optimizer": "sgd:momentum=0.9"},
        {"lr": 1e9},
        {"model": "norm-for-a-test"},
    ],
)
def test_what_can_be_stacked(changes):
    assert why_not(**changes) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"optimizer": "mine-for-a-test"}, "optimizer 'mine-for-a-test' has no stacked form"),
        ({"model": "dropout-for-a-test"}, "torch.vmap refuses it: vmap: called random operation"),
        ({"model": "counting-for-a-test"}, "it does not come to the same"),
        ({"model": "idle-for-a-test", "optimizer": "adamw"}, "a parameter takes no part in the loss"),
        ({"model": "norm-for-a-test", "buffers": "recalibrate"}, "BatchNorm statistics are recalibrated"),
    ],
)
def test_what_cannot_be_stacked(changes, said):
    assert said in why_not(**changes)


def test_a_trial_draws_nothing():
    state = torch.get_rng_state()
    why_not()
    assert torch.equal(torch.get_rng_state(), state)


def test_a_damaged_sample_is_an_obstacle():
    assert "sample 7 is damaged" in (why_not(task=FAILING, nodes=2, batch_size=45) or "")


def test_an_optimizer_of_the_users_is_bad_input():
    experiment = SMALL.replace(optimizer="mine-for-a-test")
    with pytest.raises(BadInput, match="has no stacked form"):
        build_stacked(experiment, TASK, split(experiment, TASK))
