"""The public names: what users script against changes only on purpose."""

import subprocess
import sys

import gossipnet

NAMES = """
BadInput Experiment Gossip Group LocalError MergeRule ModelSpec Node Result RunFailed RunInterrupted Task Topology
__version__ bind codec join load make_codec make_merge make_task make_topology merge_rule run task topology
""".split()


def test_public_names() -> None:
    assert gossipnet.__all__ == sorted(NAMES)
    assert all(getattr(gossipnet, name) is not None for name in NAMES)


def test_decorators_of_design_section_7_work_whatever_was_imported_before() -> None:
    program = """
import gossipnet
@gossipnet.codec("twice")
def twice(): ...
import gossipnet.codec, gossipnet.topology
@gossipnet.topology("mine")
def mine(n): ...
@gossipnet.merge_rule("own-rule")
def rule(): ...
@gossipnet.task("own-task")
def own(): ...
assert "twice" in gossipnet.codec.codecs.names()
assert "mine" in gossipnet.topology.topologies.names()
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(gossipnet, "server")
