"""The bookkeeping benchmark drives real nodes to their end, and counts what they sent."""

import importlib.util
from pathlib import Path

from gossipnet.topology import make_topology

SPEC = importlib.util.spec_from_file_location("bookkeeping", Path(__file__).parents[2] / "bench" / "bookkeeping.py")
bookkeeping = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bookkeeping)


def test_every_node_does_every_round_and_all_that_is_sent_is_counted():
    took_s, messages = bookkeeping.once(make_topology("ring", n=6), 5)
    assert took_s > 0
    assert messages == 6 * 2 * (5 + 2)  # a model in each round, a hello, a goodbye
