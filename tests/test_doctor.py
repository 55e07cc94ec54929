"""The doctor looks at everything, and names a fix for what will hurt."""

import configparser
import subprocess
from pathlib import Path

import pytest

from gossipnet import doctor


def fixes(found):
    return {f.name: f.fix for f in found if f.fix}


def test_every_line_says_what_was_found():
    found = list(doctor.findings())
    assert len({f.name for f in found}) == len(found) >= 11
    assert all(f.found for f in found)
    assert all("\n" not in f.found + f.fix for f in found)
    names = {f.name for f in found}
    assert {"python", "torch", "devices", "zeromq", "encryption", "ipc sockets", "tcp sockets", "data"} <= names


def test_sockets_work_where_these_tests_run():
    assert fixes(doctor._zmq()) == {}


def test_a_broken_zeromq_is_found_and_survived(monkeypatch):
    monkeypatch.setattr(doctor, "_TRY_ZMQ", "import os; os.abort()")
    assert fixes(doctor._zmq()) == {"zeromq": "pip install --force-reinstall pyzmq"}


def test_a_socket_that_fails_has_a_fix(monkeypatch, tmp_path):
    deep = tmp_path / ("x" * 100)  # a path of an ipc socket has at most about 100 characters
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    assert "TMPDIR" in fixes(doctor._zmq())["ipc sockets"]


def test_a_hanging_zeromq_is_given_up(monkeypatch):
    def hang(*_, timeout, **__):
        raise subprocess.TimeoutExpired("python", timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    assert "zeromq" in fixes(doctor._zmq())


@pytest.mark.parametrize(("free", "well"), [(None, True), (8 << 30, True), (1 << 30, False)])
def test_little_memory_is_a_warning(monkeypatch, free, well):
    monkeypatch.setattr(doctor, "_free_bytes", lambda: free)
    assert (doctor._memory().fix == "") is well


def test_data_is_looked_for_where_the_variable_says(monkeypatch, tmp_path):
    (tmp_path / "mnist").mkdir()
    monkeypatch.setenv("GOSSIPNET_DATA", str(tmp_path))
    data, _ = doctor._data()
    assert "mnist" in data.found
    assert not data.fix
    monkeypatch.setenv("GOSSIPNET_DATA", str(tmp_path / "missing"))
    data, _ = doctor._data()
    assert "no folder" in data.found
    assert data.fix


def test_the_extras_are_those_that_can_be_installed(monkeypatch):
    parser = configparser.ConfigParser()
    parser.read(Path(__file__).parents[1] / "setup.cfg")
    assert set(doctor.EXTRAS) == set(parser["options.extras_require"]) - {"test", "lint"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pooch" else name)
    assert {f.name: f.found for f in doctor.findings()}["extras"] == "demo, plots, tensorboard; not installed: data"
