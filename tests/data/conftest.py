import sys
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test of this folder downloads anything, whatever is installed."""
    monkeypatch.setitem(sys.modules, "pooch", None)


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty $GOSSIPNET_DATA, and an empty cache folder below it."""
    monkeypatch.setenv("GOSSIPNET_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path
