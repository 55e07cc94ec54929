"""The folder of a run: never taken from somebody else, and not left behind by a run that could not begin."""

import re
import time

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gossipnet.config import Experiment
from gossipnet.errors import BadInput
from gossipnet.run_folder import check_free, claim, claimed, default_folder, is_run, read_model

CONFIG = Experiment().to_toml()


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_a_new_folder_holds_the_config(tmp_path):
    made = claim(tmp_path / "a" / "b", False, CONFIG)
    assert files(tmp_path) == ["a", "a/b", "a/b/config.toml"]
    assert made == [tmp_path / "a" / "b", tmp_path / "a"]
    assert is_run(tmp_path / "a" / "b")


def attempt(folder, overwrite, error, within=lambda: None):
    """A run that ends with an error after `within` was called."""
    with claimed(folder, overwrite, CONFIG):
        within()
        raise error


def test_bad_input_leaves_nothing_of_what_was_claimed(tmp_path):
    folder = tmp_path / "a" / "b"
    with pytest.raises(BadInput, match="too late"):
        attempt(folder, False, BadInput("too late"), (folder / "nodes").mkdir)
    assert files(tmp_path) == []


def test_bad_input_leaves_what_others_put_beside_it(tmp_path):
    with pytest.raises(BadInput, match="too late"):
        attempt(
            tmp_path / "runs" / "one",
            False,
            BadInput("too late"),
            lambda: claim(tmp_path / "runs" / "two", False, CONFIG),
        )
    assert files(tmp_path) == ["runs", "runs/two", "runs/two/config.toml"]


def test_bad_input_brings_back_the_run_that_was_to_be_replaced(tmp_path):
    folder, seen = tmp_path / "run", []
    claim(folder, False, CONFIG)
    (folder / "summary.json").write_text("{}")
    with pytest.raises(BadInput, match="too late"):
        attempt(folder, True, BadInput("too late"), lambda: seen.extend(files(folder)))
    assert seen == ["config.toml"]
    assert files(tmp_path) == ["run", "run/config.toml", "run/summary.json"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_run_that_began_replaces_the_earlier_one_however_it_ends(tmp_path, error):
    claim(tmp_path / "run", False, CONFIG)
    (tmp_path / "run" / "old").mkdir()
    claim(tmp_path / ".run.before", False, CONFIG)  # by a process that was killed
    with pytest.raises(error):
        attempt(tmp_path / "run", True, error, (tmp_path / "run" / "new").mkdir)
    assert files(tmp_path) == ["run", "run/config.toml", "run/new"]
    with claimed(tmp_path / "run", True, CONFIG):
        pass
    assert files(tmp_path) == ["run", "run/config.toml"]


def test_a_folder_that_cannot_be_set_aside_stays(tmp_path):
    claim(tmp_path / "run", False, CONFIG)
    (tmp_path / ".run.before" / "thesis").mkdir(parents=True)
    with pytest.raises(BadInput, match="cannot be replaced"), claimed(tmp_path / "run", True, CONFIG):
        pass
    assert files(tmp_path) == [".run.before", ".run.before/thesis", "run", "run/config.toml"]


def test_an_existing_folder_needs_overwrite(tmp_path):
    folder = tmp_path / "run"
    claim(folder, False, CONFIG)
    (folder / "summary.json").write_text("{}")
    with pytest.raises(BadInput, match="--overwrite"):
        claim(folder, False, CONFIG)
    assert files(folder) == ["config.toml", "summary.json"]
    claim(folder, True, CONFIG)
    assert files(folder) == ["config.toml"]


def test_an_empty_folder_may_be_replaced(tmp_path):
    claim(tmp_path, True, CONFIG)
    assert files(tmp_path) == ["config.toml"]


@pytest.mark.parametrize("config", [None, "", "title = 'a web site'\n", "[swarm\n", "[swarm]\n"])
def test_overwrite_replaces_nothing_but_a_run(tmp_path, config):
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "thesis.tex").write_text("...")
    if config is not None:
        (folder / "config.toml").write_text(config)
    before = files(folder)
    with pytest.raises(BadInput, match="does not look like a run"):
        claim(folder, True, CONFIG)
    assert files(folder) == before


def test_overwrite_replaces_no_file_and_no_link(tmp_path):
    claim(tmp_path / "run", False, CONFIG)
    (tmp_path / "file").write_text("...")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    for name in ("file", "link"):
        with pytest.raises(BadInput, match="no folder of a run"):
            check_free(tmp_path / name, overwrite=True)
    assert is_run(tmp_path / "run")


def test_overwrite_does_not_remove_the_folder_that_we_are_in(tmp_path, monkeypatch):
    claim(tmp_path / "run", False, CONFIG)
    (tmp_path / "run" / "nodes").mkdir()
    monkeypatch.chdir(tmp_path / "run" / "nodes")
    with pytest.raises(BadInput, match="holds the current folder"):
        check_free(tmp_path / "run", overwrite=True)


def test_a_place_that_cannot_be_written_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("...")
    for folder in (tmp_path / "file" / "run", tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(BadInput):
            claim(folder, False, CONFIG)
    assert files(tmp_path) == ["file"]


def test_default_folders_are_named_by_time_and_do_not_collide(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda form: "20260102-030405")
    first = default_folder("test")
    assert re.fullmatch(r"runs/test-20260102-030405", str(first))
    claim(first, False, CONFIG)
    claim(default_folder("test"), False, CONFIG)
    assert str(default_folder("test")) == "runs/test-20260102-030405-3"


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(3, 3, bias=False)
        self.b = nn.Linear(3, 3, bias=False)
        self.b.weight = self.a.weight
        self.norm = nn.BatchNorm1d(3)


def saved(folder, tensors):
    file = folder / "nodes" / "0" / "model.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file)
    return file


def state(module, *without):
    return {k: v.detach().clone() for k, v in module.state_dict().items() if k not in without}


@pytest.mark.parametrize("without", [(), ("a.weight",), ("b.weight",)])
def test_a_model_comes_back_whatever_name_its_tied_tensors_have(tmp_path, without):
    module, other = Tied(), Tied()
    module.norm.running_mean += 3
    saved(tmp_path, state(module, *without))
    read_model(tmp_path, 0, other)
    assert all(torch.equal(v, other.state_dict()[k]) for k, v in module.state_dict().items())
    assert other.a.weight is other.b.weight


def test_a_model_that_does_not_fit_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no model"):
        read_model(tmp_path, 0, Tied())
    saved(tmp_path, state(Tied(), "norm.bias"))
    with pytest.raises(BadInput, match=r"'norm\.bias' is only in one of them"):
        read_model(tmp_path, 0, Tied())
    saved(tmp_path, {**state(Tied()), "more": torch.ones(1)})
    with pytest.raises(BadInput, match="'more' is only in one"):
        read_model(tmp_path, 0, Tied())
    file = saved(tmp_path, {**state(Tied()), "norm.bias": torch.ones(4)})
    with pytest.raises(BadInput, match="does not fit Tied"):
        read_model(tmp_path, 0, Tied())
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(BadInput, match="does not fit Tied") as caught:
        read_model(tmp_path, 0, Tied())
    assert "\n" not in str(caught.value)
