import struct
from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from torch import Tensor

from gossipnet.codec import Codec, all_finite, codecs, make_codec
from gossipnet.errors import BadInput

float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)
vectors = arrays(np.float32, st.integers(1, 40), elements=float32s | st.floats(-1, 1, width=32)).map(torch.from_numpy)
every_codec = pytest.mark.parametrize("name", codecs.names())


def round_trip(codec: Codec, vector: Tensor) -> Tensor:
    payload = bytearray(codec.payload_bytes(vector.numel()))
    codec.encode(vector, payload)
    decoded = torch.full_like(vector, 7.0)
    codec.decode(bytes(payload), decoded)
    return decoded


@every_codec
@given(vector=vectors)
@settings(max_examples=100)
def test_round_trip_errs_within_the_stated_bound(name: str, vector: Tensor) -> None:
    codec = make_codec(name)
    wanted = vector.double().clamp(-codec.largest, codec.largest)
    error = (round_trip(codec, vector).double() - wanted).norm()
    assert error <= codec.error * wanted.norm() + codec.floor * vector.numel() ** 0.5


@every_codec
def test_stated_bound_is_not_slack(name: str) -> None:
    """Some number errs by more than a third of the bound, so that the test above can fail."""
    codec = make_codec(name)
    numbers = torch.linspace(1, 2, 10_001)
    worst = ((round_trip(codec, numbers) - numbers).abs() / numbers).max()
    assert worst >= codec.error / 3


@every_codec
@given(vector=vectors)
@settings(max_examples=50)
def test_decoded_values_travel_on_unchanged(name: str, vector: Tensor) -> None:
    once = round_trip(make_codec(name), vector)
    assert torch.equal(round_trip(make_codec(name), once), once)


@every_codec
def test_nan_and_inf_stay_what_they_are(name: str) -> None:
    odd = torch.tensor([1.0, float("nan"), float("inf"), -float("inf"), 3e38, 0.5])
    decoded = round_trip(make_codec(name), odd)
    assert torch.equal(decoded.isnan(), odd.isnan())
    assert torch.equal(decoded.isinf(), odd.isinf())
    assert decoded[2] > 0 > decoded[3]
    assert not all_finite(decoded)


@every_codec
@given(start=st.integers(0, 7), vector=vectors)
@settings(max_examples=30)
def test_payloads_lie_at_any_address(name: str, start: int, vector: Tensor) -> None:
    codec = make_codec(name)
    n = codec.payload_bytes(vector.numel())
    memory = bytearray(b"\xa5" * (n + 16))
    codec.encode(vector, memoryview(memory)[start : start + n])
    assert memory[:start] == b"\xa5" * start
    assert memory[start + n :] == b"\xa5" * (16 - start)
    decoded = torch.empty_like(vector)
    codec.decode(memoryview(memory)[start : start + n].toreadonly(), decoded)
    assert torch.equal(decoded, round_trip(codec, vector))


@every_codec
@pytest.mark.parametrize("change", [-1, 1, 100])
def test_a_payload_of_another_length_is_refused(name: str, change: int) -> None:
    codec = make_codec(name)
    n = codec.payload_bytes(10)
    vector = torch.zeros(10)
    with pytest.raises(ValueError, match=f"expected {n} "):
        codec.decode(bytes(n + change), vector)
    with pytest.raises(ValueError, match=f"expected {n} "):
        codec.encode(vector, bytearray(n + change))


@every_codec
@pytest.mark.parametrize("vector", [torch.zeros(4, dtype=torch.float64), torch.zeros(2, 2)])
def test_a_vector_of_another_kind_is_refused(name: str, vector: Tensor) -> None:
    codec = make_codec(name)
    with pytest.raises(ValueError, match="expected \\(d,\\)"):
        codec.encode(vector, bytearray(codec.payload_bytes(4)))


@every_codec
def test_strided_vectors_and_parameters_travel_too(name: str) -> None:
    codec = make_codec(name)
    arena = torch.arange(12.0).view(6, 2)
    column = torch.nn.Parameter(arena)[:, 1]
    assert torch.equal(round_trip(codec, column), arena[:, 1].clone())
    payload = bytearray(codec.payload_bytes(6))
    codec.encode(torch.full((6,), -1.0), payload)
    codec.decode(payload, arena[:, 0])
    assert arena.tolist() == [[-1.0, n] for n in (1.0, 3.0, 5.0, 7.0, 9.0, 11.0)]


@every_codec
def test_models_longer_than_a_block_arrive_in_order(name: str) -> None:
    vector = torch.arange(600_001.0) / 600_001
    decoded = round_trip(make_codec(name), vector)
    assert torch.allclose(decoded, vector, rtol=make_codec(name).error, atol=1e-7)


@every_codec
def test_an_empty_vector_has_an_empty_payload(name: str) -> None:
    assert round_trip(make_codec(name), torch.empty(0)).numel() == 0


def oracle_float16(numbers: np.ndarray) -> bytes:
    with np.errstate(over="ignore"):
        half = numbers.astype("<f2")
    return np.where(np.isinf(half) & np.isfinite(numbers), np.copysign(np.float16(65504), half), half).tobytes()


def oracle_bfloat16(numbers: np.ndarray) -> bytes:
    """Round to the nearest, ties to even, on the bits."""
    bits = numbers.view("<u4").astype(np.uint64)
    rounded = np.minimum((bits & 0x7FFFFFFF) + 0x7FFF + ((bits >> 16) & 1), 0x7F7FFFFF)
    return ((rounded >> 16) | ((bits >> 31) << 15)).astype("<u2").tobytes()


@pytest.mark.parametrize(
    ("name", "oracle"),
    [("float32", lambda x: x.astype("<f4").tobytes()), ("float16", oracle_float16), ("bfloat16", oracle_bfloat16)],
)
@given(vector=vectors)
@settings(max_examples=100)
def test_bytes_are_those_of_an_independent_cast(
    name: str, oracle: Callable[[np.ndarray], bytes], vector: Tensor
) -> None:
    codec = make_codec(name)
    payload = bytearray(codec.payload_bytes(vector.numel()))
    codec.encode(vector, payload)
    assert bytes(payload) == oracle(vector.numpy())


def test_float32_bytes_are_little_endian_and_exact() -> None:
    payload = bytearray(8)
    make_codec("float32").encode(torch.tensor([1.0, -2.5]), payload)
    assert payload == struct.pack("<2f", 1.0, -2.5)


def test_float16_saturates_without_touching_the_others() -> None:
    numbers = torch.tensor([1e5, -1e30, 65519.0, 65520.0, 0.1, 6e-8])
    half = torch.tensor([65504.0, -65504.0, 65504.0, 65504.0, 0.0999755859375, 2.0**-24])
    assert torch.equal(round_trip(make_codec("float16"), numbers), half)


def test_unknown_codec_names_the_closest() -> None:
    with pytest.raises(BadInput, match="did you mean 'float16'"):
        make_codec("float61")


@given(arrays(np.float32, st.integers(1, 40), elements=st.floats(width=32)))
@settings(max_examples=100)
def test_all_finite_is_numpys_answer(numbers: np.ndarray) -> None:
    assert all_finite(torch.from_numpy(numbers)) == bool(np.isfinite(numbers).all())


def test_all_finite_believes_no_overflowing_sum() -> None:
    assert all_finite(torch.full((10,), 3e38))
    assert not all_finite(torch.tensor([float("inf"), -float("inf")]))
