"""Trainer: plain training where it is alone, merges by the rule and nothing else, random numbers of its own."""

import copy
import itertools

import numpy as np
import pytest
import torch
from small_training import TASK, dropout_model, make_trainer, norm_model, plain_model
from torch import nn

from gossipnet.errors import BadInput
from gossipnet.merge import MergeRule, make_merge, variance_ratio
from gossipnet.merge.group import Group
from gossipnet.model import bind
from gossipnet.streams import generator
from gossipnet.training.batches import batches
from gossipnet.training.merging import Incoming
from gossipnet.training.trainer import Diverged, Trainer

DEVICES = ["cpu", *(f"cuda:{i}" for i in range(min(1, torch.cuda.device_count())))]


def incoming(trainer, seed=1, weight=0.25, age=5):
    return Incoming(torch.randn(trainer.spec.numel, generator=torch.Generator().manual_seed(seed)), weight, age, 30)


def held(trainer):
    """All that a merge may change, copied."""
    counters = [b.clone() for b in trainer.module.buffers()]
    moments = copy.deepcopy(dict(trainer.optimizer.state))
    return trainer.vector.clone(), counters, copy.deepcopy(trainer._merging.memory), moments


def assert_same(one, other):
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, tuple | list):
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert one == other


# --- training ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_alone_it_is_a_plain_loop_of_sgd(momentum):
    trainer = make_trainer(optimizer=f"sgd:momentum={momentum}", seed=3, node=2)
    losses = [trainer.train(r, 4) for r in (1, 2, 3)]

    torch.manual_seed(7)
    module = plain_model()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=momentum)
    order = batches(np.arange(30), 8, generator(3, 2, "batches"))
    expected = []
    for _ in range(3):
        total = 0.0
        for chosen in itertools.islice(order, 4):
            inputs, targets = TASK.train.batch(chosen)
            loss = nn.functional.cross_entropy(module(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        expected.append(total / 4)
    assert torch.equal(trainer.vector, bind(module))
    assert [steps for steps, _ in losses] == [4, 4, 4]
    assert [mean for _, mean in losses] == pytest.approx(expected, rel=1e-6)


def test_the_vector_is_the_module():
    trainer = make_trainer()
    trainer.vector.zero_()
    assert all(not p.any() for p in trainer.module.parameters())
    trainer.train(1, 3)
    assert torch.equal(trainer.vector, torch.cat([p.detach().flatten() for p in trainer.module.parameters()]))


def test_training_can_be_stopped_between_two_steps_but_not_before_the_first():
    answers = iter([False, True])
    assert make_trainer().train(1, 10, lambda: next(answers))[0] == 2
    assert make_trainer().train(1, 10, lambda: True)[0] == 1


def test_the_same_weights_to_start_from_or_others():
    assert torch.equal(make_trainer(node=0).vector, make_trainer(node=1).vector)
    assert not torch.equal(make_trainer(init_seed=1).vector, make_trainer(init_seed=2).vector)


def test_a_schedule_goes_by_the_round_that_it_is_told():
    """A node that leaves out rounds has the learning rate of the round that it is in."""
    scheduled = make_trainer(schedule="step:every=2,factor=0.5", rounds=10)
    for round, lr in ((1, 0.1), (2, 0.1), (3, 0.05), (9, 0.1 / 16)):
        scheduled.train(round, 1)
        assert scheduled.optimizer.param_groups[0]["lr"] == pytest.approx(lr)


def test_a_schedule_is_training_at_that_learning_rate():
    scheduled, plain = make_trainer(schedule="cosine", rounds=4), make_trainer(lr=0.1 * 0.5)
    scheduled.train(3, 5), plain.train(3, 5)  # half of the way: half the rate
    assert torch.allclose(scheduled.vector, plain.vector, atol=1e-7)


def test_a_model_that_is_no_longer_finite_is_said_so():
    with pytest.raises(Diverged, match=r"no longer finite .* use a learning rate below 1e\+30"):
        make_trainer(lr=1e30).train(1, 5)


def test_a_model_that_is_not_finite_though_its_loss_is_has_diverged_too():
    trainer = make_trainer()
    trainer.vector[-1] = float("-inf")  # of a class that the loss then leaves out
    trainer.task = copy.copy(trainer.task)
    object.__setattr__(trainer.task, "loss", lambda outputs, targets: outputs[:, 0].square().mean())
    with pytest.raises(Diverged):
        trainer.train(1, 1)


# --- random numbers ------------------------------------------------------------------------------------------------


def test_trainers_that_take_turns_do_as_each_would_alone():
    def pair():
        return [make_trainer(dropout_model, node=node) for node in (0, 1)]

    together, apart = pair(), pair()
    for r in (1, 2, 3):
        for trainer in together:
            trainer.train(r, 2)
    for trainer in apart:
        for r in (1, 2, 3):
            trainer.train(r, 2)
    for one, other in zip(together, apart, strict=True):
        assert torch.equal(one.vector, other.vector)
    assert not torch.equal(together[0].vector, together[1].vector)


def test_dropout_draws_anew_in_every_round():
    """The stream goes on: with the same batch the loss still changes."""
    trainer = make_trainer(dropout_model, indices=[4], lr=1e-30)
    assert len({trainer.train(r, 1)[1] for r in range(1, 6)}) > 1


class Noisy(nn.Module):
    """Draws whenever it is called, in evaluation too."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = norm_model()

    def forward(self, x):
        return self.inside(x + torch.rand_like(x))


def noisy_rule(group):
    return group.vectors[0] + torch.rand_like(group.vectors[0])


def test_random_numbers_outside_are_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    trainer = make_trainer(Noisy, rule=MergeRule("noisy", noisy_rule), buffers="recalibrate")
    trainer.train(1, 2)
    trainer.merge(0.75, 1, [incoming(trainer)], measure=True)
    trainer.evaluate(final=True)
    assert torch.equal(torch.rand(3), expected)


def test_random_numbers_outside_change_nothing_inside():
    def run(seed):
        torch.manual_seed(seed)
        trainer = make_trainer(Noisy, rule=MergeRule("noisy", noisy_rule))
        trainer.train(1, 2)
        trainer.merge(0.75, 1, [incoming(trainer)], measure=False)
        return trainer.vector, trainer.evaluate(final=True)

    assert_same(run(1), run(2))


def test_evaluating_more_often_changes_nothing():
    often, never = make_trainer(Noisy), make_trainer(Noisy)
    for r in (1, 2, 3):
        often.train(r, 2), never.train(r, 2)
        often.evaluate(final=False)
    assert torch.equal(often.vector, never.vector)


# --- merging -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["average", "variance-corrected", "sign-aligned"])
def test_a_merge_is_what_the_rule_says(rule):
    trainer = make_trainer(rule=rule)
    others = [incoming(trainer, seed=s, age=s) for s in (1, 2)]
    vectors = torch.stack([trainer.vector, *(m.vector for m in others)])
    weights = torch.tensor([0.5, 0.25, 0.25])
    expected = make_merge(rule)(Group(vectors, weights, trainer.spec, torch.tensor([9, 1, 2]), torch.tensor([30] * 3)))
    numbers = trainer.merge(0.5, 9, others, measure=True)
    assert torch.equal(trainer.vector, expected)
    assert numbers == {"variance_ratio": variance_ratio(trainer.spec, vectors, weights, expected)}
    assert trainer.merge(0.5, 9, others, measure=False) == {"variance_ratio": None}


def test_a_rule_is_told_ages_and_samples():
    seen = []
    trainer = make_trainer(rule=MergeRule("look", lambda group: seen.append(group) or group.vectors[0]))
    trainer.merge(0.75, 9, [Incoming(torch.zeros(trainer.spec.numel), 0.25, 4, 77)], measure=False)
    assert (seen[0].ages.tolist(), seen[0].samples.tolist(), seen[0].weights.tolist()) == (
        [9, 4],
        [30, 77],
        [0.75, 0.25],
    )


def remembering():
    """Adds up what it has merged, and returns the very tensor that it remembers."""

    def merge(group, state):
        total = state["total"].add_(group.weights @ group.vectors)
        return total, {"total": total, "merges": state["merges"] + 1}

    return MergeRule("remembering", merge, lambda spec: {"total": torch.zeros(spec.numel), "merges": torch.zeros(())})


def test_what_a_rule_remembers_comes_back_to_it():
    trainer = make_trainer(rule=remembering())
    first = trainer.vector.clone()
    for _ in range(2):
        trainer.merge(1.0, 0, [], measure=False)
    assert torch.allclose(trainer.vector, 2 * first)
    assert trainer._merging.memory["merges"] == 2


def test_the_memory_of_a_rule_is_not_written_into():
    """Buffers go their own way; a rule whose result is its memory must not lose it to that, or to training."""
    trainer = make_trainer(norm_model, rule=remembering(), buffers="own")
    other = incoming(trainer)
    expected = 0.75 * trainer.vector + 0.25 * other.vector
    trainer.merge(0.75, 0, [other], measure=False)
    trainer.train(1, 3)
    assert torch.allclose(trainer._merging.memory["total"], expected)


def raises(group, state):
    state["total"].zero_()
    raise ValueError("a slip")


FAILURES = {
    "raises": (raises, "a slip"),
    "nan": (lambda g, s: (g.vectors[0] * float("nan"), s), "'broken' returned nan or inf"),
    "inf": (lambda g, s: (s["total"].fill_(float("inf")), s), "'broken' returned nan or inf"),
    "beyond float32": (lambda g, s: (g.vectors[0].double() + 1e300, s), "'broken' returned nan or inf"),
    "short": (lambda g, s: (g.vectors[0, :-1], s), r"shape \(\d+,\), expected \(\d+,\)"),
    "a matrix": (lambda g, s: (g.vectors, s), r"shape \(2, \d+\), expected"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_merge_that_fails_changes_nothing(failure):
    merge, said = FAILURES[failure]
    rule = MergeRule("broken", merge, lambda spec: {"total": torch.ones(spec.numel)})
    trainer = make_trainer(norm_model, rule=rule, optimizer="sgd:momentum=0.9", after_merge="reset")
    trainer.train(1, 3)
    before = held(trainer)
    with pytest.raises((RuntimeError, ValueError), match=said):
        trainer.merge(0.75, 1, [incoming(trainer)], measure=True)
    assert_same(held(trainer), before)


def test_a_merge_that_fails_while_it_recalibrates_changes_nothing():
    trainer = make_trainer(norm_model, buffers="recalibrate")
    trainer.train(1, 3)
    before = held(trainer)
    trainer.module.register_forward_hook(lambda *_: (_ for _ in ()).throw(ValueError("a slip")))
    with pytest.raises(ValueError, match="a slip"):
        trainer.merge(0.75, 1, [incoming(trainer)], measure=False)
    assert_same(held(trainer), before)
    assert trainer.module[1].momentum == 0.1


@pytest.mark.parametrize("optimizer", ["sgd:momentum=0.9", "adamw"])
def test_momentum_is_kept_in_a_merge_or_reset(optimizer):
    """Merging a model with itself changes no weight: what differs is the momentum alone."""
    kept, reset, alone = (
        make_trainer(optimizer=optimizer, after_merge=policy, rule=MergeRule("own", lambda g: g.vectors[0]))
        for policy in ("keep", "reset", "keep")
    )
    for trainer in (kept, reset, alone):
        trainer.train(1, 3)
    for trainer in (kept, reset):
        trainer.merge(1.0, 0, [], measure=False)
    assert alone.optimizer.state
    assert not reset.optimizer.state
    for trainer in (kept, reset, alone):
        trainer.train(2, 3)
    assert torch.equal(kept.vector, alone.vector)
    assert not torch.equal(reset.vector, alone.vector)


# --- BatchNorm -----------------------------------------------------------------------------------------------------


def merged_norm(policy):
    """A trained model with BatchNorm, merged with a shifted copy of itself; and the vector before."""
    trainer = make_trainer(norm_model, buffers=policy)
    trainer.train(1, 4)
    before = trainer.vector.clone()
    other = before + 2.0
    trainer.merge(0.75, 1, [Incoming(other, 0.25, 1, 30)], measure=False)
    return trainer, before, other


@pytest.mark.parametrize("policy", ["average", "own", "recalibrate"])
def test_statistics_follow_their_policy_and_parameters_the_rule(policy):
    trainer, before, other = merged_norm(policy)
    n = trainer.spec.n_parameters
    assert torch.allclose(trainer.vector[:n], 0.75 * before[:n] + 0.25 * other[:n])
    if policy == "average":
        assert torch.allclose(trainer.vector[n:], 0.75 * before[n:] + 0.25 * other[n:])
    elif policy == "own":
        assert torch.equal(trainer.vector[n:], before[n:])
    assert (trainer.module[1].running_var >= 0).all()
    assert trainer.module[1].num_batches_tracked == 4  # counts are integers, each node's own


def test_recalibrated_statistics_are_the_mean_over_batches():
    trainer, _, _ = merged_norm("recalibrate")
    order = batches(np.arange(30), 8, generator(0, 0, "batches"))
    means, variances = [], []
    with torch.no_grad():
        for chosen in itertools.islice(order, 4, 14):  # the next ten after the four that it was trained on
            activations = trainer.module[0](TASK.train.batch(chosen)[0])
            means.append(activations.mean(0))
            variances.append(activations.var(0))
    assert torch.allclose(trainer.module[1].running_mean, torch.stack(means).mean(0), atol=1e-6)
    assert torch.allclose(trainer.module[1].running_var, torch.stack(variances).mean(0), atol=1e-6)


def test_without_batch_norm_recalibrating_costs_no_batch():
    one, other = make_trainer(buffers="recalibrate"), make_trainer(buffers="own")
    for trainer in (one, other):
        trainer.merge(1.0, 0, [], measure=False)
        trainer.train(1, 2)
    assert torch.equal(one.vector, other.vector)


# --- evaluation ----------------------------------------------------------------------------------------------------


def test_an_evaluation_is_the_mean_over_the_test_samples():
    trainer = make_trainer(evaluate_samples=20)
    trainer.train(1, 10)
    inputs, targets = TASK.test.batch(np.arange(37))
    with torch.no_grad():
        outputs = trainer.module(inputs)
    hits = (outputs.argmax(1) == targets).float()
    whole, part = trainer.evaluate(final=True), trainer.evaluate(final=False)
    assert (whole["samples"], part["samples"]) == (37, 20)
    assert whole["accuracy"] == pytest.approx(float(hits.mean()))
    assert part["accuracy"] == pytest.approx(float(hits[:20].mean()))
    assert whole["loss"] == pytest.approx(float(nn.functional.cross_entropy(outputs, targets)), rel=1e-5)


def test_fewer_test_samples_than_asked_for_are_all():
    assert make_trainer(evaluate_samples=1000).evaluate(final=False)["samples"] == 37


def test_evaluation_switches_dropout_off_and_training_on_again():
    trainer = make_trainer(dropout_model)
    assert trainer.evaluate(final=True) == trainer.evaluate(final=True)
    assert not trainer.module.training
    trainer.train(1, 1)
    assert trainer.module.training


def test_held_out_samples_are_not_trained_on_and_reported_apart():
    indices = np.arange(0, 60, 2)
    trainer = make_trainer(indices=indices, validation=0.2)
    assert (trainer.n_samples, len(trainer._held)) == (24, 6)
    seen = np.concatenate([next(trainer._batches) for _ in range(12)])
    assert set(seen) == set(indices) - set(trainer._held)
    numbers = trainer.evaluate(final=False)
    inputs, targets = TASK.train.batch(trainer._held)
    with torch.no_grad():
        outputs = trainer.module(inputs)
    assert numbers["validation_accuracy"] == pytest.approx(float((outputs.argmax(1) == targets).float().mean()))
    assert numbers["validation_loss"] == pytest.approx(float(nn.functional.cross_entropy(outputs, targets)), rel=1e-5)
    assert numbers.keys() == {"accuracy", "loss", "samples", "validation_accuracy", "validation_loss"}


def test_without_held_out_samples_there_is_no_validation():
    assert make_trainer().evaluate(final=True).keys() == {"accuracy", "loss", "samples"}
    assert make_trainer(indices=[3], validation=0.5).evaluate(final=True).keys() == {"accuracy", "loss", "samples"}


# --- the rest ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_everything_is_on_the_device(device):
    trainer = make_trainer(norm_model, device=device, rule="variance-corrected", buffers="recalibrate", validation=0.1)
    trainer.train(1, 3)
    trainer.merge(0.75, 1, [incoming(trainer)], measure=True)
    assert {t.device for t in (trainer.vector, *trainer.module.parameters())} == {torch.device(device)}
    assert trainer.evaluate(final=True)["samples"] == 37


def test_bad_options_are_refused_before_anything_is_trained():
    for wrong in ({"optimizer": "sgdd"}, {"schedule": "cosine:floor=9"}):
        with pytest.raises(BadInput):
            make_trainer(**wrong)
    with pytest.raises(BadInput, match="no parameters"):
        make_trainer(lambda: nn.Flatten())
    assert isinstance(make_trainer(), Trainer)
