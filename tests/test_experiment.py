"""Running an experiment: what is checked before, the folder it leaves, and what is read back from it."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from gossipnet.config import options
from gossipnet.data import make_model, make_task
from gossipnet.errors import BadInput, RunFailed
from gossipnet.experiment import Experiment, Result, check, load, options_table, run
from gossipnet.merge import merge_rule, merge_rules
from gossipnet.report import Summary

SMALL = Experiment(nodes=2, rounds=2, local_steps=1, batch_size=8, merge="average", name="test")
SUMMARY = Summary(nodes=2, rounds=2, world="live", topology="ring", merge="average", mean_accuracy=0.5)


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """Replace the live world by one that only notes that it was asked, and when."""
    launch = pytest.importorskip("gossipnet.live.launch")
    asked = []

    def run_swarm(experiment, folder, view):
        asked.append((experiment, folder, sorted(p.name for p in folder.iterdir()), view))
        return SUMMARY

    monkeypatch.setattr(launch, "run_swarm", run_swarm)
    monkeypatch.chdir(tmp_path)
    return asked


def test_the_world_gets_a_folder_with_the_whole_config(ran, tmp_path):
    view = object()
    result = run(SMALL, out=tmp_path / "run", view=view)
    assert ran == [(SMALL, tmp_path / "run", ["config.toml"], view)]
    assert result == Result(tmp_path / "run", SUMMARY)
    assert Experiment.from_toml(tmp_path / "run" / "config.toml") == SMALL


def test_runs_go_to_folders_of_their_own(ran, tmp_path):
    folders = {run(SMALL).folder for _ in range(3)}
    assert len(folders) == 3
    assert {str(f.parent) for f in folders} == {"runs"}
    assert all(f.name.startswith("test-20") for f in folders)


def test_an_earlier_run_is_replaced_only_on_demand(ran, tmp_path):
    run(SMALL, out="one")
    (tmp_path / "one" / "summary.json").write_text("{}")
    with pytest.raises(BadInput, match="--overwrite"):
        run(SMALL, out="one")
    assert len(ran) == 1
    run(SMALL, out="one", overwrite=True)
    assert not (tmp_path / "one" / "summary.json").exists()


WRONG = {
    "world": (SMALL, "lvie", "did you mean 'live'"),
    "torus of 7": (SMALL.replace(nodes=7, topology="torus"), "live", "torus"),
    "too few for regular": (SMALL.replace(nodes=3, topology="regular:d=4"), "live", "regular"),
    "another n": (SMALL.replace(topology="ring:n=5"), "live", "5 nodes"),
    "missing graph": (SMALL.replace(topology="missing.edges"), "live", "no file"),
    "share above 1": (SMALL.replace(mixing="keep:own=2"), "live", "below 1"),
    "momentum": (SMALL.replace(optimizer="sgd:momentum=2"), "live", "momentum"),
    "alpha": (SMALL.replace(partition="dirichlet:alpha=-1"), "live", "alpha"),
    "no metal": (SMALL.replace(device="mps"), "live", "no Metal device"),
    "no cuda": (SMALL.replace(device="cuda"), "live", "without CUDA"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_run_is_refused_before_anything_is_there(ran, tmp_path, wrong):
    experiment, world, said = WRONG[wrong]
    if wrong == "no metal" and torch.backends.mps.is_available():
        pytest.skip("this machine has Metal")
    if wrong == "no cuda" and (torch.version.cuda or torch.version.hip):
        pytest.skip("this torch is built for GPUs")
    with pytest.raises(BadInput, match=said):
        run(experiment, world=world, out=tmp_path / "a" / "run")
    assert not ran
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [BadInput("no data"), RunFailed("node 1 failed"), KeyboardInterrupt()])
def test_only_bad_input_found_late_takes_the_folder_away(ran, monkeypatch, tmp_path, error):
    def run_swarm(experiment, folder, view):
        (folder / "metrics.jsonl").write_text("")
        raise error

    monkeypatch.setattr("gossipnet.live.launch.run_swarm", run_swarm)
    with pytest.raises(type(error)):
        run(SMALL, out="runs/x")
    assert (tmp_path / "runs").exists() is not isinstance(error, BadInput)


def test_what_needs_no_look_imports_no_torch():
    """The launcher of a swarm starts in a moment, as long as plain names are asked for."""
    code = (
        "import sys\nfrom gossipnet.experiment import Experiment, check\n"
        "check(Experiment(topology='regular:d=4', mixing='keep:own=0.5', task='mnist', merge='average'))\n"
        "assert not {'torch', 'zmq', 'click', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_check_passes_what_can_run():
    check(SMALL)
    check(Experiment())


@pytest.fixture
def registered():
    """A merge rule that only this process knows, registered in this file."""

    @merge_rule("only-here")
    def only_here():
        return lambda group: group.vectors[0]

    yield only_here
    del merge_rules._factories["only-here"]


def test_what_only_this_program_knows_is_refused_with_the_place_where_nodes_find_it(ran, registered, tmp_path):
    experiment = SMALL.replace(merge="only-here")
    with pytest.raises(BadInput, match=rf"merge.rule: 'only-here' is known .*: write '{__file__}:only-here'"):
        run(experiment, out=tmp_path / "run")
    registered.__module__ = "__main__"
    with pytest.raises(BadInput, match=r"move it to a file and write 'FILE.py:only-here'"):
        run(experiment, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    run(SMALL.replace(topology="regular:d=1", merge="sign-aligned:trim=0.1"), out=tmp_path / "run")
    assert len(ran) == 1


SCRIPT = """
import threading
import gossipnet
experiment = gossipnet.Experiment(nodes=2, rounds=2, local_steps=1, start="START")
result = gossipnet.run(experiment)
print(result.summary.digests == gossipnet.run(experiment, "sim").summary.digests)
print(sorted(result.models), result.metrics.column("finished", "accuracy").mean() == result.summary.mean_accuracy)
threading.Thread(target=lambda: print(gossipnet.run(experiment).summary.digests == result.summary.digests)).start()
"""


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_script_needs_no_guard_and_a_thread_may_run_a_swarm(tmp_path, start):
    """As from a notebook: there is no file that the nodes' processes could import."""
    code, quiet = SCRIPT.replace("START", start), {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-"], input=code, cwd=tmp_path, capture_output=True, text=True, env=quiet)
    assert done.stdout.splitlines() == ["True", "[0, 1] True", "True"], done.stderr
    assert done.stderr == ""


def finished(folder, experiment):
    """A run folder as a world leaves it, with the model of node 1."""
    folder.mkdir()
    (folder / "config.toml").write_text(experiment.to_toml())
    (folder / "metrics.jsonl").write_text(
        json.dumps({"time_s": 1.0, "node": 1, "event": "evaluated", "round": 2, "accuracy": 0.5}) + "\n"
    )
    model = make_model(experiment.model, make_task(experiment.task))
    (folder / "nodes" / "1").mkdir(parents=True)
    save_file(model.state_dict(), folder / "nodes" / "1" / "model.safetensors")
    return model


@pytest.mark.parametrize("text", ["", "logistic"])
def test_models_and_reports_are_read_back(tmp_path, text):
    model = finished(tmp_path / "run", SMALL.replace(model=text))
    result = Result(tmp_path / "run", SUMMARY)
    assert result.metrics.column("evaluated", "accuracy").tolist() == [0.5]
    for loaded in (result.model(1), load(str(tmp_path / "run"), 1)):
        assert type(loaded) is type(model)
        assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in model.state_dict().items())


def test_all_models_are_those_of_the_nodes_that_finished(tmp_path):
    model = finished(tmp_path / "run", SMALL)
    [(node, loaded)] = Result(tmp_path / "run", replace(SUMMARY, left=(0,))).models.items()
    assert node == 1
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in model.state_dict().items())
    with pytest.raises(BadInput, match="no model"):
        _ = Result(tmp_path / "run", SUMMARY).models


def test_a_result_reads_as_the_commands_table(tmp_path):
    text = str(Result(tmp_path / "run", SUMMARY))
    assert "mean accuracy  " in text
    assert "50.0%" in text
    assert text.endswith(f"\n{tmp_path}/run/report.html")


@pytest.mark.parametrize(("node", "said"), [(0, "no model"), (2, "expected 0 to 1"), (-1, "no node"), ("1", "no node")])
def test_a_model_that_is_not_there_is_refused(tmp_path, node, said):
    finished(tmp_path / "run", SMALL)
    with pytest.raises(BadInput, match=said):
        load(tmp_path / "run", node)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"no file .*config\.toml"):
        load(tmp_path, 0)


def test_the_table_has_a_row_for_every_option():
    head, rule, *rows = options_table().strip().split("\n")
    assert head.count("|") == rule.count("|") == 6
    assert len(rows) == len(options())
    for known, row in zip(options(), rows, strict=True):
        switch, key, default, meaning, values = (c.strip() for c in row.replace("\\|", "/").strip("|").split("|"))
        assert key == f"`{known.dotted}`"
        assert default == f"`{known.literal}`"
        assert meaning == known.help
        assert values == known.check.expected.replace("|", "/")
        assert (switch == f"`{known.switch}`") is known.flag
