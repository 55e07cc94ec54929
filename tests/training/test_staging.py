"""Snapshots are what the vector was, whatever becomes of it while they are on their way."""

import warnings

import numpy as np
import pytest
import torch
from two_lanes import LateLanes

from gossipnet.arena import LEAST, Arena
from gossipnet.codec import make_codec
from gossipnet.training import staging
from gossipnet.training.staging import Aside, Direct, make_staging, pinned
from gossipnet.transfer import BLOCK, pack, unpack

CPU = torch.device("cpu")
NUMEL = (BLOCK + 4 * 1000) // 4
CODECS = ["float32", "float16", "bfloat16"]


def vector(seed=0, numel=NUMEL):
    return torch.randn(numel, generator=torch.Generator().manual_seed(seed))


def stagings(codec, arena):
    return {"direct": Direct(codec, arena), "aside": Aside(LateLanes(), codec, arena)}


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("kind", ["direct", "aside"])
def test_a_parcel_is_the_one_that_packing_makes(kind, name):
    codec, live = make_codec(name), vector()
    expected = pack(live, codec)
    parcel = stagings(codec, Arena(2))[kind](live)()
    assert bytes(parcel.data) == bytes(expected.data)
    assert (parcel.payload, parcel.checksums) == (expected.payload, expected.checksums)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("kind", ["direct", "aside"])
def test_training_may_go_on_at_once(kind, name):
    """Three snapshots are under way before anybody asks for the first."""
    codec, live = make_codec(name), vector()
    take = stagings(codec, Arena(3))[kind]
    made, was = [], []
    for seed in range(3):
        live.copy_(vector(seed))
        was.append(live.clone())
        made.append(take(live))
        live.fill_(torch.nan)
    for parcel, expected in zip(made, was, strict=True):
        received = unpack(parcel(), NUMEL, codec)
        assert torch.allclose(received, expected, rtol=2 * codec.error, atol=codec.floor)


def test_the_second_buffer_is_written_to_only_after_it_was_read():
    lanes = LateLanes()
    take = Aside(lanes, make_codec("float32"), Arena(2))
    first, second = take(vector(1)), take(vector(2))
    assert lanes.said == ["copy", "wait", "copy"]
    assert lanes.copies[0][1].data_ptr() == lanes.copies[1][1].data_ptr()  # one buffer, however many snapshots
    assert unpack(first(), NUMEL, make_codec("float32")).equal(vector(1))
    assert unpack(second(), NUMEL, make_codec("float32")).equal(vector(2))


def test_the_training_thread_waits_for_no_copy_and_sums_nothing_up(monkeypatch):
    monkeypatch.setattr(staging, "pack_in_place", lambda *_: pytest.fail("packed too early"))
    lanes = LateLanes()
    Aside(lanes, make_codec("float32"), Arena(2))(vector())
    assert lanes.done == 0


def test_memory_of_a_parcel_is_lent_again_only_when_nobody_holds_it():
    arena = Arena(2)
    lanes = LateLanes()
    parcel = Aside(lanes, make_codec("float32"), arena)(vector(1))()
    lanes.copies.clear()
    part = parcel.data[10:20]
    was = bytes(part)
    place = np.frombuffer(parcel.data, np.uint8).__array_interface__["data"][0]
    del parcel
    other = arena.take(4 * NUMEL)
    other[:] = 0
    assert bytes(part) == was
    del part
    assert arena.take(4 * NUMEL).__array_interface__["data"][0] == place


def test_the_device_decides(monkeypatch):
    codec, arena, lanes = make_codec("float32"), Arena(2), LateLanes()
    assert isinstance(make_staging(CPU, codec, arena), Direct)
    monkeypatch.setattr(staging, "lanes_of", lambda device: lanes)
    monkeypatch.setattr(staging, "pinned", lambda size: np.full(size, 7, np.uint8))
    assert isinstance(make_staging(torch.device("cuda"), codec, arena), Aside)
    assert arena.take(LEAST).min() == 7  # what comes in lies in such memory, too


def test_without_pinned_memory_ordinary_one_does_and_that_is_said_once(monkeypatch):
    def refuse(*_, pin_memory, **__):
        raise RuntimeError("CUDA error: out of memory\nmore")

    monkeypatch.setattr(torch, "empty", refuse)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        assert [len(pinned(LEAST)) for _ in range(2)] == [LEAST, LEAST]
    assert [str(w.message) for w in said] == [
        "no pinned memory, copies to and from the GPU are slower: CUDA error: out of memory"
    ]


def test_pinned_memory_is_asked_for(monkeypatch):
    asked, empty = [], torch.empty
    monkeypatch.setattr(torch, "empty", lambda *a, pin_memory, **o: asked.append((a, pin_memory)) or empty(*a, **o))
    assert pinned(LEAST).shape == (LEAST,)
    assert asked == [((LEAST,), True)]
