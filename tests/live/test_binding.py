"""A user's module as a vector, whatever becomes of the module."""

import copy

import pytest
import torch
from torch import nn

from gossipnet.errors import BadInput
from gossipnet.live.binding import Binding, unwrapped


def module():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


class Compiled(nn.Module):
    """What torch.compile makes, without the seconds that it takes."""

    def __init__(self, net):
        super().__init__()
        self._orig_mod = net


def moved_away(net):
    """What net.to(another device) does: the Parameter objects stay, their memory does not."""
    net._apply(lambda tensor: tensor.clone())


def test_training_and_loading_change_no_place():
    net = module()
    binding = Binding(net)
    parameters = list(net.parameters())
    net(torch.randn(5, 3)).sum().backward()
    with torch.no_grad():
        for parameter in parameters:
            parameter -= 0.1 * parameter.grad
    net.load_state_dict(copy.deepcopy(net.state_dict()))
    net.eval().requires_grad_(False).train()
    assert not binding.moved()
    assert not binding.changed()
    assert all(a is b for a, b in zip(parameters, net.parameters(), strict=True))
    assert torch.equal(binding.vector[:12].view(4, 3), net[0].weight)


def test_a_module_that_moved_is_bound_again_with_its_values():
    net = module()
    binding = Binding(net)
    moved_away(net)
    with torch.no_grad():
        net[2].bias.fill_(7.0)
    assert binding.moved()
    binding.again()
    assert not binding.changed()
    assert torch.equal(binding.vector[12 + 4 + 4 + 4 + 8 :][:2], torch.full((2,), 7.0))
    binding.vector.zero_()
    assert not net[2].bias.any()


def test_loading_by_assignment_is_noticed():
    net = module()
    binding = Binding(net)
    net.load_state_dict({k: v.clone() for k, v in net.state_dict().items()}, assign=True)
    assert binding.moved()
    binding.again()
    assert not binding.moved()


def test_a_layer_that_was_replaced_is_noticed():
    net = module()
    binding = Binding(net)
    net[2] = nn.Linear(4, 2)
    assert not binding.moved()  # the old one is where it was
    assert binding.changed()
    binding.again()
    binding.vector.zero_()
    assert not net[2].weight.any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda net: net.__setitem__(2, nn.Linear(4, 3)), "changed its shape while it was joined"),
        (lambda net: net.half(), "float32"),
        (lambda net: net.__delitem__(2), "changed its shape"),
    ],
)
def test_another_model_is_refused_in_one_line(change, said):
    net = module()
    binding = Binding(net)
    change(net)
    assert binding.changed()
    with pytest.raises(BadInput, match=said) as raised:
        binding.again()
    assert "\n" not in str(raised.value)


def test_only_the_shared_part_is_watched():
    net = module()
    binding = Binding(net, "2")
    net[0] = nn.Linear(3, 4)
    net[1].half()
    assert not binding.changed()
    moved_away(net)
    assert binding.changed()


def test_bindings_of_the_same_tensors_overlap():
    net = module()
    assert Binding(net, "0").overlaps(Binding(net))
    assert not Binding(net, "0").overlaps(Binding(net, "2"))
    assert not Binding(net).overlaps(Binding(module()))


def test_wrappers_have_no_say_in_names():
    net = module()
    assert unwrapped(net) is net
    assert unwrapped(nn.DataParallel(net)) is net
    compiled = Compiled(net)
    assert unwrapped(compiled) is net
    assert Binding(compiled).spec == Binding(net).spec
