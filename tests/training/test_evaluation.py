"""Means over samples, however these are cut into batches."""

import numpy as np
import pytest
import torch
from small_training import TASK, plain_model

from gossipnet.data.samples import Samples
from gossipnet.data.task import Task
from gossipnet.training import evaluation
from gossipnet.training.evaluation import evaluate

CPU = torch.device("cpu")


@pytest.mark.parametrize("batch", [1, 7, 36, 37, 1000])
def test_batches_do_not_show(monkeypatch, batch):
    torch.manual_seed(0)
    module, chosen = plain_model(), np.arange(37)
    whole = evaluate(module, TASK, TASK.test, chosen, CPU)
    monkeypatch.setattr(evaluation, "BATCH", batch)
    assert evaluate(module, TASK, TASK.test, chosen, CPU) == pytest.approx(whole, rel=1e-6)


def test_only_the_chosen_samples_count():
    samples = Samples(np.arange(10, dtype=np.float32)[:, None], np.zeros(10, dtype=np.float32))
    task = Task("t", samples, samples, (1,), 1, "", lambda o, t: o.mean(), {"value": lambda o, t: o.squeeze(1)})
    found = evaluate(torch.nn.Identity(), task, samples, np.array([2, 3, 9]), CPU)
    assert found == pytest.approx({"loss": 14 / 3, "value": 14 / 3, "samples": 3})


def test_a_metric_may_give_several_values_a_sample():
    samples = Samples(np.ones((4, 2), dtype=np.float32), np.zeros(4))
    task = Task("t", samples, samples, (2,), 2, "", lambda o, t: o.mean(), {"each": lambda o, t: o > 0})
    assert evaluate(torch.nn.Identity(), task, samples, np.arange(4), CPU)["each"] == 1.0
