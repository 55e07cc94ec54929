"""What README and docs say is so: commands and code run in their order, links lead somewhere, tables are complete.

How a command is run here, and what is changed about it, is all in this file: `SMALLER` is appended to runs so that they
take seconds, and the fast tests simulate what the page says to spawn. The slow ones spawn it.
"""

import configparser
import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from click.testing import CliRunner
from pages import PAGES, ROOT, Step, headings, links, steps, text_of

from gossipnet.cli import cli
from gossipnet.report import Summary

# pages whose Python is run by a test of their own (and by none here), and that test
PYTHON_ELSEWHERE = {
    "docs/merge-rules.md": "tests/merge/test_own_rules.py",
    "docs/tasks.md": "tests/test_tasks_page.py",
    "docs/topologies.md": "tests/test_topologies_page.py",
}
COMMANDS_ELSEWHERE = {"docs/topologies.md": "tests/test_topologies_page.py"}
# what is not run, and why
NOT_RUN = {
    "tensorboard": "a web page; tests/report/test_tensorboard.py reads the files with TensorBoard's own code",
}
# every run of a page is held to at most this much: the same code for seconds instead of minutes
SMALLER = {"--rounds": 2, "--local-steps": 2, "--nodes": 16}

RUNNABLE = [page for page in PAGES if page not in COMMANDS_ELSEWHERE]


def with_commands(page: str) -> bool:
    return any(step.kind == "command" for step in steps(page))


def test_every_page_with_something_to_run_is_known_here_or_elsewhere() -> None:
    for page, test in {**PYTHON_ELSEWHERE, **COMMANDS_ELSEWHERE}.items():
        assert f'"{Path(page).name}"' in (ROOT / test).read_text(), f"{test} does not read {page}"
    assert sum(map(with_commands, PAGES)) >= 7
    assert {"README.md", "docs/swarm.md", "docs/python.md"} <= {p for p in PAGES if steps(p)}
    assert sum(len(steps(page)) for page in PAGES) > 60


# --- commands ------------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, as the working directory, with the data that pages take for granted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    monkeypatch.syspath_prepend(str(tmp_path))  # tasks.md names a module of the reader's
    (tmp_path / "my_package").mkdir()
    return tmp_path


def put(step: Step, desk: Path) -> None:
    """Write a page's file. One that comes in several pieces grows; tasks.md also imports it from a package."""
    with (desk / step.name).open("a", encoding="utf-8") as file:
        file.write(step.text)
    if step.name == "my_tasks.py":
        (desk / "my_package" / step.name).write_text((desk / step.name).read_text())


def smaller(words: list[str]) -> list[str]:
    """A run of `gossipnet` with what `SMALLER` says: values that are larger are replaced, the first two also added."""
    for switch, most in SMALLER.items():
        if switch in words:
            at = words.index(switch) + 1
            words = [*words[:at], str(min(int(words[at]), most)), *words[at + 1 :]]
        elif switch != "--nodes":
            words = [*words, switch, str(most)]
    return words


@pytest.mark.parametrize("page", [*filter(with_commands, RUNNABLE)])
def test_commands_run(page: str, desk: Path) -> None:
    """In this process, and simulated where the page spawns; nodes of a deployment only as far as they are started."""
    for step in steps(page):
        if step.kind == "file":
            put(step, desk)
        elif step.kind == "command":
            run(step, desk, page, spawn=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", [*filter(with_commands, RUNNABLE)])
def test_commands_run_as_they_are_written(page: str, desk: Path) -> None:
    for step in steps(page):
        if step.kind == "file":
            put(step, desk)
        elif step.kind == "command":
            run(step, desk, page, spawn=True)


def run(step: Step, desk: Path, page: str, spawn: bool) -> None:
    where = f"{page}:{step.line}: {step.text}"
    words = shlex.split(step.text, comments=True)
    match words[0]:
        case "gossipnet":
            (spawned if spawn else simulated)(words[1:], desk, where)
        case "make":
            check_target(words[1], where)
        case "pip":
            check_install(words, where)
        case "python":
            check_program(words[1], where)
        case program if program in NOT_RUN:
            assert NOT_RUN[program]
        case _:
            check_completion(step.text, desk, where)


def simulated(words: list[str], desk: Path, where: str) -> None:
    if words[0] == "node":
        with mock.patch("gossipnet.live.deploy.run_node_command", return_value=0) as started:
            result = CliRunner().invoke(cli, words, prog_name="gossipnet")
        assert started.call_count == 1, where
    else:
        spawns = words[0] == "swarm"
        words = smaller(["sim", *words[1:]]) if words[0] in ("swarm", "sim") else words
        result = CliRunner().invoke(cli, words, prog_name="gossipnet")
        if spawns and "--out" in words:
            look_live(desk / words[words.index("--out") + 1] / "summary.json")
    assert result.exit_code == 0, f"{where}\n{result.output}{result.exception!r}"
    assert result.stdout or words[0] == "node", where


def look_live(summary: Path) -> None:
    """What follows on the page may take only runs that were spawned."""
    if summary.is_file():
        summary.write_text(json.dumps({**json.loads(summary.read_text()), "world": "live"}))


def spawned(words: list[str], desk: Path, where: str) -> None:
    words = smaller(words) if words[0] in ("swarm", "sim") else words
    others = []
    if words[0] == "node":
        words = [*words, "--set", "training.rounds=2"]
        others = [started(other) for other in neighbors(words)]
    done = subprocess.run(["gossipnet", *words], capture_output=True, text=True, timeout=120)
    for other in others:
        other.wait(timeout=60)
    assert done.returncode == 0, f"{where}\n{done.stderr}"
    assert done.stdout, where


def started(words: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(["gossipnet", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def neighbors(words: list[str]) -> list[list[str]]:
    """The commands that a reader would type on the other machines."""
    from gossipnet import Experiment

    at = words.index("--id") + 1
    nodes = Experiment.from_toml(words[1]).nodes
    return [
        [*words[:at], str(i), *words[at + 1 :], "--out", f"runs/other-{i}"] for i in range(nodes) if str(i) != words[at]
    ]


def check_target(target: str, where: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY:(.*)$", makefile, re.MULTILINE)
    assert phony
    assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{where}: the Makefile has no {target}"
    assert target in phony[1].split(), where


def check_install(words: list[str], where: str) -> None:
    assert words[:2] == ["pip", "install"], where
    extras = re.findall(r"\[([\w,]+)\]", words[2])
    assert all(extra in known_extras() for named in extras for extra in named.split(",")), where


def known_extras() -> set[str]:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return set(parser["options.extras_require"])


def check_program(path: str, where: str) -> None:
    """Programs of bench/ take minutes; a test of each runs it small."""
    assert (ROOT / path).is_file(), where
    assert any(Path(path).stem in test.read_text() for test in (ROOT / "tests").rglob("test_*.py")), where


def check_completion(line: str, desk: Path, where: str) -> None:
    """In bash the line is run and must make completions known; of other shells the script is looked at."""
    shell = re.search(r"_GOSSIPNET_COMPLETE=(\w+)_source", line)
    assert shell, where
    if shell[1] == "bash":
        known = subprocess.run(["bash", "-c", f"{line}\ncomplete -p gossipnet"], capture_output=True, text=True)
        assert "gossipnet" in known.stdout, f"{where}\n{known.stderr}"
    script = subprocess.run(
        ["gossipnet"], env=os.environ | {"_GOSSIPNET_COMPLETE": f"{shell[1]}_source"}, capture_output=True, text=True
    )
    assert "_GOSSIPNET_COMPLETE" in script.stdout, where


# --- Python --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [p for p in PAGES if p not in PYTHON_ELSEWHERE])
def test_python_runs(page: str, desk: Path) -> None:
    """As one program, in a process of its own; reading-the-report.md takes a finished run for granted."""
    code = [f"# line {s.line}\n{s.text}" for s in steps(page) if s.kind == "python"]
    if not code:
        pytest.skip("the page has no Python")
    for step in steps(page):
        if step.kind == "file":
            put(step, desk)
    if "runs/mine" in "".join(code):
        words = smaller(["sim", "--nodes", "2", "--out", "runs/mine"])
        assert CliRunner().invoke(cli, words, prog_name="gossipnet").exit_code == 0
    done = subprocess.run([sys.executable, "-"], input="\n".join(code), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


# --- links ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in links(page):
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in headings(str(target.resolve().relative_to(ROOT))), f"{page}: {link}"


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    """`gossipnet/node.py` in the text of a page is a file of the repository, and `live/zeromq.py` one of gossipnet/."""
    folders = {p.name for p in (ROOT / "gossipnet").iterdir() if p.is_dir()}
    for name in re.findall(r"`([\w./-]+/[\w./-]*)`", text_of(page)):
        first = name.partition("/")[0]
        if first in ("gossipnet", "tests", "bench", "docs", "topologies"):
            assert (ROOT / name).exists(), f"{page}: {name}"
        elif first in folders:
            assert (ROOT / "gossipnet" / name).exists(), f"{page}: {name}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    found, todo = set(), ["README.md"]
    while todo:
        page = todo.pop()
        if page in found or not page.endswith(".md"):
            continue
        found.add(page)
        paths = (link.partition("#")[0] for link in links(page) if "://" not in link)
        todo += [str(((ROOT / page).parent / path).resolve().relative_to(ROOT)) for path in paths if path]
    assert {p for p in PAGES if p.startswith("docs/")} <= found


def test_the_extras_that_messages_name_exist() -> None:
    named = {
        e for file in (ROOT / "gossipnet").rglob("*.py") for e in re.findall(r"gossipnet\[(\w+)\]", file.read_text())
    }
    assert named
    assert named <= known_extras()


# --- tables --------------------------------------------------------------------------------------------------------


def first_column(page: str, title: str) -> list[str]:
    """The names in backticks of the first column of the table below a heading."""
    section = text_of(page).split(f"# {title}\n")[1].split("\n## ")[0].split("\n### ")[0]
    cells = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_the_table_of_summary_keys_is_complete() -> None:
    assert first_column("docs/swarm.md", "summary.json") == [f.name for f in dataclasses.fields(Summary)]


def test_the_table_of_events_is_that_of_the_code() -> None:
    named = set(first_column("docs/swarm.md", "metrics.jsonl"))
    source = "".join(p.read_text() for p in (ROOT / "gossipnet").rglob("*.py"))
    reported = set(re.findall(r"_report\(\s*\"(\w+)\"", source))
    assert reported
    assert reported | {"consensus"} == named


def test_the_files_and_numbers_of_a_run_are_those_of_the_page(desk: Path) -> None:
    words = smaller(["sim", "--nodes", "3", "--out", "run", "--set", "report.tensorboard=true", "--rounds", "2"])
    assert CliRunner().invoke(cli, words, prog_name="gossipnet").exit_code == 0
    stated = {name.replace("<id>", "0") for name in first_column("docs/swarm.md", "The run folder")}
    live_only = {"nodes/0/log.txt", "nodes/0/pid"}
    assert all((desk / "run" / name).exists() for name in stated - live_only)
    made = {str(p.relative_to(desk / "run")) for p in (desk / "run").rglob("*") if p.is_file()}
    assert {m for m in made if not re.match(r"tensorboard/|nodes/[12]/", m)} <= stated
    events = text_of("docs/swarm.md").split("### metrics.jsonl")[1].split("\n### ")[0]
    for line in (desk / "run" / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        told = re.search(rf"^\|.*`{record['event']}`.*$", events, re.MULTILINE)
        assert told
        for name in record.keys() - {"time_s", "node", "event", "round", "accuracy"}:
            assert f"`{name}`" in told[0] or record["event"] == "finished", (record["event"], name)
