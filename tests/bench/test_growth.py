"""The growth benchmark measures, makes its table, and draws its picture."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

BENCH = Path(__file__).parents[2] / "bench" / "growth.py"
_spec = importlib.util.spec_from_file_location("growth", BENCH)
growth = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(growth)

FOUND = [
    {
        "model": model,
        "nodes": nodes,
        "engine": "stacked",
        "startup_s": 1.0,
        "round_s": nodes / 1000,
        "updates_per_s": 1000.0,
        "saving_s": 0.5,
        "closing_s": 0.25,
        "peak_bytes": 300_000_000 + nodes * 100_000,
    }
    for model in ("logistic", "mlp")
    for nodes in (10, 100, 1000)
]


def test_the_picture_is_drawn_from_the_figures(tmp_path):
    (tmp_path / "found.json").write_text(json.dumps({"sizes": FOUND}))
    subprocess.run([sys.executable, BENCH, "--draw", tmp_path / "found.json", tmp_path / "picture.svg"], check=True)
    root = ElementTree.parse(tmp_path / "picture.svg").getroot()
    lines = [e for e in root.iter() if e.tag.endswith("polyline")]
    assert len(lines) == 4
    assert all(len(line.get("points").split()) == 3 for line in lines)


def test_the_table_has_a_row_for_each_size_and_says_what_was_refused():
    rows = growth.table([*FOUND, {"model": "mlp", "nodes": 10**6, "refused": "at most 9 nodes fit"}]).splitlines()
    assert len(rows) == 2 + len(FOUND) + 1
    assert "| `mlp` | 1,000 | stacked | 1.0 s | 1 s | 1,000 | 0.5 s | 0.25 s | 0.37 GiB |" in rows
    assert "at most 9 nodes fit" in rows[-1]
