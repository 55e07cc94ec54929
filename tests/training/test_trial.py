"""A task whose parts do not fit is told from one that works, before training, and without a trace in the module."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_training import CLASSES, FEATURES, TASK, dropout_model, norm_model, plain_model
from torch import nn

from gossipnet.errors import BadInput
from gossipnet.training.trial import try_out

CPU, TWO = torch.device("cpu"), np.arange(2)


def both(outputs, targets):
    raise ValueError("not\nyet")


WRONG = {
    "inputs": ({}, nn.Linear(FEATURES + 1, CLASSES), r"the model, given inputs \(2, 6\) float32, raised RuntimeError"),
    "outputs": ({}, nn.LSTM(FEATURES, CLASSES), "the model gave a tuple, expected one row of outputs for each"),
    "rows": ({}, nn.Flatten(0), r"the model gave a tensor \(12,\) float32, expected one row"),
    "loss raises": ({"loss": both}, plain_model(), r"the loss, given .* raised ValueError: not yet \(.*test_trial.py:"),
    "loss": ({"loss": lambda o, t: o}, plain_model(), r"the loss gave a tensor \(2, 3\) float32, expected one number"),
    "number": ({"loss": lambda o, t: 1.0}, plain_model(), "the loss gave a float"),
    "cut": ({"loss": lambda o, t: o.detach().sum()}, plain_model(), "the loss does not depend on any parameter"),
    "metric raises": ({"metrics": {"best": both}}, plain_model(), "the metric 'best', given .* raised ValueError"),
    "metric": ({"metrics": {"best": lambda o, t: 1.0}}, plain_model(), "the metric 'best' gave a float, expected"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_does_not_fit_is_said_in_one_line(wrong):
    changes, module, said = WRONG[wrong]
    with pytest.raises(BadInput, match=f"task 'blobs': {said}") as refused:
        try_out(replace(TASK, **changes), module, TWO, CPU)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("make", [plain_model, dropout_model, norm_model])
@pytest.mark.parametrize("metric", [lambda o, t: o.argmax(1) == t, lambda o, t: o.mean()])
def test_what_works_is_left_as_it_was(make, metric):
    module = make()
    module[1].eval()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    drawn, modes = torch.get_rng_state(), [part.training for part in module.modules()]
    try_out(replace(TASK, metrics={"best": metric}), module, TWO, CPU)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert [part.training for part in module.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    assert all(p.grad is None for p in module.parameters())
