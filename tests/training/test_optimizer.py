"""The optimizers against torch's own, bit for bit; what training asks of each of them."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gossipnet.errors import BadInput
from gossipnet.model import bind
from gossipnet.training.optimizer import FlatSGD, make_optimizer, optimizers, scale_lr


class Tied(nn.Module):
    """The same weights twice, and a parameter of one number between odd sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Linear(7, 7, bias=False)
        self.gain = nn.Parameter(torch.ones(()))
        self.again = nn.Linear(7, 7)
        self.again.weight = self.inside.weight
        self.out = nn.Linear(7, 3)

    def forward(self, x):
        return self.out(self.again(torch.tanh(self.inside(x))) * self.gain)


def mlp(frozen=()):
    module = nn.Sequential(nn.Linear(7, 13), nn.ReLU(), nn.Linear(13, 5), nn.ReLU(), nn.Linear(5, 3))
    for i in frozen:
        module[i].requires_grad_(False)
    return module


def trainable(module):
    return [p for p in module.parameters() if p.requires_grad]


def train(module, optimizer, steps, seed=0):
    rng = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        x, y = torch.randn(11, 7, generator=rng), torch.randint(3, (11,), generator=rng)
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()


def two(make, seed=0):
    """A bound module for ours and a plain copy for torch's."""
    torch.manual_seed(seed)
    module = make()
    plain = copy.deepcopy(module)
    bind(module)
    return module, plain


def same_bits(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


MODULES = {
    "mlp": mlp,
    "frozen in the middle": lambda: mlp(frozen=[2]),
    "frozen at both ends": lambda: mlp(frozen=[0, 4]),
    "tied": Tied,
}


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES.keys())
@settings(max_examples=10)
@given(
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    weight_decay=st.sampled_from([0.0, 1e-4, 0.3]),
    nesterov=st.booleans(),
    lr=st.floats(1e-4, 0.5),
    seed=st.integers(0, 1000),
)
def test_sgd_is_torchs_to_the_bit(make, momentum, weight_decay, nesterov, lr, seed):
    module, plain = two(make, seed)
    nesterov = nesterov and momentum > 0
    ours = FlatSGD(trainable(module), lr, momentum, weight_decay, nesterov)
    theirs = torch.optim.SGD(
        trainable(plain), lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, foreach=False
    )
    train(module, ours, 5, seed), train(plain, theirs, 5, seed)
    assert same_bits(module, plain)


def test_sgd_is_torchs_to_the_bit_on_a_convolutional_net_of_some_size():
    def make():
        return nn.Sequential(nn.Unflatten(1, (1, 7)), nn.Conv1d(1, 33, 3), nn.Flatten(), nn.Linear(165, 3))

    module, plain = two(make)
    train(module, make_optimizer("sgd:momentum=0.9,weight_decay=0.01", [*module.parameters()], 0.1), 20)
    train(plain, torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01), 20)
    assert same_bits(module, plain)


def test_frozen_parameters_are_left_alone():
    module, _ = two(lambda: mlp(frozen=[2]))
    before = copy.deepcopy(module)
    train(module, make_optimizer("sgd:weight_decay=0.5", [*module.parameters()], 0.1), 3)
    assert same_bits(module[2], before[2])
    assert not same_bits(module[0], before[0])
    assert module[2].weight.grad is None


@pytest.mark.parametrize(("frozen", "runs"), [((), 1), ((2,), 2), ((0,), 1)])
def test_neighbors_in_memory_are_one_run(frozen, runs):
    module, _ = two(lambda: mlp(frozen=frozen))
    assert len(FlatSGD(trainable(module), 0.1, 0, 0, False)._runs) == runs


def test_parameters_of_an_unbound_module_are_runs_of_their_own():
    module = mlp()
    plain = copy.deepcopy(module)
    train(module, FlatSGD([*module.parameters()], 0.1, 0.9, 0.0, False), 4)
    train(plain, torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9), 4)
    assert same_bits(module, plain)


def test_parameters_that_are_not_contiguous_are_refused():
    with pytest.raises(BadInput, match="bind the module first"):
        FlatSGD([nn.Parameter(torch.zeros(3, 4).T)], 0.1, 0, 0, False)


def test_a_parameter_outside_the_loss_stands_still_without_decay():
    module, _ = two(mlp)
    unused = module[4].bias
    before = unused.clone()
    optimizer = make_optimizer("sgd:momentum=0.9", [*module.parameters()], 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        module[0].weight.sum().backward()
        optimizer.step()
    assert torch.equal(unused, before)


def test_gradients_add_up_between_steps():
    """What `backward` adds without a `zero_grad` is not lost: that is how torch's behaves."""
    module, plain = two(mlp)
    ours, theirs = make_optimizer("sgd", [*module.parameters()], 0.1), torch.optim.SGD(plain.parameters(), lr=0.1)
    x = torch.ones(4, 7)
    for network, optimizer in ((module, ours), (plain, theirs)):
        optimizer.zero_grad()
        network(x).sum().backward()
        network(x).square().sum().backward()
        optimizer.step()
    assert same_bits(module, plain)


def test_adamw_is_torchs():
    module, plain = two(mlp)
    train(module, make_optimizer("adamw:beta1=0.8,weight_decay=0.1", [*module.parameters()], 0.01), 5)
    train(plain, torch.optim.AdamW(plain.parameters(), lr=0.01, betas=(0.8, 0.999), weight_decay=0.1), 5)
    assert same_bits(module, plain)


@pytest.mark.parametrize("text", ["sgd:momentum=0.9", "adamw"])
def test_the_learning_rate_is_scaled_from_the_one_it_was_made_with(text):
    module, plain = two(mlp)
    ours = make_optimizer(text, [*module.parameters()], 0.1)
    scale_lr(ours, 0.5), scale_lr(ours, 0.25)
    train(module, ours, 3)
    train(plain, make_optimizer(text, [*plain.parameters()], 0.025), 3)
    assert same_bits(module, plain)
    scale_lr(ours, 1.0)
    assert [g["lr"] for g in ours.param_groups] == [0.1]


@pytest.mark.parametrize("text", ["sgd:momentum=0.9", "adamw"])
def test_without_its_state_an_optimizer_begins_afresh(text):
    module, plain = two(mlp)
    ours = make_optimizer(text, [*module.parameters()], 0.1)
    train(module, ours, 3), train(plain, make_optimizer(text, [*plain.parameters()], 0.1), 3)
    ours.state.clear()
    train(module, ours, 3, seed=1), train(plain, make_optimizer(text, [*plain.parameters()], 0.1), 3, seed=1)
    assert same_bits(module, plain)


def test_a_users_optimizer_may_be_any_of_torchs():
    @optimizers.register("optimizer-test")
    def rmsprop(alpha: float = 0.9):
        return lambda parameters, lr: torch.optim.RMSprop(parameters, lr=lr, alpha=alpha)

    try:
        module, plain = two(mlp)
        train(module, make_optimizer("optimizer-test:alpha=0.5", [*module.parameters()], 0.01), 2)
        train(plain, torch.optim.RMSprop(plain.parameters(), lr=0.01, alpha=0.5), 2)
        assert same_bits(module, plain)
    finally:
        del optimizers._factories["optimizer-test"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sdg", "did you mean 'sgd'"),
        ("sgd:momentum=1", r"momentum=1, expected a number in \[0, 1\)"),
        ("sgd:momentum=-0.1", "momentum=-0.1"),
        ("sgd:weight_decay=-1", "weight_decay=-1"),
        ("sgd:nesterov=true", "write sgd:momentum=0.9,nesterov=true"),
        ("sgd:lr=0.1", "no option of optimizer 'sgd' called 'lr'"),
        ("adamw:beta1=1", "beta1=1"),
        ("adamw:beta2=2", "beta2=2"),
        ("adamw:eps=0", "eps=0, expected a number above 0"),
        ("adamw:weight_decay=-0.5", "weight_decay=-0.5"),
        ("sgd:momentum=much", "expected float"),
    ],
)
def test_bad_options_are_refused(text, said):
    with pytest.raises(BadInput, match=said):
        make_optimizer(text, [nn.Parameter(torch.zeros(3))], 0.1)
