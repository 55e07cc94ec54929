"""A replay against the run that it repeats: the same reports up to any time, the same vectors at the end."""

from dataclasses import replace

import pytest
from small_training import BLOBS

import gossipnet
from gossipnet import Experiment
from gossipnet.errors import BadInput
from gossipnet.sim.replay import replay
from gossipnet.training.measure import digest

TROUBLED = Experiment(
    task=BLOBS, model="logistic", nodes=4, rounds=6, local_steps=2, batch_size=8, quorum=0, preset="extreme"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return gossipnet.run(TROUBLED.replace(train="loop"), "sim", tmp_path_factory.mktemp("runs") / "troubled")


def test_the_whole_run_ends_with_the_same_bits(run):
    again = replay(run.folder, 1e9)
    assert {str(i): digest(node.vector) for i, node in enumerate(again.nodes)} == run.summary.digests
    assert again.reports == len((run.folder / "metrics.jsonl").read_text().splitlines())
    assert {node.phase for node in again.nodes} == {"done"}


def test_a_replay_stops_at_any_time(run):
    half = run.summary.virtual_s / 2
    again = replay(run.folder, half)
    assert 0 < again.reports < replay(run.folder, 1e9).reports
    assert all(node.merged < 6 for node in again.nodes)
    start = replay(run.folder, 0.0)
    assert {node.merged for node in start.nodes} == {0}


def test_what_differs_is_told(run, tmp_path):
    text = (run.folder / "metrics.jsonl").read_text()
    (tmp_path / "config.toml").write_text((run.folder / "config.toml").read_text())
    with pytest.raises(BadInput, match="expected the folder of a simulated run"):
        replay(tmp_path, 1.0)
    (tmp_path / "summary.json").write_text(replace(run.summary, world="live").to_json())
    (tmp_path / "metrics.jsonl").write_text(text)
    with pytest.raises(BadInput, match="was not simulated"):
        replay(tmp_path, 1.0)
    (tmp_path / "summary.json").unlink()
    (tmp_path / "metrics.jsonl").write_text(text.replace('"round": 2', '"round": 3'))
    with pytest.raises(BadInput, match=r"metrics\.jsonl:\d+: got .* is recorded"):
        replay(tmp_path, 1e9)
    with pytest.raises(BadInput, match="until_s: got -1"):
        replay(run.folder, -1)
