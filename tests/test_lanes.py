"""What comes after what on a GPU, read off the calls that CudaLanes makes; `tests/gpu` has the real ones."""

import contextlib

import pytest
import torch

from gossipnet.lanes import CudaLanes, lanes_of


class FakeTensor:
    def __init__(self, name, said, is_cuda):
        self.name, self.said, self.is_cuda = name, said, is_cuda

    def copy_(self, source, non_blocking):
        self.said.append(f"{self.name} <- {source.name}" if non_blocking else "blocks")

    def record_stream(self, stream):
        self.said.append(f"{self.name} used on {stream.name}")


@pytest.fixture
def said(monkeypatch):
    calls = []

    class Stream:
        def __init__(self, device=None, name="side"):
            self.name = name

        def wait_stream(self, other):
            calls.append(f"{self.name} after {other.name}")

        def wait_event(self, event):
            calls.append(f"{self.name} after event on {event.at}")

    class Event:
        def __init__(self, blocking=False):
            self.at = None

        def record(self, stream):
            self.at = stream.name

    @contextlib.contextmanager
    def on(stream):
        calls.append(f"[{stream.name}")
        yield
        calls.append("]")

    main = Stream(name="main")
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: main)
    return calls


def test_a_copy_comes_after_what_was_computed_and_keeps_its_memory(said):
    lanes = CudaLanes(torch.device("cuda:0"))
    lanes.copy(FakeTensor("host", said, False), FakeTensor("buffer", said, True))
    assert said == ["side after main", "[side", "host <- buffer", "]", "buffer used on side"]


def test_what_is_computed_after_a_mark_comes_after_the_copies(said):
    lanes = CudaLanes(torch.device("cuda:0"))
    lanes.wait(lanes.mark())
    assert said == ["main after event on side"]


def test_only_cuda_has_lanes(said):
    assert lanes_of(torch.device("cpu")) is None
    assert lanes_of(torch.device("mps")) is None
    assert isinstance(lanes_of(torch.device("cuda:0")), CudaLanes)
