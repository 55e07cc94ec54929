"""Stacked evaluation against the oracle: `Trainer.evaluate` of one node after the other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_training import TASK, make_trainer, norm_model

from gossipnet.data.task import correct
from gossipnet.training.stacked import Init, StackedTrainer
from gossipnet.training.stacked_evaluation import StackedEvaluation
from gossipnet.training.stacked_optimizer import stacked_optimizer
from gossipnet.training.trainer import TrainerConfig

PARTS = [np.arange(30), np.arange(30, 90)]
SETTINGS = {"seed": 0, "node": 0, "batch_size": 8, "lr": 0.1, "evaluate_samples": 20, "validation": 0.2}


def both(task=TASK):
    told = []
    trainer = StackedTrainer(
        task,
        Init(norm_model, lambda node: 7 + node, False),
        PARTS,
        stacked_optimizer("sgd"),
        TrainerConfig(**SETTINGS),
        torch.device("cpu"),
    )
    alone = [
        make_trainer(norm_model, task=task, indices=part, init_seed=7 + i, **(SETTINGS | {"node": i}))
        for i, part in enumerate(PARTS)
    ]
    rows = torch.stack([*trainer.first_vectors()])
    trainer.train(range(2), rows, [1, 1], 3, lambda: False)
    for one in alone:
        one.train(1, 3)
    return StackedEvaluation(trainer, told.append), rows, alone, told


def picky(outputs, targets):
    """A metric that branches on values, which vmap refuses."""
    return correct(outputs, targets) if float(outputs.sum()) < 1e9 else targets


@pytest.mark.parametrize("metric", [correct, picky])
@pytest.mark.parametrize("final", [False, True])
def test_numbers_are_those_of_a_trainer(metric, final):
    evaluation, rows, alone, told = both(replace(TASK, metrics={"accuracy": metric}))
    for _ in range(2):
        found, errors = evaluation([0, 1], rows, final)
        assert errors == {}
        for numbers, trainer in zip(found, alone, strict=True):
            assert numbers == pytest.approx(trainer.evaluate(final), rel=1e-4)
            assert numbers["samples"] == (37 if final else 20)
    assert len(told) == (metric is picky)


def test_what_fails_fails_for_its_node():
    def broken(outputs, targets):
        raise OSError("no such measure")

    evaluation, rows, _, _ = both(replace(TASK, metrics={"accuracy": broken}))
    found, errors = evaluation([0, 1], rows, True)
    assert found == [{}, {}]
    assert [str(errors[node]) for node in (0, 1)] == ["no such measure"] * 2
