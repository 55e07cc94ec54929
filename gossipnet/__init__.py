"""Peer-to-peer gossip learning: torch models that learn together, with no server.

The public names. Each is imported when it is first used, so that `import gossipnet` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gossipnet import codec as codec
    from gossipnet import topology as topology
    from gossipnet.codec import make_codec as make_codec
    from gossipnet.data.task import Task as Task
    from gossipnet.data.task import make_task as make_task
    from gossipnet.data.task import task as task
    from gossipnet.errors import BadInput as BadInput
    from gossipnet.errors import LocalError as LocalError
    from gossipnet.errors import RunFailed as RunFailed
    from gossipnet.errors import RunInterrupted as RunInterrupted
    from gossipnet.experiment import Experiment as Experiment
    from gossipnet.experiment import Result as Result
    from gossipnet.experiment import load as load
    from gossipnet.experiment import run as run
    from gossipnet.live.join import Gossip as Gossip
    from gossipnet.live.join import join as join
    from gossipnet.merge import Group as Group
    from gossipnet.merge import MergeRule as MergeRule
    from gossipnet.merge import make_merge as make_merge
    from gossipnet.merge import merge_rule as merge_rule
    from gossipnet.model import ModelSpec as ModelSpec
    from gossipnet.model import bind as bind
    from gossipnet.node import Node as Node
    from gossipnet.topology import Topology as Topology
    from gossipnet.topology import make_topology as make_topology

__version__ = "0.1.0"

_HOME = {
    "BadInput": "errors",
    "Experiment": "experiment",
    "Gossip": "live.join",
    "Group": "merge",
    "LocalError": "errors",
    "MergeRule": "merge",
    "ModelSpec": "model",
    "Node": "node",
    "Result": "experiment",
    "RunFailed": "errors",
    "RunInterrupted": "errors",
    "Task": "data.task",
    "Topology": "topology",
    "bind": "model",
    "codec": "codec",
    "join": "live.join",
    "load": "experiment",
    "make_codec": "codec",
    "make_merge": "merge",
    "make_task": "data.task",
    "make_topology": "topology",
    "merge_rule": "merge",
    "run": "experiment",
    "task": "data.task",
    "topology": "topology",
}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'gossipnet' has no attribute {name!r}")
    home = import_module(f"gossipnet.{_HOME[name]}")
    return home if _HOME[name] == name else getattr(home, name)  # `codec` and `topology` are callable modules


def __dir__() -> list[str]:
    return __all__
