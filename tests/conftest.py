"""What all tests share: one torch thread (bits depend on it), and no time limit on a hypothesis example."""

import pytest
import torch
from hypothesis import HealthCheck, settings

from gossipnet import BadInput, make_task

torch.set_num_threads(1)
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fuzz", deadline=None, max_examples=5000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in tests/gpu needs a GPU, and nothing else does."""
    there = torch.cuda.is_available()
    for item in items:
        if item.path.parent.name == "gpu":
            item.add_marker(pytest.mark.gpu)
            if not there:
                item.add_marker(pytest.mark.skip(reason="torch sees no CUDA device"))


@pytest.fixture(scope="session")
def mnist() -> None:
    """For tests that need its files: skipped where they are neither found nor downloaded."""
    try:
        make_task("mnist")
    except BadInput as error:
        pytest.skip(f"needs MNIST: {error}")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write the answers of tests/transcripts anew")
