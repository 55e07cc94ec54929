"""What trains the nodes is said, written down, and falls back where it must."""

import pytest
import torch
from small_training import BLOBS, dropout_model

import gossipnet
from gossipnet import BadInput, Experiment
from gossipnet.data.models import models
from gossipnet.sim import memory
from gossipnet.sim.choose import rule

SMALL = Experiment(task=BLOBS, model="logistic", nodes=3, rounds=1, local_steps=1, batch_size=4)


@pytest.fixture(autouse=True)
def dropout_to_choose(monkeypatch):
    """A model that cannot be stacked; gone after the test."""
    monkeypatch.setattr(models, "_factories", dict(models._factories))
    models.register("dropout-to-choose")(lambda inputs, outputs: dropout_model())


class Watching:
    def __init__(self):
        self.notes = []

    def report(self, *_):
        pass

    def failure(self, node, error):
        raise AssertionError(error)

    def note(self, text):
        self.notes.append(text)


def notes(folder, **changes):
    view = Watching()
    gossipnet.run(SMALL.replace(**changes), "sim", folder, view=view)
    return Experiment.from_toml(folder / "config.toml").train, view.notes


def test_a_swarm_that_could_be_spawned_is_trained_one_after_the_other(tmp_path):
    assert notes(tmp_path / "run") == ("loop", ["training: loop, fewer than 64 nodes, to the bit as in the live world"])


def test_what_is_asked_for_is_done_and_said(tmp_path):
    assert notes(tmp_path / "run", train="stacked") == ("stacked", ["training: stacked, as asked for"])


def test_what_cannot_be_stacked_falls_back_with_a_warning(tmp_path):
    name, told = notes(tmp_path / "run", train="stacked", model="dropout-to-choose")
    assert name == "loop"
    assert told[0].startswith("warning: the models cannot be stacked: torch.vmap refuses it: vmap: called random")
    assert told[1] == "training: loop, for the models cannot be stacked"


def test_without_a_view_a_fallback_warns(tmp_path):
    with pytest.warns(UserWarning, match="the models cannot be stacked"):
        gossipnet.run(SMALL.replace(train="stacked", model="dropout-to-choose"), "sim", tmp_path / "run")


def test_what_does_not_fit_is_said_before_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr("gossipnet.sim.memory.free_bytes", lambda device: 70_000_000)
    with pytest.raises(
        BadInput, match=r"80 nodes of this model need about .* GiB .* --train stacked.* at most \d+ nodes"
    ) as bad:
        notes(tmp_path / "run", train="stacked", nodes=80, model="mlp")
    fit = int(str(bad.value).split("at most ")[1].split()[0])
    assert 0 < fit < 80
    assert not (tmp_path / "run").exists()
    assert memory.CPU_BLOCK_BYTES


@pytest.mark.parametrize(
    ("model", "device", "nodes", "expected"),
    [
        ("mlp", "cpu", 63, "loop"),
        ("mlp", "cpu", 64, "stacked"),
        ("lenet5", "cpu", 64, "workers"),
        ("lenet5", "cuda", 2, "stacked"),
        ("lenet5", "cuda", 1, "loop"),
    ],
)
def test_the_rule_of_auto(monkeypatch, model, device, nodes, expected):
    monkeypatch.setattr("gossipnet.sim.choose.processors", lambda: 2)
    module = models.make(model, inputs=(1, 28, 28), outputs=10)
    assert rule(module, torch.device(device), nodes)[0] == expected
    monkeypatch.setattr("gossipnet.sim.choose.processors", lambda: 1)
    assert rule(module, torch.device(device), nodes)[0] == expected.replace("workers", "loop")


def test_a_probe_measures_and_says_what(tmp_path):
    name, told = notes(tmp_path / "run", train="probe")
    assert name in ("loop", "stacked")
    assert "the fastest in local steps per second: loop " in told[0]
    assert "stacked " in told[0]


def test_several_devices_take_turns_one_node_after_the_other(tmp_path):
    assert notes(tmp_path / "run", device="cpu,cpu", nodes=2)[0] == "loop"
    with pytest.raises(BadInput, match="workers trains on one device"):
        notes(tmp_path / "workers", device="cpu,cpu", train="workers")


def test_stacked_trains_on_the_first_of_several_devices_and_says_so(tmp_path):
    name, told = notes(tmp_path / "run", device="cpu,cpu", train="stacked")
    assert name == "stacked"
    assert told == [
        "warning: stacked trains on one device, the first of cpu,cpu: cpu",
        "training: stacked, as asked for",
    ]
