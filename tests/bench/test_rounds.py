"""A simulated run is timed from within: its rounds apart from what comes before and after them."""

import json
import subprocess
import sys
from pathlib import Path

from small_training import BLOBS

from gossipnet import Experiment

BENCH = Path(__file__).parents[2] / "bench" / "rounds.py"


def test_what_took_how_long_is_told_apart(tmp_path):
    experiment = Experiment(
        task=BLOBS, model="logistic", nodes=6, rounds=4, local_steps=2, batch_size=8, evaluate_every=5
    )
    config = tmp_path / "config.toml"
    config.write_text(experiment.to_toml())
    done = subprocess.run([sys.executable, BENCH, config, tmp_path / "run"], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert found["engine"] == "loop"
    assert all(seconds > 0 for name, seconds in found.items() if name.endswith("_s"))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    three_s = 6 * 2 * 3 / found["updates_per_s"]  # the first of four rounds is not timed
    assert three_s + found["saving_s"] + found["evaluation_s"] < summary["wall_s"] - summary["startup_s"]
    assert found["startup_s"] == summary["startup_s"]


def test_a_failing_node_is_no_measurement(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(Experiment(task=BLOBS, model="mlp", nodes=2, rounds=20, lr=1e9).to_toml())
    done = subprocess.run([sys.executable, BENCH, config, tmp_path / "run"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "failed" in done.stderr.splitlines()[-1]
