"""The page in a browser: its script runs, nothing is refused or logged, and the reading follows pointer and keys."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gossipnet.report import Recorder, look, write_page

MakeRun = Callable[..., Path]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--dump-dom"),
)
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="no chromium, chromium-browser or google-chrome is installed"
)
# What a person does, and what is there then, written into the page where --dump-dom finds it.
ACTIONS = """
const chart = document.querySelector("svg.chart"), box = chart.getBoundingClientRect();
const read = () => document.querySelector(".read")?.innerText ?? "";
const told = [];
chart.dispatchEvent(new PointerEvent("pointermove", { clientX: box.right - 1, clientY: box.top + 9 }));
told.push(read());
chart.dispatchEvent(new PointerEvent("pointerleave"));
told.push(read());
chart.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
chart.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
told.push(read());
chart.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
told.push(read());
document.body.dataset.told = told.join(" / ").replaceAll("\\n", " ");
document.body.dataset.wide = document.documentElement.scrollWidth - innerWidth;
"""


def dumped(page: Path, tmp_path: Path, width: int = 1280) -> tuple[str, list[str]]:
    """The page's final DOM, and what its console said."""
    profile = tmp_path / f"profile{width}"
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},900", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def with_actions(page: Path) -> Path:
    """The same page with ACTIONS behind its own script; the policy that would refuse them is taken out."""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*/>', "", page.read_text())
    acted = page.with_name("acted.html")
    acted.write_text(text.replace("</body>", f"<script>{ACTIONS}</script></body>"))
    return acted


@pytest.fixture
def page(make_run: MakeRun, tmp_path: Path) -> Path:
    average = make_run("a", merge="average", final=0.4, kept=0.05)
    corrected = make_run("b")
    with Recorder(corrected / "metrics.jsonl") as recorder:
        recorder.write({"event": "failed", "error": "</script><script>console.error('ran')</script>"})
    write_page([average, corrected], tmp_path / "page.html")
    return tmp_path / "page.html"


@needs_browser
def test_figures_are_there_and_the_console_is_silent(page: Path, tmp_path: Path) -> None:
    dom, console = dumped(page, tmp_path)
    assert console == []
    assert dom.count('<svg class="chart"') >= 10
    assert dom.count('<svg class="graph"') == 2
    assert dom.count('<svg class="heat"') == 1
    # The script has run: it turns the titles of charts, which browsers show as tooltips, into labels.
    assert dom.count('aria-label="Accuracy') >= 3


@needs_browser
@pytest.mark.parametrize("width", [1280, 400])
def test_the_reading_follows_pointer_and_keys(page: Path, tmp_path: Path, width: int) -> None:
    dom, console = dumped(with_actions(page), tmp_path, width)
    assert console == []
    told = re.search(r'data-told="([^"]*)"', dom)
    assert told is not None
    at_end, gone, by_key, escaped = told[1].split(" / ")
    assert re.fullmatch(
        r"round 20 merge=average: \d\d\.\d%, worst .* merge=variance-corrected: 9\d\.\d%, worst .*", at_end
    )
    assert by_key.startswith("round 4 merge=average")
    assert (gone, escaped) == ("", "")
    wide = re.search(r'data-wide="(-?\d+)"', dom)
    assert wide is not None
    assert int(wide[1]) <= 0, "the page scrolls sideways"


def test_light_and_dark_name_the_same_colours() -> None:
    """A colour that one theme lacks would be taken from the other, and vanish on its ground."""
    names = [
        set(re.findall(r"(--\w[\w-]*):", block)) for block in re.findall(r":root \{(.*?)\}", look.STYLE, re.DOTALL)
    ]
    assert len(names) == 2
    assert names[0] == names[1]


def test_every_colour_is_defined() -> None:
    defined = set(re.findall(r"(--[\w-]+):", look.STYLE))
    assert set(re.findall(r"var\((--[\w-]+)\)", look.STYLE)) <= defined


def test_curves_can_be_told_from_the_ground() -> None:
    """At least 3 : 1, which the accessibility guidelines (WCAG 2.2, 1.4.11) ask of graphics."""
    for block in re.findall(r":root \{(.*?)\}", look.STYLE, re.DOTALL):
        colors = dict(re.findall(r"(--\w+): (#[0-9a-f]{3,6})", block))
        for name in (f"--c{i}" for i in range(8)):
            assert contrast(colors[name], colors["--panel"]) >= 3, name


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    digits = color[1:] if len(color) == 7 else "".join(2 * c for c in color[1:])
    parts = (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
