"""A model on disk: safetensors with the names of the module's state dict."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from gossipnet.model import ModelSpec

_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.complex64: "C64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def save_model(module: nn.Module, file: Path) -> None:
    """Write the module's state to `file`, whole or not at all; a tied tensor stands under its first name only."""
    aliases = {alias for alias, _ in ModelSpec.of(module).ties}
    save_state({k: v for k, v in module.state_dict().items() if k not in aliases}, file)


def save_state(state: Mapping[str, torch.Tensor], file: Path) -> None:
    """Write those tensors under their names to `file`, whole or not at all.

    One tensor after another, without a second copy of any that lies in one piece on the CPU: the library's own
    function takes two of all together.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    tensors = dict(sorted(state.items(), key=lambda named: (-named[1].element_size(), named[0])))  # all aligned
    with part.open("wb") as out:
        out.write(_header(tensors))
        for tensor in tensors.values():
            out.write(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    os.replace(part, file)


def _header(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """What a safetensors file begins with: the length of a JSON object, and that (safetensors README, Format)."""
    fields, end = {}, 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.numel() * tensor.element_size()
        fields[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(fields, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def load_vector(module: nn.Module, file: Path) -> torch.Tensor:
    """The vector (d,) float32 of the model in `file`, whose layout is that of `module`."""
    from safetensors.torch import load_file

    state = load_file(file)
    return torch.cat([state[e.name].reshape(-1) for e in ModelSpec.of(module).entries])
