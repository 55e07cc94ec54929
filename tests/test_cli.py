"""The commands: what they pass on, what they print where, and how they exit."""

import importlib
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from gossipnet.cli import cli
from gossipnet.config import Experiment, options
from gossipnet.errors import RunFailed, RunInterrupted
from gossipnet.report import Summary

SUMMARY = Summary(nodes=2, rounds=3, world="live", topology="ring", merge="average", mean_accuracy=0.875, left=())
COMMANDS = [[], ["swarm"], ["sim"], ["bench"], ["node"], ["list"], ["report"], ["topology"], ["topology", "show"],
            ["topology", "make"], ["topology", "advise"], ["init"], ["doctor"]]  # fmt: skip


def gossipnet(*args):
    return CliRunner().invoke(cli, [str(a) for a in args], prog_name="gossipnet")


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Run commands in an empty folder, with both worlds replaced by ones that note what they were asked to run."""
    runs = []
    for module, name in (("gossipnet.live.launch", "run_swarm"), ("gossipnet.sim.run", "run_sim")):
        pytest.importorskip(module)

        def world(experiment, folder, view, name=name):
            runs.append((name, experiment, folder))
            view.report(1.0, 0, "merged", experiment.rounds, {"loss": 0.5})
            (folder / "summary.json").write_text(SUMMARY.to_json())
            return SUMMARY

        monkeypatch.setattr(f"{module}.{name}", world)
    monkeypatch.chdir(tmp_path)
    return runs


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_explains_every_option_and_shows_examples(command):
    result = gossipnet(*command, "--help")
    assert result.exit_code == 0
    if command not in ([], ["topology"], ["doctor"]):
        assert "Examples:" in result.stdout
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert gossipnet(*command, "-h").stdout == result.stdout


@pytest.mark.parametrize("command", [[], ["topology"]], ids=" ".join)
def test_a_command_of_commands_alone_shows_its_help(command):
    result = gossipnet(*command)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == gossipnet(*command, "--help").stdout


def test_lists_are_wrapped_to_the_terminal_and_whole_elsewhere(monkeypatch):
    whole = gossipnet("list", "merges").stdout
    monkeypatch.setattr("gossipnet.cli.look._screen", lambda: 90)
    wrapped = gossipnet("list", "merges").stdout
    assert max(map(len, whole.splitlines())) > 100
    assert max(map(len, wrapped.splitlines())) <= 90
    assert whole.split() == wrapped.split()


def test_help_shows_the_options_under_their_headings_with_defaults():
    text = gossipnet("swarm", "--help").stdout
    for known in options():
        if known.flag:
            assert re.search(rf"^  {known.switch} ", text, re.M)
    joined = " ".join(text.split())
    assert "[default: variance-corrected]" in joined
    assert "[default: the task's own]" in joined
    for heading in ("Swarm:", "Topology:", "Task:", "Training:", "Merge:", "Exchange:", "Options:"):
        assert f"\n{heading}\n" in text
    assert "--train" not in text
    assert "--train" in gossipnet("sim", "--help").stdout


def test_help_and_version_do_not_wait_for_torch():
    code = "from gossipnet.cli import main; import sys; sys.argv = ['gossipnet', '--help']\n"
    code += "try: main()\nfinally: print(sorted({'torch', 'numpy', 'zmq', 'networkx'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert gossipnet("--version").stdout.startswith("gossipnet ")


@pytest.mark.parametrize("how", [["-m", "gossipnet"], ["-c", "from gossipnet.cli import main; main()"]])
def test_both_ways_to_start_it_are_quick(how):
    times = []
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, *how, "list", "nothing"], capture_output=True, text=True)
        times.append(time.perf_counter() - began)
        assert done.returncode == 2
        assert done.stderr.startswith("error: no list 'nothing'")
    assert min(times) < 1.0  # 0.2 s on an idle machine; torch alone takes more than 1


def test_swarm_runs_the_defaults(asked):
    result = gossipnet("swarm")
    assert result.exit_code == 0, result.output
    [(world, experiment, folder)] = asked
    assert (world, experiment) == ("run_swarm", Experiment())
    *table, page = result.stdout.splitlines()
    assert page == f"{folder}/report.html"
    assert any("87.5" in line or "0.875" in line for line in table)
    assert "round" in result.stderr


def test_every_option_reaches_its_field(asked):
    values = {"name": "n", "nodes": 9, "seed": 5, "device": "cpu", "on_failure": "continue", "topology": "complete",
              "mixing": "uniform", "task": "mnist", "model": "mlp", "partition": "dirichlet:alpha=0.1", "init": "own",
              "rounds": 7, "local_steps": 3, "batch_size": 16, "lr": 0.5, "optimizer": "adamw", "train": "loop",
              "merge": "average", "quorum": 1, "codec": "float16"}  # fmt: skip
    flags = [known for known in options() if known.flag or known.name == "train"]
    assert {known.name for known in flags} == set(values)
    result = gossipnet("sim", *(text for known in flags for text in (known.switch, values[known.name])))
    assert result.exit_code == 0, result.output
    assert asked[0][:2] == ("run_sim", Experiment(**values))


def test_options_win_over_the_file_and_set_reaches_the_rest(asked, tmp_path):
    (tmp_path / "e.toml").write_text("[swarm]\nnodes = 5\n[training]\nrounds = 6\n[exchange]\ndepth = 3\n")
    result = gossipnet("swarm", "e.toml", "--rounds", 7, "--set", "exchange.port=22000", "--set", "exchange.quorum=0")
    assert result.exit_code == 0, result.output
    assert asked[0][1] == Experiment(nodes=5, rounds=7, depth=3, port=22000, quorum=0)


def test_an_option_may_make_sense_of_a_file(asked, tmp_path):
    (tmp_path / "e.toml").write_text("[exchange]\naddresses = ['tcp://a:1', 'tcp://b:1']\n")
    assert gossipnet("swarm", "e.toml").exit_code == 2
    assert gossipnet("swarm", "e.toml", "--nodes", 2).exit_code == 0


def test_sim_like_a_run_takes_its_experiment_and_its_times(asked, tmp_path):
    times = {"step_s": (0.25, 0.5), "latency_s": 0.125, "merge_s": 0.0, "evaluate_s": 0.0, "start_s": ()}
    run = write_live_run(tmp_path / "live", Experiment(nodes=2, rounds=2, quorum=0), **times)
    result = gossipnet("sim", "--like", run, "--seed", 5, "--set", "network.notice_s=2")
    assert result.exit_code == 0
    assert re.search(r"as in .*: a local step 250 to 500 ms", result.stderr)
    world, experiment, folder = asked[0]
    expected = Experiment(nodes=2, rounds=2, quorum=0, seed=5, notice_s=2.0, compute_s=0.375, jitter_s=0.0, **times)
    assert (world, experiment) == ("run_sim", expected)
    assert Experiment.from_toml(folder / "config.toml") == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--like", "nowhere"], "no run in 'nowhere': expected the folder that `gossipnet swarm` has written"),
        (["--like", "live", "e.toml"], "got both 'e.toml' and --like live"),
        (["--like", "live", "--nodes", "3"], "nodes: got 3, but the run in 'live' has times of 2 nodes"),
        (["--like", "live", "--set", "network.step_s=1"], "network.step_s: got 1 times for 2 nodes"),
        (["--like", "live", "--seed", "1", "--set", "swarm.seed=2"], "swarm.seed is given twice"),
    ],
)
def test_what_a_run_cannot_be_like_is_refused_in_a_line(asked, tmp_path, words, said):
    write_live_run(tmp_path / "live", Experiment(nodes=2, rounds=2), step_s=(0.1, 0.1), latency_s=0.001)
    Path("e.toml").write_text("")
    result = gossipnet("sim", *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) <= 2
    assert not asked


def write_live_run(folder, experiment, step_s, latency_s, **_):
    """What a swarm of two nodes leaves, whose steps and messages took so long."""
    folder.mkdir()
    (folder / "config.toml").write_text(experiment.to_toml())
    (folder / "summary.json").write_text(replace(SUMMARY, nodes=2).to_json())
    sent_s = [{node: 20 * step_s[node] * round for node in (0, 1)} for round in (1, 2)]
    lines = [{"time_s": 0.0, "node": node, "event": "started", "round": 1} for node in (0, 1)]
    for round, node in ((round, node) for round in (1, 2) for node in (0, 1)):
        at, other = sent_s[round - 1][node], 1 - node
        took = {"train_s": 20 * step_s[node], "wait_s": 0.0, "merge_s": 0.0, "merged": 1}
        held = {"held_s": {other: at - sent_s[round - 1][other] - latency_s}, "lag": {other: 0}}
        lines.append({"time_s": at, "node": node, "event": "merged", "round": round, **took, **held})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_json_prints_the_summary_and_nothing_else(asked):
    result = gossipnet("swarm", "--json", "--out", "run")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads(Path("run/summary.json").read_text())
    assert list(json.loads(result.stdout)) == list(json.loads(SUMMARY.to_json()))


def test_out_is_used_once_unless_it_may_be_replaced(asked):
    assert gossipnet("swarm", "--out", "run").exit_code == 0
    again = gossipnet("swarm", "--out", "run")
    assert (again.exit_code, again.stdout) == (2, "")
    assert "--overwrite" in again.stderr
    assert gossipnet("swarm", "--out", "run", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RunFailed("node 1 failed: ValueError: no", replace(SUMMARY, left=(1,))), 1, "failed: node 1 failed"),
        (RunInterrupted(SUMMARY), 130, "interrupted"),
    ],
    ids=["failed", "interrupted"],
)
def test_a_run_that_ends_early_still_tells_what_it_came_to(asked, monkeypatch, error, status, said):
    def stop(*_):
        raise error

    monkeypatch.setattr("gossipnet.live.launch.run_swarm", stop)
    result = gossipnet("swarm", "--json")
    assert result.exit_code == status
    assert json.loads(result.stdout) == json.loads(error.summary.to_json())
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_an_interrupt_before_there_is_anything_exits_with_130(asked, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("gossipnet.live.launch.run_swarm", stop)
    result = gossipnet("swarm")
    assert (result.exit_code, result.stdout) == (130, "")


def test_a_bug_keeps_its_traceback(asked, monkeypatch):
    def bug(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("gossipnet.live.launch.run_swarm", bug)
    result = gossipnet("swarm")
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


def test_node_hands_over_to_the_live_world(monkeypatch, tmp_path):
    live = importlib.import_module("gossipnet.live.deploy")
    seen = []
    monkeypatch.setattr(live, "run_node_command", lambda *args: seen.append(args) or 3)
    (tmp_path / "e.toml").write_text("[swarm]\nnodes = 2\n[exchange]\naddresses = ['tcp://a:1', 'tcp://b:1']\n")
    result = gossipnet("node", tmp_path / "e.toml", "--id", 1, "--insecure", "--set", "training.rounds=3")
    assert result.exit_code == 3, result.output
    addresses = ("tcp://a:1", "tcp://b:1")
    assert seen == [(Experiment(nodes=2, addresses=addresses, rounds=3), 1, None, True)]


def test_list_shows_forms_and_descriptions():
    one = gossipnet("list", "topologies")
    assert re.search(r"^  regular:d=4 +\w", one.stdout, re.M)
    every = gossipnet("list").stdout
    for heading in ("merges:", "topologies:", "codecs:", "optimizers:"):
        assert heading in every
    assert one.stdout in every


def test_list_options_is_the_committed_page():
    page = Path(__file__).parents[1] / "docs" / "options.md"
    assert gossipnet("list", "options").stdout == page.read_text(encoding="utf-8")


def test_init_writes_a_file_that_runs(asked):
    result = gossipnet("init", "mine.toml")
    assert (result.exit_code, result.stdout) == (0, "mine.toml\n")
    assert gossipnet("swarm", "mine.toml").exit_code == 0
    assert asked[0][1] == Experiment()
    assert gossipnet("init", "mine.toml").exit_code == 2
    assert gossipnet("init", "mine.toml", "--overwrite").exit_code == 0
    assert gossipnet("init", "-").stdout == Path("mine.toml").read_text()


def test_topology_show_describes_and_draws(tmp_path):
    result = gossipnet("topology", "show", "ring:n=8", "--draw", tmp_path / "ring.svg")
    assert result.exit_code == 0, result.output
    assert "spectral gap" in result.stdout
    assert "<svg" in (tmp_path / "ring.svg").read_text()


def test_topology_make_writes_what_swarm_takes(asked, tmp_path):
    file = tmp_path / "torus.edges"
    result = gossipnet("topology", "make", "torus:n=16", file)
    assert (result.exit_code, result.stdout) == (0, f"{file}\n")
    assert gossipnet("swarm", "--nodes", 16, "--topology", file).exit_code == 0
    assert gossipnet("topology", "make", "ring:n=16", file).exit_code == 2


def test_report_writes_a_page_and_prints_where(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(SUMMARY.to_json())
    result = gossipnet("report", tmp_path / "one")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/one/report.html\n")
    page = tmp_path / "both.html"
    table = gossipnet("report", tmp_path / "one", tmp_path / "two", "-o", page).stdout.splitlines()
    assert table[-1] == str(page)
    assert [line.split()[0] for line in table[:-1] if not line.startswith("-")] == ["run", "one", "two"]
    assert "<html" in page.read_text()


def test_report_writes_the_reports_of_runs_as_a_table(tmp_path):
    for name, accuracy in (("one", 0.5), ("two", 0.75)):
        (tmp_path / name).mkdir()
        line = {"time_s": 1.0, "node": 0, "event": "evaluated", "round": 1, "accuracy": accuracy}
        (tmp_path / name / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    one, both = tmp_path / "one.csv", tmp_path / "both.csv"
    result = gossipnet("report", tmp_path / "one", "--csv", one)
    assert result.stdout.splitlines() == [f"{tmp_path}/one/report.html", str(one)]
    assert one.read_text().splitlines() == ["time_s,node,event,round,accuracy", "1,0,evaluated,1,0.5"]
    gossipnet("report", tmp_path / "one", tmp_path / "two", "-o", tmp_path / "both.html", "--csv", both)
    assert both.read_text().splitlines() == [
        "run,time_s,node,event,round,accuracy",
        "one,1,0,evaluated,1,0.5",
        "two,1,0,evaluated,1,0.75",
    ]


def test_doctor_prints_a_line_for_each_thing_and_a_fix_for_each_warning():
    result = gossipnet("doctor")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert all(re.match(r"(ok|warn)  +\w|  +fix: ", line) for line in lines)
    assert sum(line.startswith("warn") for line in lines) == sum("fix: " in line for line in lines)


def test_completion_knows_commands_choices_and_registries():
    def complete(words, n):
        env = {**os.environ, "_GOSSIPNET_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(n)}
        code = "from gossipnet.cli import main; main()"
        return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True).stdout

    assert "swarm" in complete("gossipnet sw", 1)
    assert "plain,same" in complete("gossipnet swarm --init s", 3)
    assert "plain,ring" in complete("gossipnet swarm --topology ri", 3)
    assert "plain,karate-club" in complete("gossipnet swarm --topology ka", 3)
