"""Merging: the merges of a model that has no task, no trainer and no random numbers of its own."""

import pytest
import torch
from small_training import norm_model, plain_model
from torch import nn

from gossipnet.merge import Group, MergeRule, make_merge
from gossipnet.model import ModelSpec, bind
from gossipnet.training.merging import Incoming, Merging

OWN = (0.5, 9, 30)  # weight, age, samples


def merging_of(module: nn.Module, rule: str | MergeRule = "average", **options) -> Merging:
    spec = ModelSpec.of(module)
    return Merging(bind(module), spec, make_merge(rule) if isinstance(rule, str) else rule, **options)


def others(merging, n=2):
    generator = torch.Generator().manual_seed(1)
    return [Incoming(torch.randn(merging.spec.numel, generator=generator), 0.5 / n, j, 30) for j in range(n)]


@pytest.mark.parametrize("rule", ["average", "variance-corrected", "sign-aligned", "sign-aligned:trim=0.2"])
def test_a_bare_module_is_merged_as_the_rule_says(rule):
    merging = merging_of(plain_model(), rule)
    incoming = others(merging)
    vectors = torch.stack([merging.vector, *(m.vector for m in incoming)])
    expected = make_merge(rule)(Group(vectors, torch.tensor([0.5, 0.25, 0.25]), merging.spec))
    merging(OWN, incoming, measure=False)
    assert torch.equal(merging.vector, expected)


def test_momentum_goes_when_told():
    module = plain_model()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    for reset in (False, True):
        merging = merging_of(module, optimizer=optimizer, reset=reset)
        module(torch.ones(1, 6)).sum().backward()
        optimizer.step()
        merging(OWN, others(merging), measure=False)
        assert bool(optimizer.state) is not reset


def test_statistics_are_written_anew_by_whoever_knows_how():
    module, called = norm_model(), []
    merging = merging_of(module, buffers="recalibrate", recalibrate=lambda: called.append(merging.vector.clone()))
    incoming = others(merging, 1)
    expected = 0.5 * merging.vector + 0.5 * incoming[0].vector
    merging(OWN, incoming, measure=False)
    parameters = slice(0, merging.spec.n_parameters)
    assert torch.allclose(called[0][parameters], expected[parameters])


def test_other_policies_recalibrate_nothing():
    merging = merging_of(norm_model(), buffers="own", recalibrate=lambda: pytest.fail("called"))
    merging(OWN, others(merging), measure=False)


def full_once(calls):
    """The average of a device that has no memory for it at first."""

    def merge(group, state):
        calls.append(group.vectors.device.type)
        state["merges"] += 1
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return group.weights @ group.vectors, state

    return MergeRule("full", merge, lambda spec: {"merges": torch.zeros(())})


def test_without_memory_on_the_device_the_cpu_merges_and_one_warning_says_so():
    calls = []
    merging = merging_of(plain_model(), full_once(calls))
    incoming = others(merging)
    vectors = torch.stack([merging.vector, *(m.vector for m in incoming)])
    expected = make_merge("average")(Group(vectors, torch.tensor([0.5, 0.25, 0.25]), merging.spec))
    with pytest.warns(RuntimeWarning, match="out of memory: merging on the CPU") as warned:
        numbers = merging(OWN, incoming, measure=False)
    assert numbers == {"variance_ratio": None, "device_full": 1}
    torch.testing.assert_close(merging.vector, expected)
    assert (len(calls), merging.memory["merges"], len(warned)) == (2, 1, 1)  # what the failed try did is gone
    assert merging(OWN, incoming, measure=False) == {"variance_ratio": None}  # only where it happened


def test_memory_that_is_short_again_is_not_reported_again(recwarn):
    calls = []
    merging = merging_of(plain_model(), full_once(calls))
    merging(OWN, others(merging), measure=False)
    calls.clear()
    merging(OWN, others(merging), measure=False)
    assert len(recwarn) == 1
    assert len(calls) == 2
