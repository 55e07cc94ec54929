"""What docs/topologies.md says is so: its code and commands run, its tables are complete and their numbers true."""

import inspect
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from gossipnet.cli import cli
from gossipnet.topology import make_topology, mixings, topologies
from gossipnet.topology.describe import facts
from gossipnet.topology.files import catalogue

PAGE = (Path(__file__).parents[1] / "docs" / "topologies.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NUMBERS = re.findall(r"^\| `([^`]+)` \| [^|]+ \| ([\d.]+) \| ([\d.]+) \| (\d+) \|$", PAGE, re.MULTILINE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the files of the page, as the working directory; what the page registers is forgotten."""
    before = [(registry, dict(registry._factories)) for registry in (topologies, mixings)]
    monkeypatch.chdir(tmp_path)
    for _, name, text in BLOCKS:
        if name:
            (tmp_path / name).write_text(text, encoding="utf-8")
    yield tmp_path
    for registry, factories in before:
        registry._factories.clear()
        registry._factories.update(factories)


@pytest.mark.usefixtures("folder")
def test_the_code_of_the_page_runs():
    names = {}
    for kind, name, code in BLOCKS:
        if kind == "python" and not name:
            exec(compile(code, "docs/topologies.md", "exec"), names)
    assert names["sites"].devices == ("cuda:0", "cpu", None)
    assert make_topology("copy.graphml").rounds == names["sites"].rounds
    assert make_topology("sites.toml").link(0, 1) == {"latency_s": 0.02}
    assert make_topology("turns.toml").period == 2


def test_the_commands_of_the_page_run(folder):
    commands = [line for kind, _, text in BLOCKS if kind == "console" for line in text.splitlines()]
    assert len(commands) >= 5
    for command in commands:
        result = CliRunner().invoke(cli, shlex.split(command)[1:], prog_name="gossipnet")
        assert result.exit_code == 0, (command, result.output)
    assert (folder / "small-world.svg").read_text().startswith("<svg")


def test_the_tables_name_everything():
    first = re.findall(r"^\| `([^`:]+)", PAGE, re.MULTILINE)
    assert set(topologies.names()) <= set(first)
    assert set(mixings.names()) <= set(first)
    assert set(catalogue()) <= set(first)


@pytest.mark.parametrize(("text", "models", "gap", "rounds"), NUMBERS, ids=lambda s: str(s))
def test_the_numbers_of_the_names_are_true(text, models, gap, rounds):
    """Random graphs may be other ones with another networkx: their numbers are only near."""
    found = facts(make_topology(text, 16))
    drawn = "seed" in inspect.signature(topologies.factory(text.partition(":")[0])).parameters
    assert found["models_per_node_round"] == pytest.approx(float(models), abs=0.8 if drawn else 0.051)
    assert found["spectral_gap"] == pytest.approx(float(gap), rel=0.6 if drawn else 0, abs=6e-4)
    assert found["rounds_to_tenth"] == pytest.approx(int(rounds), rel=0.6 if drawn else 0)


def test_every_name_has_numbers():
    assert {text.partition(":")[0] for text, *_ in NUMBERS} == set(topologies.names())


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_the_numbers_of_the_catalogue_are_true(name):
    nodes, gap = re.search(rf"^\| `{name}` \| (\d+) \| ([\d.]+) \|$", PAGE, re.MULTILINE).groups()
    made = make_topology(name)
    assert made.n == int(nodes)
    assert made.spectral_gap == pytest.approx(float(gap), abs=6e-4)
