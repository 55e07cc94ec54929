"""Who may import whom, as design.md draws it: read off the source of every file, so that nothing has to be run.

    values < rules < node < edges < experiment < grid < cli        never upwards, not even inside a function

Rules and node have no clock, socket, thread, file, log or global randomness; sim and live do not know each other;
one file has zmq, one package click; nothing is ever unpickled. Imports under `if TYPE_CHECKING:` do not count.
What begins with an underscore is used in the file that defines it, and by subclasses.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gossipnet

PACKAGE = Path(gossipnet.__file__).parent
FILES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))

RINGS = {
    "values": "errors value registry model streams config settings options toml_file",
    "rules": "arena codec lanes merge topology wire chunk_header transfer events inbox outbox peer patience asks wait",
    "node": "node",
    "edges": "sim live training data checkpoint report run_folder progress doctor machine",
    "experiment": "experiment reference __init__",
    "grid": "grid",
    "cli": "cli __main__",
}
ORDER = list(RINGS)
RING_OF = {part: ring for ring, parts in RINGS.items() for part in parts.split()}

IMPURE = (
    "time datetime sched socket socketserver select selectors ssl asyncio threading _thread queue concurrent signal "
    "subprocess os io pathlib shutil tempfile glob fcntl mmap logging warnings random secrets uuid"
)
SEEDED = {"random": {"Random"}, "io": {"StringIO"}}  # these of an impure module have no state but their own
READS_FILES = {"topology/files.py", "topology/make.py", "topology/draw.py"}  # "graphs by name or file"
PICKLES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "multiprocessing"}
UNPICKLING = {"torch.load", "torch.save", "torch.jit.load", "torch.multiprocessing", "torch.package"}
NUMPY_STREAMS = {"Generator", "BitGenerator", "SeedSequence", "PCG64", "default_rng"}
TORCH_DRAWS = "rand randn randint randperm normal bernoulli multinomial rand_like randn_like randint_like poisson"
IMPORTERS = {"import_module", "importlib.import_module", "__import__"}
OTHERS_OWN = {"_exit", "_buffers", "_parameters", "_non_persistent_buffers_set", "_BatchNorm"}  # of os and torch
BY_NAME = {"settings.py"}  # imports the registry that an option names, when a value of it is checked


def part_of(file: str) -> str:
    """The part that RINGS lists: a module or a package, just below gossipnet."""
    return Path(file).parts[0].removesuffix(".py")


def counted(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for other in child.orelse:
                yield from counted(other)
        else:
            yield from counted(child)


def imported(node: ast.AST, file: str) -> list[str]:
    """Dotted names of what a statement imports: `from a import b` may mean a module a.b or a name in a."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        above = ["gossipnet", *Path(file).parts[: -node.level]] if node.level else []
        base = ".".join(above + ([node.module] if node.module else []))
        return [f"{base}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in IMPORTERS and file not in BY_NAME:
        return [a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return []


def wrong_import(file: str, name: str) -> str | None:
    """Why `file` may not import `name`; None if it may."""
    root, *rest = name.split(".")
    ring = RING_OF[part_of(file)]
    if root == "gossipnet":
        other = rest[0] if rest and rest[0] in RING_OF else "__init__"
        if ORDER.index(RING_OF[other]) > ORDER.index(ring):
            return f"{ring} may not import {RING_OF[other]}"
        if {part_of(file), other} == {"sim", "live"}:
            return "sim and live must not know each other"
    if root == "zmq" and file != "live/zeromq.py":
        return "only live/zeromq.py has zmq"
    if root == "click" and part_of(file) not in ("cli", "__main__"):
        return "only cli has click"
    if root in PICKLES or any(name == bad or name.startswith(bad + ".") for bad in UNPICKLING):
        return "nothing is ever pickled"
    if ring in ("rules", "node") and root in IMPURE.split() and not _pure_use(file, root, rest):
        return f"{ring} are functions of their arguments"
    return None


def _pure_use(file: str, root: str, names: list[str]) -> bool:
    if root == "pathlib":
        return file in READS_FILES
    return root in SEEDED and set(names) <= SEEDED[root]  # `import random`: what is used of it is checked apart


def wrong_use(node: ast.AST, pure: bool) -> str | None:
    """Why an expression may not stand there; `pure` in rules and node."""
    if isinstance(node, ast.Attribute):
        dotted = ast.unparse(node)
        root, _, name = dotted.partition(".")
        if dotted in UNPICKLING:
            return "nothing is ever pickled"
        if pure and root in SEEDED and name.split(".")[0] not in SEEDED[root]:
            return "global state"
        if (
            pure
            and dotted.removesuffix(node.attr) in ("np.random.", "numpy.random.")
            and node.attr not in NUMPY_STREAMS
        ):
            return "global randomness"
    if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
        return "nothing is ever pickled"
    return wrong_call(node) if pure and isinstance(node, ast.Call) else None


def wrong_call(node: ast.Call) -> str | None:
    called = ast.unparse(node.func)
    if called in ("open", "print", "input", "breakpoint"):
        return "no file and no terminal"
    if called.endswith("default_rng") and not node.args and not node.keywords:
        return "randomness without a seed"
    if called in ("torch.manual_seed", "torch.seed") or called.endswith("random.seed"):
        return "global randomness"
    draws = called.startswith("torch.") and called.removeprefix("torch.") in TORCH_DRAWS.split()
    return "global randomness" if draws and all(k.arg != "generator" for k in node.keywords) else None


def private_to(tree: ast.AST) -> set[str]:
    """The names with an underscore that a file defines: functions, and attributes of its classes' objects."""
    stores = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
    return stores | {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}


def wrong_reach(node: ast.AST, known: set[str]) -> str | None:
    """Why an attribute may not be used there: it is somebody else's."""
    if not isinstance(node, ast.Attribute) or not node.attr.startswith("_") or node.attr.startswith("__"):
        return None
    own = ast.unparse(node.value) in ("self", "cls", "super()")
    return None if own or node.attr in known | OTHERS_OWN else f"{ast.unparse(node)} is private to another file"


def faults(file: str, source: str) -> list[str]:
    """All that is wrong with a file, with the lines."""
    tree = ast.parse(source)
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    pure = RING_OF[part_of(file)] in ("rules", "node")
    known = private_to(tree)
    found = []
    for node in counted(tree):
        if said := wrong_reach(node, known):
            found.append(f"{file}:{getattr(node, 'lineno', 0)}: {said}")
        why = [f"{name}: {said}" for name in imported(node, file) if (said := wrong_import(file, name))]
        if said := wrong_use(node, pure):
            why.append(said)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            why += [
                f"{node.value[:40]!r}: nothing is ever pickled" for bad in ("pickle", "torch.load") if bad in node.value
            ]
        found += [f"{file}:{getattr(node, 'lineno', 0)}: {w}" for w in why]
    return found


def test_every_file_has_a_ring() -> None:
    """A new part: say in RINGS above where it belongs."""
    assert {part_of(file) for file in FILES} - set(RING_OF) == set()


@pytest.mark.parametrize("file", [file for file in FILES if part_of(file) in RING_OF])
def test_import_rule(file: str) -> None:
    assert faults(file, (PACKAGE / file).read_text()) == []


def test_all_that_was_forbidden_was_looked_for() -> None:
    """The rule has files of every ring to say something about."""
    assert len(FILES) > 50
    assert {RING_OF[part_of(file)] for file in FILES} == set(ORDER)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("model.py", "import gossipnet.wire"),
        ("registry.py", "from gossipnet.merge import make_merge"),
        ("config.py", "from gossipnet import experiment"),
        ("config.py", "from gossipnet.codec import make_codec"),
        ("wire.py", "from gossipnet import run"),
        ("wire.py", "import gossipnet"),
        ("merge/sign.py", "def f():\n    from gossipnet.node import Node"),
        ("merge/sign.py", "from ..node import Node"),
        ("merge/sign.py", "from .. import node"),
        ("topology/make.py", "import importlib\nimportlib.import_module('gossipnet.data.task')"),
        ("node.py", "from gossipnet.live.driver import Driver"),
        ("node.py", "if x:\n    import gossipnet.training.trainer"),
        ("data/task.py", "from gossipnet.experiment import run"),
        ("experiment.py", "from gossipnet.cli import main"),
        ("experiment.py", "def f():\n    from gossipnet.grid.bench import bench"),
        ("grid/run.py", "import gossipnet.cli"),
        ("grid/run.py", "import multiprocessing"),
        ("sim/run.py", "from gossipnet.live import run"),
        ("live/run.py", "import gossipnet.sim.run"),
        ("live/run.py", "import zmq"),
        ("node.py", "from zmq.utils import monitor"),
        ("report/page.py", "import click"),
        ("experiment.py", "from click import echo"),
        ("node.py", "import time"),
        ("node.py", "from time import monotonic"),
        ("events.py", "import datetime"),
        ("wire.py", "import socket, struct"),
        ("transfer.py", "def f():\n    import threading"),
        ("topology/edgelist.py", "import os.path"),
        ("topology/edgelist.py", "from io import BytesIO"),
        ("topology/edgelist.py", "import io\nio.open('x')"),
        ("topology/edgelist.py", "from pathlib import Path"),
        ("codec.py", "open('x')"),
        ("merge/sign.py", "print(1)"),
        ("patience.py", "import logging"),
        ("topology/make.py", "import random\nrandom.shuffle(x)"),
        ("topology/make.py", "from random import shuffle"),
        ("topology/make.py", "np.random.seed(0)"),
        ("topology/make.py", "numpy.random.rand(3)"),
        ("topology/make.py", "np.random.default_rng()"),
        ("merge/sign.py", "torch.manual_seed(0)"),
        ("merge/sign.py", "torch.randn(3)"),
        ("live/driver.py", "import pickle"),
        ("live/driver.py", "from pickle import loads"),
        ("live/driver.py", "import multiprocessing.connection"),
        ("training/files.py", "torch.load(path, weights_only=True)"),
        ("training/files.py", "from torch import load"),
        ("training/files.py", "torch.save(model, path)"),
        ("data/files.py", "np.load(path, allow_pickle=True)"),
        ("data/files.py", "importlib.import_module('pickle')"),
        ("data/files.py", "getattr(module, 'pickle')"),
        ("live/status.py", "driver._node"),
        ("live/join.py", "earlier._binding.overlaps(binding)"),
    ],
)
def test_the_rule_finds(file: str, source: str) -> None:
    assert len(faults(file, source)) >= 1


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("model.py", "from gossipnet.errors import BadInput\nimport torch"),
        ("settings.py", "import importlib\nimportlib.import_module(module)"),
        ("config.py", "from gossipnet import toml_file"),
        ("merge/sign.py", "from gossipnet.merge.group import Group\nfrom . import group\nfrom .group import Group"),
        ("merge/sign.py", "torch.randn(3, generator=g)\ng.random()\nprinted(1)"),
        ("topology/make.py", "import random\ndraw = random.Random('0')\ndraw.shuffle(x)"),
        ("topology/make.py", "np.random.default_rng(seed).random()\nnp.random.Generator"),
        ("topology/edgelist.py", "import io\nio.StringIO('x')"),
        ("topology/files.py", "from pathlib import Path"),
        ("node.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import time, gossipnet.live.driver"),
        ("live/zeromq.py", "import zmq\nfrom gossipnet.wire import decode"),
        ("live/run.py", "import time, os, threading\nfrom gossipnet.node import Node\nprint(1)"),
        ("cli/run.py", "import click\nfrom gossipnet.live import run\nfrom gossipnet.sim import run"),
        (
            "grid/run.py",
            "import subprocess\nfrom gossipnet.experiment import run\nfrom gossipnet.sim.run import run_sim",
        ),
        ("data/cifar10.py", "'''The pickled files are not read; torch.load neither.'''  # pickle"),
        ("data/files.py", "np.load(path, allow_pickle=False)"),
        ("live/embedded.py", "super()._open()\nself._look()\nself.__dict__"),
        ("live/binding.py", "def _tensors(self): ...\nother._tensors()"),
    ],
)
def test_the_rule_allows(file: str, source: str) -> None:
    assert faults(file, source) == []


HEAVY = {"zmq", "click", "networkx", "matplotlib", "sklearn", "scipy"}


def loaded_after(*modules: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after it imported `modules`."""
    code = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(said.stdout.split())


def test_import_gossipnet_is_light() -> None:
    """It loads nothing that only some of its users need, torch included: a launcher never does."""
    assert loaded_after("gossipnet") & (HEAVY | {"torch", "numpy"}) == set()
    assert loaded_after("gossipnet.config") & (HEAVY | {"torch", "numpy"}) == set()


def test_the_core_needs_no_network_and_no_graphs() -> None:
    """A device that only runs a node has no networkx; topologies bring it when one is made."""
    core = [f"gossipnet.{part}" for ring in ("values", "rules", "node") for part in RINGS[ring].split()]
    loaded = loaded_after(*core)
    assert "torch" in loaded
    assert loaded & HEAVY == set()
