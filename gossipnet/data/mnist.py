"""MNIST (LeCun, Cortes, Burges) and Fashion-MNIST (Xiao, Rasul, Vollgraf): 60,000 + 10,000 images, four IDX files each.

An IDX file is: two zero bytes, a type byte (8 = uint8), the number of dimensions, each dimension as 4 bytes
big-endian, then the numbers. Files may be gzipped or not, whatever their names say.
"""

import gzip
import math
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gossipnet.data.files import Remote, locate
from gossipnet.data.task import Samples, Task, classification, task
from gossipnet.errors import BadInput

_CLASSES = 10
_URLS = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion-mnist": "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
}
# md5 of the .gz files: Fashion-MNIST's as its authors publish them, MNIST's as torchvision pins this mirror's.
_CHECKSUMS = {
    "mnist": {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
}


@task("mnist")
def mnist() -> Task:
    """Handwritten digits, 60,000 + 10,000 images of 28x28, from the IDX files under $GOSSIPNET_DATA/mnist."""
    return _task("mnist")


@task("fashion-mnist")
def fashion_mnist() -> Task:
    """Articles of clothing, 60,000 + 10,000 images of 28x28, from the IDX files under $GOSSIPNET_DATA/fashion-mnist."""
    return _task("fashion-mnist")


def _task(data: str) -> Task:
    train, test = _read(data, "train"), _read(data, "t10k")
    return classification(data, train, test, inputs=(1, 28, 28), outputs=_CLASSES, model="lenet5")


def _read(data: str, part: str) -> Samples:
    images_file, labels_file = _locate(data, part, "images", 3), _locate(data, part, "labels", 1)
    images, labels = read_idx(images_file, (28, 28)), read_idx(labels_file, ())
    if len(images) != len(labels):
        raise BadInput(f"{images_file} holds {len(images)} images and {labels_file} {len(labels)} labels: not a pair")
    if labels.max() >= _CLASSES:
        raise BadInput(f"{labels_file}: got the label {labels.max()}, expected 0 to {_CLASSES - 1}")
    return Samples(images[:, None], labels)


def _locate(data: str, part: str, what: str, n_dims: int) -> Path:
    stems = [f"{part}-{what}-idx{n_dims}-ubyte", f"{part}-{what}.idx{n_dims}-ubyte"]
    names = [stem + end for end in (".gz", "") for stem in stems]
    return locate(data, names, Remote(_URLS[data] + names[0], f"md5:{_CHECKSUMS[data][names[0]]}"))


def read_idx(file: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The numbers of an IDX file of uint8, (n, *shape) with n >= 1. Raises BadInput with the file's name.

    Reads no more than the header promises, and believes no header that promises anything but `shape`.
    """
    try:
        with open(file, "rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            return _parse(gzip.GzipFile(fileobj=raw) if zipped else raw, file, shape)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{file}: cannot be read ({error}): expected an IDX file, gzipped or not") from error


def _parse(stream: BinaryIO | gzip.GzipFile, file: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    n_dims = 1 + len(shape)
    head = stream.read(4 + 4 * n_dims)
    if head[:4] != bytes([0, 0, 8, n_dims]):
        raise BadInput(f"{file}: starts with {head[:4].hex()}, expected 000008{n_dims:02x} (IDX, uint8, {n_dims} dims)")
    if len(head) < 4 + 4 * n_dims:
        raise BadInput(f"{file}: ends inside its header, after {len(head)} bytes; get the file again")
    dims = tuple(int(n) for n in np.frombuffer(head, ">u4", offset=4))
    if dims[1:] != shape or not 0 < dims[0] <= 10_000_000:
        raise BadInput(f"{file}: got {'x'.join(map(str, dims))}, expected {'x'.join(map(str, ('n', *shape)))} numbers")
    expected = math.prod(dims)
    body = stream.read(expected + 1)
    if len(body) != expected:
        got = f"only {len(body)}" if len(body) < expected else f"more than {expected}"
        raise BadInput(f"{file}: holds {got} numbers, its header says {expected}; get the file again")
    return np.frombuffer(body, np.uint8).reshape(dims)
