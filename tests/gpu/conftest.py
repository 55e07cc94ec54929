"""What the tests on a GPU share."""

import pytest
import torch


@pytest.fixture
def gpu() -> torch.device:
    """The first one, as tensors name it."""
    return torch.device("cuda", 0)
