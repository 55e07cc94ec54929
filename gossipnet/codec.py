"""How a model's vector becomes payload bytes, and back.

A codec is a few plain functions. Payloads are raw little-endian numbers at any address, of a length that both sides
know from the model: there is nothing in them to parse, and nothing but values that a peer could lie about. Values
travel as they are, nan and inf too; a node refuses those on admission, by `all_finite`.
"""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gossipnet.errors import BadInput
from gossipnet.registry import Registry, also_decorator

Bytes = bytes | bytearray | memoryview
_BLOCK = 1 << 18  # numbers cast at a time: 1 MiB of float32 stays in the cache, and no second copy of a model is made


@dataclass(frozen=True)
class Codec:
    """How models travel. For a finite vector (d,) whose values lie within +-`largest`, the round trip errs by

        || decoded - vector || <= error * || vector || + floor * sqrt(d)     (Euclidean norms)

    and larger finite values come back as +-`largest`, never as inf.
    """

    payload_bytes: Callable[[int], int]  # length d of the vector -> length of the payload, the same for every vector
    encode: Callable[[Tensor, bytearray | memoryview], None]  # (vector (d,) float32, where to write)
    decode: Callable[[Bytes, Tensor], None]  # (payload, out (d,) float32)
    error: float  # relative
    floor: float = 0.0  # absolute, per number: what the smallest numbers lose
    largest: float = math.inf
    element_bytes: int = 0  # of each number, if any part of a vector is that part of the payload; else 0
    plain: bool = False  # the payload is the memory of the vector, as it is
    name: str = ""  # what nodes call it to each other: the text that it was made from, less the path of a file


codecs: Registry[Codec] = Registry("codec", "codec")
codec = codecs.register
also_decorator(__name__, codecs)


def make_codec(text: str) -> Codec:
    """The codec that `text` describes; its functions check their arguments.

    They raise ValueError for a buffer of the wrong length and for a vector that is not (d,) float32. Vectors may lie
    on any device. Raises BadInput for an unknown codec.
    """
    if sys.byteorder != "little":
        raise BadInput("this machine is big-endian: gossipnet exchanges models as little-endian numbers only")
    made: Codec = codecs.make(text)
    head, _, rest = text.partition(":")
    name = rest if head.endswith(".py") else text  # the file may lie elsewhere on another node's machine
    if not (len(name) <= 64 and name.isascii() and name.isprintable()):
        raise BadInput(f"codec {name!r}: a header carries at most 64 printable ASCII characters of it, shorten it")

    def encode(vector: Tensor, out: bytearray | memoryview) -> None:
        _check(made, vector, out)
        made.encode(vector.detach(), out)

    def decode(payload: Bytes, out: Tensor) -> None:
        _check(made, out, payload)
        made.decode(payload, out.detach())

    return replace(made, encode=encode, decode=decode, name=name)


def all_finite(vector: Tensor) -> bool:
    """Whether no number of `vector` is nan or inf; reads it once where that is so."""
    if vector.device.type != "cpu" or vector.dtype != torch.float32 or not vector.is_contiguous():
        # A sum is finite only if all its terms are; it may also overflow, so that a bad one proves nothing.
        return bool(vector.sum().isfinite()) or bool(vector.isfinite().all())
    numbers = vector.detach().numpy()  # numpy's isfinite runs at the speed of memory, torch's at a thirtieth of it
    return all(bool(np.isfinite(numbers[part]).all()) for part in _blocks(len(numbers)))


@codec("float32")
def float32() -> Codec:
    """Exact: 4 bytes a number, as torch holds them."""

    def encode(vector: Tensor, out: bytearray | memoryview) -> None:
        np.copyto(np.frombuffer(out, np.uint8), vector.cpu().contiguous().view(torch.uint8).numpy())

    def decode(payload: Bytes, out: Tensor) -> None:
        host = _host(out)
        np.copyto(host.view(torch.uint8).numpy(), np.frombuffer(payload, np.uint8))
        _deliver(host, out)

    return Codec(lambda d: 4 * d, encode, decode, error=0.0, element_bytes=4, plain=True)


@codec("float16")
def float16() -> Codec:
    """Half the bytes, 11 significant bits; values beyond +-65504 saturate, those below 6e-5 lose up to 3e-8."""
    return _half(torch.float16, error=2.0**-11, floor=2.0**-25)


@codec("bfloat16")
def bfloat16() -> Codec:
    """Half the bytes, 8 significant bits and the range of float32: for numbers too large or small for float16."""
    return _half(torch.bfloat16, error=2.0**-8, floor=2.0**-134)


def _half(dtype: torch.dtype, error: float, floor: float) -> Codec:
    largest = torch.finfo(dtype).max

    def encode(vector: Tensor, out: bytearray | memoryview) -> None:
        raw = np.frombuffer(out, np.uint8)
        for part in _blocks(vector.numel()):
            cast = _saturating(vector[part], dtype, largest)
            np.copyto(raw[2 * part.start : 2 * part.stop], cast.cpu().view(torch.uint8).numpy())

    def decode(payload: Bytes, out: Tensor) -> None:
        raw, host = np.frombuffer(payload, np.uint8), _host(out)
        for part in _blocks(host.numel()):
            # The copy is aligned and writable, which torch asks for and a payload need not be.
            aligned = raw[2 * part.start : 2 * part.stop].copy()
            host[part] = torch.from_numpy(aligned).view(dtype)
        _deliver(host, out)

    return Codec(lambda d: 2 * d, encode, decode, error, floor, largest, element_bytes=2)


def _saturating(numbers: Tensor, dtype: torch.dtype, largest: float) -> Tensor:
    """`numbers` rounded to `dtype`; finite ones stay finite."""
    cast = numbers.to(dtype)
    if all_finite(cast):
        return cast
    return torch.where(numbers.isfinite(), numbers.clamp(-largest, largest), numbers).to(dtype)


def _blocks(d: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK, d)) for start in range(0, d, _BLOCK))


def _host(out: Tensor) -> Tensor:
    """Where to decode to: `out` itself if the CPU can write it in one piece, else a buffer for `_deliver`."""
    return out if out.device.type == "cpu" and out.is_contiguous() else torch.empty(out.shape)


def _deliver(host: Tensor, out: Tensor) -> None:
    if host is not out:
        out.copy_(host)


def _check(codec: Codec, vector: Tensor, buffer: Bytes) -> None:
    if vector.ndim != 1 or vector.dtype != torch.float32:
        raise ValueError(f"got a vector {tuple(vector.shape)} {vector.dtype}, expected (d,) torch.float32")
    got, expected = memoryview(buffer).nbytes, codec.payload_bytes(vector.numel())
    if got != expected:
        raise ValueError(f"got {got} payload bytes, expected {expected} for a vector of {vector.numel()} numbers")
