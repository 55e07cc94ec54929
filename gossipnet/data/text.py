"""Predict the next character of a text from the ones before it, on any text file of the user's."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gossipnet.data.files import own_file
from gossipnet.data.samples import Samples
from gossipnet.data.task import Task, classification, task
from gossipnet.errors import BadInput

_MOST_CHARACTERS = 512  # a batch holds one number for each, at each position
_TEST_SHARE = 10


@task("text")
def text(path: str = "", length: int = 32) -> Task:
    """The next character from the `length` before it, on your own text: text:path=FILE; its last tenth is for testing.

    Inputs are (length, characters), one-hot; the accuracy is per character.
    """
    if not path or length < 1:
        raise BadInput(f"task 'text' needs a file and a length of 1 or more, got length={length}: write text:path=FILE")
    file = own_file(path)
    tokens, n_characters = tokens_of(_read(file), file)
    if len(tokens) // _TEST_SHARE <= length:
        raise BadInput(f"{file}: has {len(tokens)} characters, expected more than {_TEST_SHARE * (length + 1)}")
    first_test = len(tokens) - len(tokens) // _TEST_SHARE
    return classification(
        "text",
        windows(tokens[:first_test], length, n_characters, step=1),
        # Every character once is test enough: windows that overlap would only repeat it `length` times.
        windows(tokens[first_test:], length, n_characters, step=length),
        inputs=(length, n_characters),
        outputs=n_characters,
        model="transformer",
    )


def tokens_of(content: str, file: Path) -> tuple[NDArray[np.int16], int]:
    """Each character of `content` as its place in the sorted list of all that occur, and how many occur."""
    points = np.frombuffer(content.encode("utf-32-le"), "<u4")
    characters, tokens = np.unique(points, return_inverse=True)
    if len(characters) > _MOST_CHARACTERS:
        raise BadInput(f"{file}: has {len(characters)} different characters, expected at most {_MOST_CHARACTERS}")
    return tokens.astype(np.int16), len(characters)


def windows(tokens: NDArray[np.int16], length: int, n_characters: int, step: int) -> Samples:
    """Samples of `length` tokens and the one that follows; the inputs are a view of `tokens`, not copies."""
    inputs = sliding_window_view(tokens[:-1], length)[::step]
    return Samples(inputs, tokens[length:][::step], partial(one_hot, n_characters=n_characters))


def one_hot(tokens: Tensor, n_characters: int) -> Tensor:
    """(B, length) -> (B, length, n_characters) float32."""
    return functional.one_hot(tokens.long(), n_characters).float()


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: is no UTF-8 text ({error.reason} at byte {error.start})") from error
