"""CIFAR-10 (Krizhevsky 2009): 50,000 + 10,000 color images of 32x32 in ten classes, read from its binary version.

A batch file is 10,000 rows of 3,073 bytes: the label, then 1,024 bytes each of red, green and blue. The version for
Python is never read: it is pickled, and unpickling a file runs whatever it says.
"""

import tarfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gossipnet.data.files import Remote, folders, locate
from gossipnet.data.samples import Samples
from gossipnet.data.task import Task, classification, task
from gossipnet.errors import BadInput

_CLASSES = 10
_ROW = 1 + 3 * 32 * 32
_ARCHIVE = "cifar-10-binary.tar.gz"
_FOLDER = "cifar-10-batches-bin"
_TRAIN = [f"data_batch_{i}.bin" for i in range(1, 6)]
_TEST = ["test_batch.bin"]
_REMOTE = Remote(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",  # as other libraries pin it
)


@task("cifar10")
def cifar10() -> Task:
    """Photographs of ten kinds of things, 50,000 + 10,000 of 32x32 in color, from $GOSSIPNET_DATA/cifar10."""
    batches = _read()
    train = np.concatenate([batches[name] for name in _TRAIN])
    return classification(
        "cifar10", _samples(train), _samples(batches[_TEST[0]]), inputs=(3, 32, 32), outputs=_CLASSES, model="cnn"
    )


def _samples(rows: NDArray[np.uint8]) -> Samples:
    return Samples(rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0])


def _read() -> dict[str, NDArray[np.uint8]]:
    """Batch name -> rows (n, 3073): from a folder of batches if there is one, else from the archive."""
    for folder in folders():
        for place in (folder / "cifar10", folder / "cifar10" / _FOLDER):
            if all((place / name).is_file() for name in _TRAIN + _TEST):
                return {name: read_batch((place / name).read_bytes(), place / name) for name in _TRAIN + _TEST}
    return _read_archive(locate("cifar10", [_ARCHIVE], _REMOTE))


def _read_archive(file: Path) -> dict[str, NDArray[np.uint8]]:
    """Reads the six members that it knows, and unpacks nothing onto the disk."""
    batches = {}
    try:
        with tarfile.open(file, "r:gz") as archive:
            for member in archive:
                folder, _, name = member.name.rpartition("/")
                if folder == _FOLDER and name in _TRAIN + _TEST and member.size < 1e9:
                    stream = archive.extractfile(member)
                    batches[name] = read_batch(stream.read() if stream else b"", Path(f"{file}:{member.name}"))
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise BadInput(f"{file}: cannot be read ({error}): expected {_ARCHIVE}; get the file again") from error
    for name in _TRAIN + _TEST:
        if name not in batches:
            raise BadInput(f"{file}: holds no {_FOLDER}/{name}: expected {_ARCHIVE}, the binary version of CIFAR-10")
    return batches


def read_batch(content: bytes, file: Path) -> NDArray[np.uint8]:
    """The rows of a batch file, (n, 3073) with n >= 1. Raises BadInput with the file's name."""
    if not content or len(content) % _ROW:
        raise BadInput(f"{file}: has {len(content)} bytes, expected rows of {_ROW}: a label and 3x32x32 pixels")
    rows = np.frombuffer(content, np.uint8).reshape(-1, _ROW)
    if rows[:, 0].max() >= _CLASSES:
        raise BadInput(f"{file}: got the label {rows[:, 0].max()}, expected 0 to {_CLASSES - 1}")
    return rows
