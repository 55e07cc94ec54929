"""The small handwritten digits that come with scikit-learn (UCI optdigits): 1,797 images of 8x8, no download."""

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gossipnet.data.samples import Samples, one_in_five
from gossipnet.data.task import Task, classification, task
from gossipnet.errors import BadInput


@task("digits")
def digits() -> Task:
    """Handwritten digits, 1,437 + 360 images of 8x8, that come with scikit-learn; the smallest real task."""
    images, labels = _load()
    testing = one_in_five(labels)
    train, test = Samples(images[~testing], labels[~testing]), Samples(images[testing], labels[testing])
    return classification("digits", train, test, inputs=(1, 8, 8), outputs=10, model="mlp")


def _load() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images (1797, 1, 8, 8) in [0, 1], which 17 levels of gray leave no smaller than float32, and labels (1797,)."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise BadInput("task 'digits' needs scikit-learn, which is not installed: pip install 'gossipnet[demo]'")
    file = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    # Importing scikit-learn takes 2 s and 75 MB, in every node where nodes do not fork; its data file takes neither.
    rows = np.loadtxt(file, delimiter=",") if file.is_file() else _ask_sklearn()
    return (rows[:, :-1] / 16).astype(np.float32).reshape(-1, 1, 8, 8), rows[:, -1].astype(np.int64)


def _ask_sklearn() -> NDArray[np.float64]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return np.column_stack([images, labels])
