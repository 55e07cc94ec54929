"""Make the pictures of README and docs: `python bench/pictures.py`, or `make pictures`, which runs demo and grid first.

demo.png is the top of the page that `make demo` writes, as a browser shows it (Chromium or Chrome, without a window),
grid.png that of `gossipnet bench quick --out runs/bench-quick`;
karate-club.svg and exchange.svg are drawn by gossipnet itself.
"""

import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from gossipnet.topology import make_topology
from gossipnet.topology.draw import draw

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
PAGE = ROOT / "runs" / "demo" / "report.html"
GRID = ROOT / "runs" / "bench-quick" / "report.html"
GRID_HEIGHT = 1560
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1280, 790
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--blink-settings=preferredColorScheme=1"),
)


def photograph(page: Path, picture: Path, height: int = HEIGHT) -> None:
    """The top of a page, light, in a picture of WIDTH x `height`. Exits with a message if it cannot be had."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"no browser: install one of {', '.join(BROWSERS)}")
    if not page.is_file():
        sys.exit(f"no page {page}: run `make pictures`")
    with tempfile.TemporaryDirectory() as profile:
        places = f"--user-data-dir={profile}", f"--screenshot={picture}", f"--window-size={WIDTH},{height}"
        subprocess.run([browser, *FLAGS, *places, page.as_uri()], check=True, capture_output=True, timeout=120)


def main() -> None:
    photograph(PAGE, IMAGES / "demo.png")
    photograph(GRID, IMAGES / "grid.png", GRID_HEIGHT)
    draw(make_topology("karate-club"), IMAGES / "karate-club.svg")
    exchange = runpy.run_path(str(ROOT / "bench" / "exchange_picture.py"))["draw"]()
    (IMAGES / "exchange.svg").write_text(exchange, encoding="utf-8")
    for picture in sorted(IMAGES.iterdir()):
        print(f"{picture.relative_to(ROOT)}  {picture.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
