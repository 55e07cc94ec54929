"""From an experiment to a trainer and a node."""

import pytest
import torch
from small_training import TASK

from gossipnet import streams
from gossipnet.config import Experiment
from gossipnet.errors import BadInput
from gossipnet.streams import generator
from gossipnet.training import build
from gossipnet.training.build import Known, build_trainer, evaluated_nodes, node_config, on_device, pick_device, split


def trainer_of(experiment, node=0):
    return build_trainer(experiment, node, TASK, split(experiment, TASK)[node])


def test_the_parts_are_the_training_samples():
    parts = split(Experiment(nodes=4), TASK)
    assert sorted(i for part in parts for i in part) == list(range(90))


def test_a_trainer_has_what_the_experiment_says():
    experiment = Experiment(
        nodes=3,
        seed=5,
        batch_size=4,
        lr=0.3,
        optimizer="sgd:momentum=0.5",
        schedule="cosine",
        rounds=9,
        after_merge="reset",
        buffers="own",
        evaluate_samples=11,
        validation=0.2,
    )
    trainer = trainer_of(experiment, 2)
    for name in ("seed", "batch_size", "lr", "optimizer", "schedule", "rounds", "after_merge", "buffers", "validation"):
        assert getattr(trainer.config, name) == getattr(experiment, name)
    assert (trainer.config.node, trainer.config.evaluate_samples, trainer.n_samples) == (2, 11, 24)


def test_nodes_start_from_the_same_weights_or_their_own():
    def starts(init):
        return [trainer_of(Experiment(nodes=2, init=init), node).vector for node in (0, 1)]

    same, own = starts("same"), starts("own")
    assert torch.equal(*same)
    assert not torch.equal(*own)
    assert not torch.equal(same[0], trainer_of(Experiment(nodes=2, seed=1)).vector)


@pytest.mark.parametrize(("quorum", "patience", "expected"), [("all", "learnt", (None, None)), (2, 0.5, (2, 0.5))])
def test_a_node_is_told_how_to_wait(quorum, patience, expected):
    experiment = Experiment(nodes=4, quorum=quorum, patience=patience, rounds=35, depth=3, max_age=2)
    config = node_config(experiment, 1, trainer_of(experiment), session=9)
    assert (config.quorum, config.patience_s) == expected
    assert (config.rounds, config.depth, config.max_age, config.session) == (35, 3, 2, 9)
    assert config.evaluate_every == 3
    assert config.samples == 23


@pytest.mark.parametrize(("rounds", "given", "expected"), [(5, 0, 1), (100, 0, 10), (100, 7, 7)])
def test_how_often_nodes_are_evaluated(rounds, given, expected):
    experiment = Experiment(nodes=1, rounds=rounds, evaluate_every=given)
    assert node_config(experiment, 0, trainer_of(experiment), 1).evaluate_every == expected


def test_of_many_nodes_some_are_evaluated_drawn_by_the_seed():
    experiment = Experiment(nodes=100, evaluate_nodes=10)
    assert len(evaluated_nodes(experiment)) == 10
    assert evaluated_nodes(experiment) == evaluated_nodes(experiment) <= set(range(100))
    assert evaluated_nodes(experiment) != evaluated_nodes(experiment.replace(seed=1))
    assert evaluated_nodes(experiment.replace(evaluate_nodes=100)) == set(range(100))


def test_the_nodes_that_are_evaluated_are_drawn_once_for_all(monkeypatch):
    experiment, drawn = Experiment(nodes=50, evaluate_nodes=5, seed=987), []
    monkeypatch.setattr(streams, "generator", lambda *key: drawn.append(key) or generator(*key))
    known = Known(trainer_of(Experiment(nodes=1)).spec, 10)
    assert sum(node_config(experiment, node, known, 1).evaluates for node in range(50)) == 5
    assert len(drawn) == 1


def test_the_device_that_there_is(monkeypatch):
    assert pick_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(build.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(build.torch.cuda, "device_count", lambda: 2)
    assert pick_device("auto") == torch.device("cuda")
    assert pick_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(BadInput, match="has cpu, cuda:0, cuda:1: use one of these"):
        pick_device("cuda:2")


def test_the_device_of_the_topology_holds_unless_the_experiment_names_one():
    assert on_device(Experiment(), None).device == "auto"
    assert on_device(Experiment(), "cuda:1").device == "cuda:1"
    assert on_device(Experiment(device="cpu"), "cuda:1").device == "cpu"
    with pytest.raises(BadInput, match="device"):
        on_device(Experiment(), "toaster")


def test_nodes_take_turns_on_several_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    found = [str(pick_device("cuda:0,cuda:1,cpu", node)) for node in range(4)]
    assert found == ["cuda:0", "cuda:1", "cpu", "cuda:0"]
    with pytest.raises(BadInput, match="got 'cuda:7', this machine has cpu, cuda:0, cuda:1"):
        pick_device("cpu,cuda:7", 1)
