"""Stacked training against the oracle: as many Trainers, one after the other."""

import numpy as np
import pytest
import torch
from small_training import TASK, dropout_model, make_trainer, norm_model, plain_model

from gossipnet.training.stacked import Init, Rows, StackedTrainer, finite_rows
from gossipnet.training.stacked_optimizer import stacked_optimizer
from gossipnet.training.trainer import Diverged, TrainerConfig

CPU = torch.device("cpu")
PARTS = [np.arange(first, first + size) for first, size in ((0, 30), (30, 25), (55, 9), (64, 26))]


def both(make=plain_model, same=True, **config):
    settings = {"seed": 0, "node": 0, "batch_size": 8, "lr": 0.1} | config

    def seed(node):
        return 7 if same else 7 + node

    optimizer = stacked_optimizer(settings.get("optimizer", "sgd"))
    stacked = StackedTrainer(TASK, Init(make, seed, same), PARTS, optimizer, TrainerConfig(**settings), CPU)
    trainers = [
        make_trainer(make, indices=part, init_seed=seed(node), **(settings | {"node": node}))
        for node, part in enumerate(PARTS)
    ]
    return stacked, torch.stack([*stacked.first_vectors()]), trainers


def agree(rows, trainers):
    for row, trainer in zip(rows, trainers, strict=True):
        torch.testing.assert_close(row, trainer.vector, rtol=1e-4, atol=1e-6)


def never():
    return False


@pytest.mark.parametrize("same", [True, False])
def test_all_start_as_their_trainers_do(same):
    _, rows, trainers = both(same=same)
    assert all(torch.equal(row, trainer.vector) for row, trainer in zip(rows, trainers, strict=True))


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"optimizer": "sgd:momentum=0.9,nesterov=true,weight_decay=0.01"},
        {"optimizer": "adamw:weight_decay=0.1", "lr": 0.01},
        {"schedule": "cosine", "rounds": 4},
        {"validation": 0.3},
    ],
)
def test_local_steps_are_those_of_a_trainer(config):
    stacked, rows, trainers = both(**config)
    for round in (1, 2):
        done, losses, errors = stacked.train(range(4), rows, [round] * 4, 3, never)
        expected = [trainer.train(round, 3) for trainer in trainers]
        assert done == 3
        assert errors == {}
        assert losses == pytest.approx([loss for _, loss in expected], rel=1e-4)
    assert stacked.n_samples == [trainer.n_samples for trainer in trainers]
    agree(rows, trainers)


def test_nodes_may_be_in_different_rounds_and_come_in_any_order():
    stacked, rows, trainers = both(optimizer="adamw", lr=0.01, schedule="step:every=1,factor=0.5", rounds=9)
    for nodes, rounds in (([2, 0], [1, 3]), ([3, 1, 2], [1, 1, 2])):
        block = rows[nodes]
        stacked.train(nodes, block, rounds, 2, never)
        rows[nodes] = block
        for node, round in zip(nodes, rounds, strict=True):
            trainers[node].train(round, 2)
    agree(rows, trainers)


def test_batch_norm_keeps_its_statistics():
    stacked, rows, trainers = both(norm_model)
    stacked.train(range(4), rows, [1] * 4, 3, never)
    for trainer in trainers:
        trainer.train(1, 3)
    agree(rows, trainers)
    state = stacked.state(2, rows[2])
    expected = trainers[2].module.state_dict()
    assert state.keys() == expected.keys()
    assert state["1.num_batches_tracked"] == expected["1.num_batches_tracked"] == 3


def test_a_stop_is_obeyed_between_two_steps():
    stacked, rows, _ = both()
    assert stacked.train(range(4), rows, [1] * 4, 9, lambda: True)[0] == 1


def test_who_diverges_is_told_apart():
    stacked, rows, _ = both()
    rows[1] = float("inf")
    _, _, errors = stacked.train(range(4), rows, [1] * 4, 1, never)
    assert errors.keys() == {1}
    assert isinstance(errors[1], Diverged)


def test_forgetting_clears_the_optimizer_of_those_nodes():
    stacked, rows, trainers = both(optimizer="sgd:momentum=0.9")
    stacked.train(range(4), rows, [1] * 4, 2, never)
    stacked.forget([1, 3])
    stacked.train(range(4), rows, [2] * 4, 2, never)
    for node, trainer in enumerate(trainers):
        trainer.train(1, 2)
        if node in (1, 3):
            trainer.optimizer.state.clear()
        trainer.train(2, 2)
    agree(rows, trainers)


def test_random_layers_are_refused():
    stacked, rows, _ = both(dropout_model)
    with pytest.raises(RuntimeError, match="random"):
        stacked.train(range(4), rows, [1] * 4, 1, never)


@pytest.mark.parametrize("indices", [[2, 3, 4], [4, 2, 3], [1]])
def test_rows_are_read_and_written(indices):
    numbers = torch.arange(12.0).view(6, 2)
    expected = numbers.clone()
    expected[indices] += 1
    at = Rows(indices)
    part = at.of(numbers)
    part += 1
    at.put(numbers, part)
    assert torch.equal(numbers, expected)


def test_large_numbers_are_finite():
    rows = torch.tensor([[3e38, 3e38], [1.0, 2.0], [float("nan"), 0.0], [float("inf"), 0.0]])
    assert finite_rows(rows) == [True, True, False, False]


@pytest.mark.parametrize("same", [True, False])
def test_a_node_that_restarts_does_all_again(same):
    stacked, rows, _ = both(norm_model, same, optimizer="sgd:momentum=0.9")
    first = rows.clone()
    stacked.train(range(4), rows, [1] * 4, 3, never)
    once = rows[2].clone()
    rows[2] = stacked.restart(2)
    assert torch.equal(rows[2], first[2])
    stacked.train([2], rows[2:3], [1], 3, never)
    torch.testing.assert_close(rows[2], once)
    assert stacked.state(2, rows[2])["1.num_batches_tracked"] == 3
