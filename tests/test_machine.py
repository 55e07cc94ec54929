"""Processors and memory of this machine."""

import os
from pathlib import Path

import pytest

from gossipnet.machine import available_bytes, processors


def test_there_is_a_processor_and_no_more_than_the_machine_has():
    assert 1 <= processors() <= (os.cpu_count() or 1)


def test_without_affinity_all_processors_count(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert processors() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processors() == 1


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("MemTotal: 9 kB\nMemAvailable:   3 kB\n", 3072),
        ("MemTotal: 9 kB\n", None),
        ("MemAvailable: much\n", None),
        (None, None),
    ],
)
def test_memory_is_what_the_system_tells(monkeypatch, told, found):
    def read_text(path):
        assert path == Path("/proc/meminfo")
        if told is None:
            raise FileNotFoundError
        return told

    monkeypatch.setattr(Path, "read_text", read_text)
    assert available_bytes() == found
