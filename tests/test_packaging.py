"""What is installed: every package folder, the catalogue, and nothing heavy in the node."""

from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[1]


def configuration() -> ConfigParser:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_every_package_folder_is_listed() -> None:
    listed = set(configuration()["options"]["packages"].split())
    folders = {".".join(f.parent.relative_to(ROOT).parts) for f in (ROOT / "gossipnet").rglob("__init__.py")}
    assert listed == folders | {"gossipnet.suites", "gossipnet.topologies"}


def test_the_node_needs_few_packages() -> None:
    needs = {line.partition(">")[0] for line in configuration()["options"]["install_requires"].split()}
    assert needs == {"torch", "pyzmq", "msgpack", "numpy", "networkx", "click", "xxhash", "safetensors", "tomli-w"}


def test_torch_is_pinned_for_the_build_and_only_bounded_for_users() -> None:
    assert "torch==" in (ROOT / "constraints.txt").read_text()
    assert "==" not in configuration()["options"]["install_requires"]
