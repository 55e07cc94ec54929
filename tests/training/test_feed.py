import numpy as np
import pytest
import torch
from small_training import TASK, failing_task, random_task

from gossipnet.data.samples import Samples
from gossipnet.streams import generator, seed_of
from gossipnet.training.batches import batches
from gossipnet.training.feed import Feed
from gossipnet.training.randomness import OwnRandomness

CPU = torch.device("cpu")
PARTS = [np.arange(12), np.arange(12, 90)]


def feed_of(samples):
    streams = {node: OwnRandomness(seed_of(0, node, "torch"), CPU) for node in range(2)}
    return Feed(samples, PARTS, 8, 0, CPU, streams)


def pairs():
    inputs, targets = TASK.train.batch(np.arange(90))
    return Samples(list(zip(inputs.numpy(), targets.tolist(), strict=True)))


@pytest.mark.parametrize("samples", [TASK.train, pairs()])
def test_batches_are_those_of_each_node_in_any_order(samples):
    feed = feed_of(samples)
    orders = [batches(part, 8, generator(0, node, "batches")) for node, part in enumerate(PARTS)]
    for nodes in ([0, 1], [1], [1, 0], [0]):
        inputs, targets, failed = feed.draw(nodes)
        assert failed == {}
        for node, *batch in zip(nodes, inputs, targets, strict=True):
            assert all(map(torch.equal, batch, TASK.train.batch(next(orders[node]))))


def test_what_prepares_samples_draws_from_the_streams_of_nodes():
    """However nodes are put together, a node draws the same of torch's random numbers."""
    noisy = Samples(np.zeros((90, 1), np.float32), np.zeros(90, np.int64), prepare=lambda x: x + torch.rand(1))
    together, apart = feed_of(noisy), feed_of(noisy)
    first = together.draw([0, 1])[0]
    assert torch.equal(first, torch.cat([apart.draw([node])[0] for node in (0, 1)]))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(together.draw([0])[0][0], first[0])


def test_a_sample_that_cannot_be_read_fails_its_node():
    feed = feed_of(failing_task().train)
    for _ in range(2):
        inputs, _, failed = feed.draw([0, 1])
        if failed:
            break
    assert failed.keys() == {0}
    assert inputs.shape == (2, 8, 6)
    whole = Feed(failing_task().train, [np.arange(8)], 8, 0, CPU, {0: OwnRandomness(0, CPU)})
    with pytest.raises(OSError, match="sample 7"):
        whole.draw([0])


def test_random_task_is_not_read_as_rows():
    assert TASK.train.arrays is not None
    assert random_task().train.arrays is None
    assert pairs().arrays is None
