"""Digests, samples of vectors, and the figures of all models together."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_training import TASK, make_trainer, norm_model, plain_model
from torch import nn

from gossipnet.data.task import Task
from gossipnet.model import ModelSpec, bind
from gossipnet.training import measure
from gossipnet.training.evaluation import evaluate
from gossipnet.training.measure import coordinates, digest, measure_together, take_sample, variances

CPU = torch.device("cpu")


def test_a_digest_tells_every_bit():
    vector = torch.randn(1000)
    same = vector.clone().requires_grad_()
    assert digest(vector) == digest(same)
    assert len(digest(vector)) == 32
    for i in (0, 500, 999):
        other = vector.clone()
        other[i] = torch.nextafter(other[i], torch.tensor(1e9))
        assert digest(other) != digest(vector)
    assert digest(torch.zeros(3)) != digest(-torch.zeros(3))


def test_a_digest_is_of_the_values_not_of_how_they_lie():
    matrix = torch.randn(10, 2)
    assert digest(matrix[:, 0]) == digest(matrix[:, 0].clone())


def test_variances_are_those_of_the_weights_alone():
    module = norm_model()
    vector = bind(module)
    found = variances(ModelSpec.of(module), vector)
    assert found.keys() == {"0.weight", "2.weight"}
    assert found["0.weight"] == pytest.approx(module[0].weight.var(correction=0).item(), rel=1e-6)


def test_a_sample_of_a_small_model_is_all_of_it_and_a_copy():
    trainer = make_trainer()
    chosen = coordinates(0, trainer.spec.numel)
    sample = take_sample(trainer.spec, trainer.vector, chosen)
    before = trainer.vector.clone().numpy()
    trainer.vector.zero_()
    assert chosen is None
    assert sample.scale == 1
    assert np.array_equal(sample.vector, before)


def test_a_sample_of_a_large_model_has_the_same_coordinates_everywhere(monkeypatch):
    monkeypatch.setattr(measure, "SAMPLED", 20)
    chosen = coordinates(3, 100)
    assert np.array_equal(chosen, coordinates(3, 100))
    assert not np.array_equal(chosen, coordinates(4, 100))
    assert len(np.unique(chosen)) == 20
    assert 0 <= chosen.min() <= chosen.max() < 100
    assert (np.diff(chosen) > 0).all()
    assert coordinates(3, 20) is None
    trainer = make_trainer()
    sample = take_sample(trainer.spec, trainer.vector, coordinates(3, trainer.spec.numel))
    assert sample.scale == trainer.spec.numel / 20
    assert np.isin(sample.vector, trainer.vector.numpy()).all()


@given(seed=st.integers(0, 100), n=st.integers(1, 5))
def test_together_is_the_spread_of_all_and_the_accuracy_of_their_mean(seed, n):
    spec = ModelSpec.of(plain_model())
    vectors = torch.randn(n, spec.numel, generator=torch.Generator().manual_seed(seed))
    found = measure_together(iter(vectors), plain_model, TASK, CPU)
    mean = vectors.double().mean(0)
    module = plain_model()
    bind(module).copy_(mean)
    assert found["consensus_distance"] == pytest.approx(float((vectors - mean).square().sum(1).mean().sqrt()))
    assert found["accuracy"] == evaluate(module, TASK, TASK.test, np.arange(37), CPU)["accuracy"]


def test_of_no_models_there_are_no_figures():
    assert measure_together([], plain_model, TASK, CPU) == {"consensus_distance": None, "accuracy": None}


def test_a_task_without_accuracy_has_none_of_the_mean():
    regression = Task("r", TASK.train, TASK.test, (6,), 3, "logistic", lambda o, t: o.square().mean(), {})
    found = measure_together([torch.zeros(ModelSpec.of(plain_model()).numel)], plain_model, regression, CPU)
    assert found == {"consensus_distance": 0.0, "accuracy": None}


def test_the_mean_takes_in_the_statistics_of_batch_norm():
    vectors = torch.rand(3, ModelSpec.of(norm_model()).numel) + 0.5
    assert measure_together(vectors, norm_model, TASK, CPU)["accuracy"] is not None
    assert isinstance(norm_model()[1], nn.BatchNorm1d)
