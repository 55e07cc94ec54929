"""Random numbers of one's own: the same whatever happens outside, and nothing outside notices."""

import random

import numpy as np
import pytest
import torch

from gossipnet.training.randomness import OwnRandomness, seed_process, seeded_process

CPU = torch.device("cpu")


def slip(_):
    raise ValueError("a slip")


def draw(stream, keep=True):
    with stream(keep):
        return torch.rand(2).tolist()


def test_a_stream_goes_on_where_it_stopped_whatever_is_drawn_outside():
    one, other = OwnRandomness(3, CPU), OwnRandomness(3, CPU)
    first = draw(one), draw(one)
    second = []
    for _ in range(2):
        torch.rand(100)
        second.append(draw(other))
    assert first == tuple(second)
    assert first[0] != first[1]
    assert draw(OwnRandomness(4, CPU)) != first[0]


def test_it_is_that_of_a_generator_with_the_seed():
    assert draw(OwnRandomness(3, CPU)) == torch.rand(2, generator=torch.Generator().manual_seed(3)).tolist()


def test_what_is_not_kept_is_drawn_again():
    stream = OwnRandomness(3, CPU)
    assert draw(stream, keep=False) == draw(stream) != draw(stream)


def test_what_raises_leaves_both_streams_as_they_were():
    stream = OwnRandomness(3, CPU)
    torch.manual_seed(1)
    expected = draw(OwnRandomness(3, CPU)), torch.rand(2).tolist()
    torch.manual_seed(1)
    with pytest.raises(ValueError, match="a slip"), stream():
        slip(torch.rand(5))
    assert (draw(stream), torch.rand(2).tolist()) == expected


def numbers():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_a_process_has_the_numbers_of_its_node():
    def of(seed, node):
        with seeded_process(seed, node):
            return numbers()

    assert of(0, 1) == of(0, 1)
    assert len({of(0, 1), of(0, 2), of(1, 1)}) == 3
    assert len(set(of(0, 1))) == 3


def test_afterwards_they_are_as_they_were():
    with seeded_process(7, 7):
        seed_process(0, 0)
        expected = numbers()
        seed_process(0, 0)
        with pytest.raises(ValueError, match="a slip"), seeded_process(1, 1):
            slip(numbers())
        assert numbers() == expected
