"""Models on disk: all of the state under its names, read back to the bit."""

import pytest
import torch
from safetensors.torch import load_file
from small_training import norm_model, plain_model
from torch import nn

from gossipnet.model import bind
from gossipnet.run_folder import read_model
from gossipnet.training.files import load_vector, save_model, save_state


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


def test_the_file_is_what_the_library_would_have_written(tmp_path):
    kinds = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16]
    kinds += [torch.int8, torch.uint8, torch.bool, torch.complex64]
    state = {f"{kind}": torch.arange(6).to(kind).view(2, 3).t() for kind in kinds}
    state |= {"number": torch.tensor(5.0), "empty": torch.empty(0, 3), "\u00fc": torch.ones(1).requires_grad_()}
    save_state(state, tmp_path / "ours.safetensors")
    found = load_file(tmp_path / "ours.safetensors")
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(found[name], tensor)


def test_saving_takes_no_second_copy(tmp_path, monkeypatch):
    """Each tensor leaves from where it lies."""
    tensor, written = torch.ones(1000), []

    class File:
        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda *_: None  # noqa: E731

        def write(self, data):
            written.append(data)

    monkeypatch.setattr("gossipnet.training.files.Path.open", lambda *_: File())
    monkeypatch.setattr("gossipnet.training.files.os.replace", lambda *_: None)
    save_state({"w": tensor}, tmp_path / "model.safetensors")
    tensor.zero_()
    assert not any(written[1])
