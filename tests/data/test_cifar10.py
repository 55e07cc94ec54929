import io
import pickle
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from gossipnet.data import make_model, make_task
from gossipnet.data.cifar10 import read_batch
from gossipnet.errors import BadInput

NAMES = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]


def rows(n: int, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return np.concatenate([draw.integers(0, 10, (n, 1)), draw.integers(0, 256, (n, 3072))], axis=1).astype(np.uint8)


BATCHES = {name: rows(3, seed) for seed, name in enumerate(NAMES)}


def archive(file: Path, contents: dict[str, bytes]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def packed(data_folder: Path) -> Path:
    file = data_folder / "cifar10" / "cifar-10-binary.tar.gz"
    archive(file, {f"cifar-10-batches-bin/{name}": batch.tobytes() for name, batch in BATCHES.items()})
    return file


def check(task_name: str = "cifar10") -> None:
    task = make_task(task_name)
    assert (len(task.train), len(task.test)) == (15, 3)
    inputs, targets = task.train.batch(np.array([4, 14]))
    for image, label, row in zip(inputs, targets, [BATCHES[NAMES[1]][1], BATCHES[NAMES[4]][2]], strict=True):
        assert label == row[0]
        red, green, blue = (row[1 + 1024 * c : 1025 + 1024 * c].reshape(32, 32) for c in range(3))
        assert np.array_equal((image * 255).round().numpy(), np.stack([red, green, blue]))
    assert np.array_equal(task.test.targets, BATCHES["test_batch.bin"][:, 0])


@pytest.mark.usefixtures("packed")
def test_images_and_labels_are_those_of_the_archive() -> None:
    check()
    task = make_task("cifar10")
    assert make_model("", task)(task.test.batch(np.arange(3))[0]).shape == (3, 10)


@pytest.mark.parametrize("place", ["cifar10", "cifar10/cifar-10-batches-bin", "cache/gossipnet/cifar10"])
def test_an_unpacked_archive_serves_too(data_folder: Path, place: str) -> None:
    (data_folder / place).mkdir(parents=True)
    for name, batch in BATCHES.items():
        (data_folder / place / name).write_bytes(batch.tobytes())
    check()


@pytest.mark.usefixtures("data_folder")
def test_without_files_the_archive_is_asked_for() -> None:
    with pytest.raises(BadInput, match=r"no file 'cifar-10-binary\.tar\.gz' in .*cifar10"):
        make_task("cifar10")


def test_the_pickled_version_is_refused_unread(packed: Path) -> None:
    """The archive for Python under the name of the binary one: nothing in it is unpickled."""
    found = []
    active = True
    sys.addaudithook(lambda event, _: found.append(event) if active and event == "pickle.find_class" else None)
    content = pickle.dumps(Path("somewhere"))
    pickle.loads(content)
    assert found, "the hook sees no unpickling"
    found.clear()
    archive(packed, {f"cifar-10-batches-py/{name.removesuffix('.bin')}": content for name in NAMES})
    with pytest.raises(BadInput, match=r"holds no cifar-10-batches-bin/data_batch_1\.bin"):
        make_task("cifar10")
    active = False
    assert not found


def test_damaged_archives_are_refused(packed: Path) -> None:
    whole = packed.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"<html>", whole[:100] + bytes(100) + whole[200:]):
        packed.write_bytes(content)
        with pytest.raises(BadInput, match=r"cifar-10-binary\.tar\.gz"):
            make_task("cifar10")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"", "has 0 bytes"), (bytes(3072), "has 3072 bytes"), (bytes([10]) + bytes(3072), "got the label 10")],
)
def test_wrong_batches_are_refused_by_name(content: bytes, complaint: str) -> None:
    with pytest.raises(BadInput, match=f"some.bin: {complaint}"):
        read_batch(content, Path("some.bin"))
