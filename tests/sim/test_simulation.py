"""Networks and machines that cannot be simulated, and runs without an end, are refused before anything trains."""

import numpy as np
import pytest
from small_training import BLOBS

import gossipnet
from gossipnet import Experiment
from gossipnet.errors import BadInput
from gossipnet.sim.simulation import check_world

SMALL = Experiment(task=BLOBS, model="mlp", nodes=4, rounds=1, local_steps=1, batch_size=8)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"churn": "trace:path=missing.csv"}, "'missing.csv': No such file or directory;"),
        ({"speed": "uniform:low=3,high=1"}, "option 'low'"),
        ({"reorder_rate": 0.5}, "network.reorder_rate"),
        ({"cuts": ("1..2 7",)}, "names nodes 7"),
        ({"drop_rate": 1.0}, "use --quorum 0"),
        ({"drop_rate": 1.0, "quorum": 1}, "use --quorum 0"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_the_earlier_run(tmp_path, changes, said):
    with pytest.raises(BadInput, match=said):
        check_world(SMALL.replace(**changes))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text(SMALL.to_toml())
    with pytest.raises(BadInput, match=said):
        gossipnet.run(SMALL.replace(**changes), "sim", tmp_path / "run", overwrite=True)
    assert [file.name for file in tmp_path.rglob("*.*")] == ["config.toml"]


def test_a_link_that_loses_everything_is_refused_where_models_are_waited_for(tmp_path):
    file = tmp_path / "path.edges"
    file.write_text("0 1\n1 2 drop_rate=1\n2 3\n")
    with pytest.raises(BadInput, match=r"network\.drop_rate: got 1"):
        check_world(SMALL.replace(topology=str(file)))


@pytest.mark.parametrize("changes", [{"quorum": 0}, {"quorum": 2, "patience": 0.5}])
def test_who_does_not_wait_without_end_may_lose_everything(tmp_path, changes):
    result = gossipnet.run(SMALL.replace(drop_rate=1.0, rounds=2, **changes), "sim", tmp_path / "run")
    assert result.summary.rounds == 2
    taken = result.metrics.column("merged", "merged")
    assert taken[~np.isnan(taken)].tolist() == [0.0] * 8


@pytest.mark.parametrize(("move", "steps"), [("restart", 4 * 6), ("restart-empty", 4 * 6 + 4)])
def test_local_steps_that_a_crash_undid_were_done(tmp_path, move, steps):
    """Node 1 crashes after its second round of two steps; with first weights it does all three rounds again."""
    (tmp_path / "churn.csv").write_text(f"time_s,node,move\n0.045,1,crash\n0.2,1,{move}\n")
    times = {
        "rounds": 3,
        "local_steps": 2,
        "quorum": 0,
        "compute_s": 0.01,
        "churn": f"trace:path={tmp_path / 'churn.csv'}",
    }
    summary = gossipnet.run(SMALL.replace(**times), "sim", tmp_path / "run").summary
    assert (summary.node_updates, summary.left) == (steps, ())
