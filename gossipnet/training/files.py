"""A model on disk: safetensors with the names of the module's state dict."""

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from gossipnet.model import ModelSpec


def save_model(module: nn.Module, file: Path) -> None:
    """Write the module's state to `file`, whole or not at all; a tied tensor stands under its first name only."""
    aliases = {alias for alias, _ in ModelSpec.of(module).ties}
    save_state({k: v for k, v in module.state_dict().items() if k not in aliases}, file)


def save_state(state: Mapping[str, torch.Tensor], file: Path) -> None:
    """Write those tensors under their names to `file`, whole or not at all."""
    from safetensors.torch import save_file

    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    save_file({name: tensor.detach().cpu().clone() for name, tensor in state.items()}, part)
    os.replace(part, file)


def load_vector(module: nn.Module, file: Path) -> torch.Tensor:
    """The vector (d,) float32 of the model in `file`, whose layout is that of `module`."""
    from safetensors.torch import load_file

    state = load_file(file)
    return torch.cat([state[e.name].reshape(-1) for e in ModelSpec.of(module).entries])
