"""The pictures of README and docs can be made again, and say what is missing if they cannot."""

import runpy
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from gossipnet.topology import make_topology
from gossipnet.topology.draw import draw

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pictures() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "bench" / "pictures.py"))


def size_of(png: Path) -> tuple[int, int]:
    data = png.read_bytes()
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def test_the_committed_picture_is_small_and_of_the_size_that_the_program_makes(pictures: dict[str, Any]) -> None:
    picture = ROOT / "docs" / "images" / "demo.png"
    assert size_of(picture) == (pictures["WIDTH"], pictures["HEIGHT"])
    assert picture.stat().st_size < 200_000


def test_the_drawn_topology_is_the_one_that_is_committed(tmp_path: Path) -> None:
    draw(make_topology("karate-club"), tmp_path / "karate-club.svg")
    committed = ROOT / "docs" / "images" / "karate-club.svg"
    assert (tmp_path / "karate-club.svg").read_text().count("<circle") == committed.read_text().count("<circle") == 34


@pytest.mark.skipif(not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), reason="no browser")
def test_a_page_is_photographed(pictures: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<h1>hello</h1>")
    pictures["photograph"](tmp_path / "page.html", tmp_path / "page.png")
    assert size_of(tmp_path / "page.png") == (pictures["WIDTH"], pictures["HEIGHT"])


def test_without_a_browser_or_a_page_it_says_so(
    pictures: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    with pytest.raises(SystemExit, match="run `make pictures`"):
        pictures["photograph"](tmp_path / "page.html", tmp_path / "page.png")
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(SystemExit, match="install one of chromium"):
        pictures["photograph"](tmp_path / "page.html", tmp_path / "page.png")
