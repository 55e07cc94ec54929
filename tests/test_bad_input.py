"""Wrong input to every command: status 2, a few lines, the nearest name, no traceback, and nothing left behind."""

import importlib.util
import socket

import pytest
from click.testing import CliRunner

from gossipnet.cli import cli
from gossipnet.errors import BadInput

TASKS = """
import numpy as np
from torch import nn
from torch.nn.functional import cross_entropy


def raises():
    # it has no data
    return 1 / 0


def three():
    return 3


def points(n: int = 40, inputs: int = 2, outputs: int = 2, module=None, loss=cross_entropy, metrics=()):
    data = np.zeros((n, 2), np.float32), np.arange(n) % 2
    return module or (lambda: nn.Linear(inputs, outputs)), loss, data, data, dict(metrics)


def no_module():
    return points(module=lambda: 3)


def whole_loss():
    return points(loss=lambda outputs, targets: outputs)


def bad_metric():
    return points(metrics={"accuracy": lambda outputs, targets: outputs.accuracy})


def no_model(inputs, outputs):
    return 3
"""

# arguments -> what the refusal must say
WRONG = {
    # commands and their options
    "swram": "did you mean 'swarm'",
    "swarm --nodse 4": "did you mean '--nodes'",
    "swarm --port 22000": "did you mean '--set exchange.port=...'",
    "swarm --momentum 0.9": "did you mean '--optimizer'",
    "swarm --nodes": "--nodes",
    "swarm a.toml b.toml": "unexpected extra argument",
    "swarm --json=yes": "--json",
    "--verbose": "--verbose",
    "list mrges": "did you mean 'merges'",
    "topology shwo ring": "did you mean 'show'",
    "topology show": "TOPOLOGY",
    "report": "RUN",
    "node": "FILE",
    "doctor now": "unexpected extra argument",
    "topology advise": "--nodes",
    "topology advise --nodes 1": "--nodes: got 1, expected at least 2",
    "topology advise --nodes 8 --target 80": "--target: got 80, expected an accuracy between 0 and 1",
    "topology advise --nodes 7 --topology torus": "a torus has rows x columns nodes",
    "topology advise --nodes 7 --topology rign": "did you mean 'ring'",
    "topology advise --nodes 8 --merge avrage": "did you mean 'average'",
    "topology advise --nodes 8 --set training.lr=1 --lr 2": "training.lr is given twice",
    "topology advise --nodes 8 --set network.latency=1": "did you mean 'network.latency_s'",
    "topology advise --nodes 8 --set network": "expected SECTION.KEY=VALUE",
    "bench": "no FILE: expected the file of a grid, or a suite: convergence",
    "bench quik": "no suite 'quik'; did you mean 'quick'",
    "bench none.toml": "no file 'none.toml': expected the file of a grid",
    "bench quick --resume": "--resume needs --out",
    "bench quick --resume --out x": "no grid in 'x' to go on with",
    "bench quick --resume --overwrite --out x": "leave one of them out",
    "bench quick --jobs 0": "--jobs",
    "bench quick --world lives": "--world",
    "bench quick --seeds 3": "no option '--seeds'",
    # values
    "swarm --nodes 0": "--nodes: got 0, expected a whole number from 1",
    "swarm --nodes 8.0": "--nodes: got '8.0'",
    "swarm --nodes eight": "--nodes: got 'eight'",
    "swarm --nodes 99999999999999999999": "--nodes: got 99999999999999999999",
    "swarm --rounds -1": "--rounds: got -1",
    "swarm --local-steps 0": "--local-steps: got 0",
    "swarm --batch-size 0": "--batch-size: got 0",
    "swarm --lr nan": "--lr: got nan",
    "swarm --lr inf": "--lr: got inf",
    "swarm --lr 0": "--lr: got 0",
    "swarm --lr -0.1": "--lr: got -0.1",
    "swarm --seed -1": "--seed: got -1",
    "swarm --quorum some": "--quorum: got 'some', expected 'all' or",
    "swarm --init smae": "did you mean 'same'",
    "swarm --on-failure continu": "did you mean 'continue'",
    "swarm --device gpu": "--device: got 'gpu', expected auto, cpu",
    "swarm --name a/b": "--name: got 'a/b'",
    "sim --train stackd": "did you mean 'stacked'",
    # names in registries
    "swarm --merge avrage": "did you mean 'average'",
    "swarm --merge average:trim=2": "trim",
    "swarm --merge sign-aligned:trim=lots": "got 'lots', expected float",
    "swarm --merge sign-aligned:trim=nan": "got 'nan'",
    "swarm --merge missing.py:mine": "missing.py': expected a Python file",
    "swarm --merge broken.py:mine": "broken.py:2: ZeroDivisionError",
    "swarm --merge empty.py:mine": "no merge rule 'mine'",
    "swarm --topology rign": "did you mean 'ring'",
    "swarm --topology regular:degree=4": "degree",
    "swarm --nodes 7 --topology torus": "torus",
    "swarm --nodes 3 --topology regular:d=4": "regular",
    "swarm --topology ring:n=9": "9 nodes, but 8 were asked for",
    "swarm --topology missing.edges": "no file",
    "swarm --nodes 4 --topology islands.edges": "not connected",
    "swarm --topology erdos-renyi:p=0": "connected",
    "swarm --nodes 4 --topology binary.edges": "binary.edges",
    "swarm --mixing keep:own=2": "below 1",
    "swarm --mixing metropols": "did you mean 'metropolis'",
    "swarm --task digts": "did you mean 'digits'",
    "swarm --model lenet": "did you mean 'lenet5'",
    "swarm --partition dirichlet:alpha=-1": "alpha",
    "swarm --partition idd": "did you mean 'iid'",
    "swarm --codec float8": "did you mean 'float",
    "swarm --optimizer sdg": "did you mean 'sgd'",
    # --set
    "swarm --set exchange.prot=1": "did you mean 'exchange.port'",
    "swarm --set port=1": "did you mean 'exchange.port'",
    "swarm --set exchange.port": "expected SECTION.KEY=VALUE",
    "swarm --set exchange.port=99999": "exchange.port: got 99999",
    "swarm --set exchange.transport=tcp --set exchange.port=65530": "expected a port <= 65528",
    "swarm --nodes 4 --set swarm.nodes=5": "swarm.nodes is given twice",
    # files
    "swarm missing.toml": "no file 'missing.toml'",
    "swarm .": "is a folder",
    "swarm binary.toml": "is not UTF-8 text",
    "swarm broken.toml": "not valid TOML",
    "swarm wrong.toml": "wrong.toml:3: no option 'swarm.nods'; did you mean 'swarm.nodes'",
    "swarm section.toml": "section.toml:1: no section 'swrm'; did you mean 'swarm'",
    "swarm types.toml": "types.toml:2: swarm.nodes: got '8'",
    "node good.toml --id 8": "--id: got 8, expected 0 to 7",
    "node good.toml --id -1": "--id: got -1",
    "node good.toml --id x": "--id",
    "node missing.toml --id 0": "no file 'missing.toml'",
    # folders and other places
    "swarm --out precious": "--overwrite",
    "swarm --out precious --overwrite": "does not look like a run",
    "swarm --out good.toml --overwrite": "is no folder of a run",
    "swarm --out good.toml/run": "cannot be made",
    "report missing": "no run folder 'missing'",
    "report precious": "holds no data",
    "report precious --csv missing/table.csv": "holds no data",
    "report run --csv missing/table.csv": "'missing/table.csv' cannot be written",
    "init good.toml": "exists",
    "init missing/good.toml": "cannot be written",
    "topology show rign:n=8": "did you mean 'ring'",
    "topology show ring": "needs n",
    "topology show ring:n=8 --draw ring.bmp": "ring.bmp",
    "topology show ring:n=8 --draw missing/ring.svg": "ring.svg",
    "topology show ring:n=8 --seed -1": "--seed: got -1",
    "topology make ring:n=8 ring.doc": "ring.doc",
    "topology make ring:n=8 missing/ring.edges": "ring.edges",
    "topology make ring:n=8 good.toml": "exists",
}
# what only the world itself finds out, when it loads data and models or opens ports
LATE = {
    "sim --task tasks.py:raises": "tasks.py:9: ZeroDivisionError",
    "sim --task tasks.py:three": "tasks.py:12: got a int, expected a Task or (module, loss, train, test, metrics)",
    "sim --task tasks.py:points:n=7": "7 samples cannot be split over 8 nodes: use at most 7 nodes",
    "sim --task tasks.py:points:inputs=3": "the model, given inputs (2, 2) float32, raised RuntimeError",
    "sim --task tasks.py:points:outputs=1": "raised IndexError",
    "sim --task tasks.py:no_module": "the model of task",
    "sim --task tasks.py:whole_loss": "expected one number, the mean over the batch",
    "sim --task tasks.py:bad_metric": "has no attribute 'accuracy' (",
    "sim --task tasks.py:points --model tasks.py:no_model": "expected a torch.nn.Module",
    "sim --task tasks.py:points --model resnet18": "takes images",
    "sim --task table:path=table.csv,target=c": "called 'c'; known: a, b",
    "sim --task table:path=missing.csv,target=c": "no file 'missing.csv'",
    "sim --task text:path=binary.toml": "UTF-8",
    "sim --task tasks.py:points --partition shards:per_node=30": "shards",
    "sim --task mnist": "no file 'train-images-idx3-ubyte.gz' in",
    "swarm --set exchange.transport=tcp --set exchange.host=127.0.0.1 --set exchange.port=PORT": "set exchange.port",
}
FILES = {
    "good.toml": b"[swarm]\nnodes = 8\n",
    "binary.toml": b"\x89PNG\r\n\x1a\n\xff\x00",
    "broken.toml": b"[swarm\nnodes = 8\n",
    "wrong.toml": b"# an experiment\n[swarm]\nnods = 8\n",
    "section.toml": b"[swrm]\nnodes = 8\n",
    "types.toml": b"[swarm]\nnodes = '8'\n",
    "broken.py": b"# a rule\n1 / 0\n",
    "empty.py": b"",
    "islands.edges": b"0 1\n2 3\n",
    "binary.edges": b"\x89PNG\r\n\x1a\n\xff\x00",
    "precious/thesis.tex": b"...",
    "table.csv": b"a,b\n1,2\n3,4\n5,6\n",
    "tasks.py": TASKS.encode(),
    "run/metrics.jsonl": b'{"time_s": 1, "node": 0, "event": "started", "round": 1}\n',
}


@pytest.fixture
def folder(files, monkeypatch):
    """A folder with the files above, in which no world can start."""

    def started(*_):
        raise AssertionError("a run was started")

    for world in ("gossipnet.live.launch.run_swarm", "gossipnet.sim.run.run_sim"):
        pytest.importorskip(world.rpartition(".")[0])
        monkeypatch.setattr(world, started)
    return files


@pytest.fixture
def files(monkeypatch, tmp_path):
    """A folder with the files above, as the working directory."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder):
    return {str(p): p.read_bytes() if p.is_file() else None for p in folder.rglob("*") if "__pycache__" not in str(p)}


def check_refusal(result, said):
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert 1 <= len(lines) <= 6
    assert max(map(len, lines)) < 600
    assert lines[0].startswith("error: ")
    assert "Traceback" not in result.stderr
    assert said in result.stderr


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_input_is_refused_in_a_few_lines(folder, arguments):
    before = contents(folder)
    check_refusal(CliRunner().invoke(cli, arguments.split(), prog_name="gossipnet"), WRONG[arguments])
    assert contents(folder) == before


@pytest.mark.parametrize("arguments", [a for a in WRONG if a.startswith("swarm")][::5])
def test_the_simulator_refuses_the_same(folder, arguments):
    before = contents(folder)
    said = WRONG[arguments].replace("--set exchange.port=...", "exchange.port")
    check_refusal(CliRunner().invoke(cli, ["sim", *arguments.split()[1:]], prog_name="gossipnet"), said)
    assert contents(folder) == before


@pytest.mark.parametrize("arguments", LATE)
def test_wrong_data_models_and_ports_are_refused_in_a_few_lines(files, monkeypatch, arguments):
    monkeypatch.setenv("GOSSIPNET_DATA", str(files))
    monkeypatch.setenv("XDG_CACHE_HOME", str(files / "cache"))
    monkeypatch.setattr("importlib.import_module", offline(importlib.import_module))
    before = contents(files)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = arguments.replace("PORT", str(taken.getsockname()[1])).split()
        check_refusal(CliRunner().invoke(cli, words, prog_name="gossipnet"), LATE[arguments])
    assert contents(files) == before


def test_the_first_run_without_scikit_learn_says_what_to_install(files, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *a: None if name == "sklearn" else find_spec(name, *a))
    before = contents(files)
    check_refusal(CliRunner().invoke(cli, ["sim"], prog_name="gossipnet"), "pip install 'gossipnet[demo]'")
    assert contents(files) == before


def offline(import_module):
    """Importing as on a machine without the downloader: no test may ask the network."""

    def without_pooch(name, *rest):
        if name == "pooch":
            raise ImportError(name)
        return import_module(name, *rest)

    return without_pooch


@pytest.mark.parametrize("world", ["swarm", "sim"])
def test_what_a_world_refuses_late_leaves_no_folder(folder, monkeypatch, world):
    """Data is looked at when the run is about to start: then its folder exists already."""

    def refuse(experiment, where, view):
        (where / "metrics.jsonl").write_text("")
        raise BadInput("no file 'train-images'\nin the cache")

    monkeypatch.setattr("gossipnet.live.launch.run_swarm", refuse)
    monkeypatch.setattr("gossipnet.sim.run.run_sim", refuse)
    before = contents(folder)
    check_refusal(CliRunner().invoke(cli, [world], prog_name="gossipnet"), "no file 'train-images' in the cache")
    assert contents(folder) == before


@pytest.mark.parametrize("text", ["\x1b[2Jboo", "a\nb\nc\nd\ne\nf\ng\nh", "x" * 100_000, "\udcff", "☃ % {} \\"])
@pytest.mark.parametrize("command", [["swarm", "--merge"], ["swarm", "--init"], ["swarm", "--set"], ["swarm"], []])
def test_what_a_message_quotes_cannot_flood_or_drive_a_terminal(folder, command, text):
    result = CliRunner().invoke(cli, [*command, text], prog_name="gossipnet")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) <= 6
    assert len(result.stderr) < 4000
    assert "\x1b" not in result.stderr
