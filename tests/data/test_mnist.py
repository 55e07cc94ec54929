import contextlib
import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.data import make_task
from gossipnet.data.mnist import read_idx
from gossipnet.errors import BadInput


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def data(data_folder: Path) -> Path:
    """A folder like MNIST's with 6 + 4 images, under $GOSSIPNET_DATA."""
    folder = data_folder / "mnist"
    folder.mkdir()
    for part, n in (("train", 6), ("t10k", 4)):
        images = np.arange(n * 784).reshape(n, 28, 28) % 256
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.arange(n) + 3)))
    return folder


@pytest.mark.usefixtures("data")
def test_images_and_labels_are_those_of_the_files() -> None:
    task = make_task("mnist")
    assert (len(task.train), len(task.test), task.model) == (6, 4, "lenet5")
    inputs, targets = task.train.batch(np.array([5, 0]))
    assert inputs.shape == (2, *task.inputs)
    assert np.allclose(inputs[0].flatten() * 255, np.arange(5 * 784, 6 * 784) % 256)
    assert targets.tolist() == [8, 3]


@pytest.mark.parametrize(
    "spelling", ["{part}-images-idx3-ubyte", "{part}-images.idx3-ubyte", "{part}-images.idx3-ubyte.gz"]
)
def test_other_spellings_of_the_names(data: Path, spelling: str) -> None:
    before = make_task("mnist").train.batch(np.arange(6))[0]
    for part in ("train", "t10k"):
        zipped = data / f"{part}-images-idx3-ubyte.gz"
        content = zipped.read_bytes() if spelling.endswith(".gz") else gzip.decompress(zipped.read_bytes())
        zipped.unlink()
        (data / spelling.format(part=part)).write_bytes(content)
    assert (make_task("mnist").train.batch(np.arange(6))[0] == before).all()


def test_files_in_the_cache_folder_are_found(data: Path, data_folder: Path) -> None:
    (data_folder / "cache" / "gossipnet").mkdir(parents=True)
    data.rename(data_folder / "cache" / "gossipnet" / "mnist")
    assert len(make_task("mnist").train) == 6


def test_fashion_mnist_is_read_from_its_own_folder(data: Path) -> None:
    with pytest.raises(BadInput, match="fashion-mnist"):
        make_task("fashion-mnist")
    (data / "train-labels-idx1-ubyte.gz").rename(data / "kept")
    data.rename(data.parent / "fashion-mnist")
    (data.parent / "fashion-mnist" / "kept").rename(data.parent / "fashion-mnist" / "train-labels.idx1-ubyte")
    task = make_task("fashion-mnist")
    assert (len(task.train), len(task.test), task.name) == (6, 4, "fashion-mnist")


@pytest.mark.parametrize("missing", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])
def test_a_missing_file_is_named_with_its_place(data: Path, missing: str) -> None:
    (data / missing).unlink()
    with pytest.raises(BadInput, match=r"gossipnet\[data\]") as caught:
        make_task("mnist")
    assert missing in str(caught.value)
    assert str(data) in str(caught.value)


GOOD = idx(np.arange(3 * 784).reshape(3, 28, 28))


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "starts with , expected 00000803"),
        (GOOD[:10], "ends inside its header"),
        (GOOD[:-1], "only 2351 numbers"),
        (GOOD + b"x", "more than 2352 numbers"),
        (b"\0\0\x09\3" + GOOD[4:], "expected 00000803"),
        (idx(np.arange(3)), "expected 00000803"),
        (b"<html>404</html>", "expected 00000803"),
        (idx(np.zeros((1, 32, 32))), "got 1x32x32, expected nx28x28"),
        (idx(np.zeros((0, 28, 28))), "got 0x28x28"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 28, 28), "got 4294967295x28x28"),
    ],
)
def test_wrong_files_are_refused_by_name(tmp_path: Path, content: bytes, complaint: str, zipped: bool) -> None:
    file = tmp_path / "some-images"
    file.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(BadInput, match=complaint) as caught:
        read_idx(file, (28, 28))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.integers(0, 400), st.integers(0, 255))
@settings(max_examples=60)
def test_damaged_gzip_files_are_refused_or_read_right(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (1, 28, 28))
    content = bytearray(gzip.compress(idx(images), mtime=0))
    content[at] = value
    file = tmp_path_factory.mktemp("idx") / "images.gz"
    file.write_bytes(content)
    with contextlib.suppress(BadInput):  # any other exception is a failure
        assert np.array_equal(read_idx(file, (28, 28)), images)


@pytest.mark.parametrize("kept", [1, 20, 100])
def test_a_cut_gzip_file_is_refused(tmp_path: Path, kept: int) -> None:
    file = tmp_path / "images.gz"
    file.write_bytes(gzip.compress(GOOD)[:kept])
    with pytest.raises(BadInput, match=r"images\.gz"):
        read_idx(file, (28, 28))


def test_images_and_labels_must_be_as_many(data: Path) -> None:
    (data / "train-labels-idx1-ubyte.gz").write_bytes(idx(np.arange(5)))
    with pytest.raises(BadInput, match=r"6 images and .* 5 labels"):
        make_task("mnist")


def test_labels_beyond_nine_are_refused(data: Path) -> None:
    (data / "t10k-labels-idx1-ubyte.gz").write_bytes(idx(np.array([1, 2, 3, 10])))
    with pytest.raises(BadInput, match="got the label 10"):
        make_task("mnist")
