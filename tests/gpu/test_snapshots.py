"""Snapshots of a vector that is trained on at once, and the memory that they lie in."""

import pytest
import torch

from gossipnet.arena import Arena
from gossipnet.codec import make_codec
from gossipnet.training.staging import Aside, make_staging
from gossipnet.transfer import pack, unpack

NUMEL = 11_000_000


@pytest.mark.parametrize("name", ["float32", "float16"])
def test_a_snapshot_is_the_vector_at_that_moment(name, gpu):
    """Three are under way while the vector is written to, many times over."""
    codec, arena = make_codec(name), Arena(3)
    take = make_staging(gpu, codec, arena)
    assert isinstance(take, Aside)
    vector, made = torch.empty(NUMEL, device=gpu), []
    for number in range(12):
        vector.fill_(number)
        made.append(take(vector))
        for _ in range(20):
            vector.mul_(1.5).add_(1)
        if len(made) == 3:
            parcel = made.pop(0)()
            received = unpack(parcel, NUMEL, codec)
            assert received.eq(number - 2).all()
            expected = pack(torch.full((NUMEL,), float(number - 2)), codec)
            assert parcel.payload == expected.payload


def test_what_comes_in_lies_in_pinned_memory(gpu):
    arena = Arena(2)
    make_staging(gpu, make_codec("float32"), arena)
    loan = torch.from_numpy(arena.take(4 * NUMEL))
    assert loan.is_pinned()
    assert loan[4096:8192].is_pinned()
    place = loan.data_ptr()
    del loan
    assert torch.from_numpy(arena.take(4 * NUMEL)).data_ptr() == place


def test_a_stream_of_the_users_own_is_waited_for(gpu):
    codec = make_codec("float32")
    take, vector = make_staging(gpu, codec, Arena(2)), torch.zeros(NUMEL, device=gpu)
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream(gpu)):
        for _ in range(200):
            vector.add_(1)
        parcel = take(vector)
        vector.zero_()
    assert unpack(parcel(), NUMEL, codec).eq(200).all()
