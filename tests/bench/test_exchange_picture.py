"""The picture in the docs is what the nodes do."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_committed_picture_is_what_the_program_draws() -> None:
    draw = runpy.run_path(str(ROOT / "bench" / "exchange_picture.py"))["draw"]
    assert (ROOT / "docs" / "images" / "exchange.svg").read_text() == draw()
