"""Models on disk: all of the state under its names, read back to the bit."""

import pytest
import torch
from safetensors.torch import load_file
from small_training import norm_model, plain_model
from torch import nn

from gossipnet.model import bind
from gossipnet.run_folder import read_model
from gossipnet.training.files import load_vector, save_model


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
        self.two.weight = self.one.weight


@pytest.mark.parametrize("make", [plain_model, norm_model, Tied])
def test_a_model_comes_back_to_the_bit(tmp_path, make):
    module, other = make(), make()
    vector = bind(module)
    file = tmp_path / "nodes" / "3" / "model.safetensors"
    save_model(module, file)
    assert torch.equal(load_vector(make(), file), vector)
    read_model(tmp_path, 3, other)
    for name, value in module.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    assert [f.name for f in file.parent.iterdir()] == ["model.safetensors"]


def test_a_file_has_the_names_of_the_state_dict_and_a_tied_tensor_once(tmp_path):
    save_model(norm_model(), tmp_path / "model.safetensors")
    assert load_file(tmp_path / "model.safetensors").keys() == norm_model().state_dict().keys()
    save_model(Tied(), tmp_path / "tied.safetensors")
    assert load_file(tmp_path / "tied.safetensors").keys() == {"one.weight", "one.bias", "two.bias"}


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "model.safetensors"
    save_model(plain_model(), file)
    before = file.read_bytes()

    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr("gossipnet.training.files.os.replace", fail)
    with pytest.raises(OSError, match="no space"):
        save_model(plain_model(), file)
    assert file.read_bytes() == before
