"""The lines against what they promise: FIFO but for those that may overtake, shares as given, a queue, and seeds."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.errors import BadInput
from gossipnet.sim.cuts import parse_cuts
from gossipnet.sim.network import QUEUE, Line, Network
from gossipnet.sim.presets import Conditions
from gossipnet.topology import make_topology

PLAIN = {
    "latency_s": 0.1,
    "jitter_s": 0.0,
    "bandwidth_bytes_per_s": 0.0,
    "drop_rate": 0.0,
    "duplicate_rate": 0.0,
    "reorder_rate": 0.0,
}


def line(seed=0, **physics):
    return Line(PLAIN | physics, random.Random(seed))


def arrivals(made, n=1000, size=100, every=0.01):
    """Of n messages sent one after the other: a tuple of times each, () if it was lost."""
    return [made.send(size, i * every) for i in range(n)]


def test_a_plain_line_takes_its_latency():
    assert arrivals(line(), 3) == [(0.1,), (pytest.approx(0.11),), (pytest.approx(0.12),)]


@given(st.integers(0, 50), st.floats(0, 5), st.floats(0, 1), st.floats(0, 1))
def test_nothing_overtakes_unless_asked_for(seed, jitter, drop, duplicate):
    made = line(seed, jitter_s=jitter, drop_rate=drop, duplicate_rate=duplicate)
    times = [at for sent in arrivals(made, 50) for at in sent]
    assert times == sorted(times)
    assert all(i * 0.01 + 0.1 <= at for i, sent in enumerate(arrivals(made, 50, every=100)) for at in sent)


def test_messages_that_may_overtake_do_and_their_delays_are_even():
    found = arrivals(line(jitter_s=0.9, reorder_rate=1.0), 20_000)
    delays = [at - i * 0.01 for i, (at,) in enumerate(found)]
    assert min(delays) == pytest.approx(0.1, abs=0.001)
    assert max(delays) == pytest.approx(1.0, abs=0.001)
    assert sum(delays) / len(delays) == pytest.approx(0.55, abs=0.01)
    times = [at for sent in found for at in sent]
    assert times != sorted(times)


def test_shares_of_drops_and_duplicates_are_as_given():
    found = arrivals(line(drop_rate=0.5, duplicate_rate=0.2), 20_000)
    assert found.count(()) / 20_000 == pytest.approx(0.5, abs=0.02)
    assert sum(len(sent) == 2 for sent in found) / 20_000 == pytest.approx(0.1, abs=0.01)


def test_a_line_of_some_bandwidth_sends_one_after_the_other_and_its_queue_is_bounded():
    made = line(bandwidth_bytes_per_s=100)
    assert [made.send(100, 0.0) for _ in range(3)] == [(1.1,), (2.1,), (3.1,)]
    assert made.send(100, 10.0) == (11.1,), "it was free again"
    sent = [made.send(100, 10.0) for _ in range(QUEUE + 10)]
    assert sum(s is not None for s in sent) == QUEUE
    assert made.after_all(10.0) == pytest.approx(10.0 + (QUEUE + 1) + 0.1)


def test_a_cut_takes_what_leaves_while_it_lasts():
    topology = make_topology("path", n=3)
    network = Network(topology, Conditions(latency_s=0.1), 0, parse_cuts(["1..2 0", "5..6 0 > 1"], 3))
    sent = {at: bool(network.line(0, 1).send(1, at)) for at in (0.95, 1.0, 1.99, 2.0, 5.5)}
    assert sent == {0.95: True, 1.0: False, 1.99: False, 2.0: True, 5.5: False}
    assert network.line(1, 0).send(1, 1.5) == ()
    assert network.line(1, 0).send(1, 5.5), "that cut is one way"
    assert network.line(1, 2).send(1, 1.5)
    assert [network.whole(1, 0, at) for at in (0.0, 1.0, 2.0, 5.5)] == [True, False, True, False]
    assert list(network.turns()) == [1.0, 2.0, 5.0, 6.0]


def test_what_the_file_says_of_a_link_wins(tmp_path):
    file = tmp_path / "g.edges"
    file.write_text("0 1\n1 2 latency_s=0.5 drop_rate=1\n")
    network = Network(make_topology(str(file), n=3), Conditions(latency_s=0.1), 0)
    assert network.line(0, 1).send(1, 0.0) == (0.1,)
    assert network.line(2, 1).send(1, 0.0) == ()


def test_links_that_are_all_alike_and_remember_nothing_share_a_line(tmp_path):
    file = tmp_path / "g.edges"
    file.write_text("0 1\n1 2\n2 3 drop_rate=1\n3 4\n")
    network = Network(make_topology(str(file), n=5), Conditions(), 0, parse_cuts(["1..2 3 > 4"], 5))
    lines = [network.line(*link) for link in ((0, 1), (1, 0), (1, 2), (4, 3), (2, 3), (3, 4))]
    assert [made is lines[0] for made in lines] == [True, True, True, True, False, False]
    slow = Network(make_topology("ring", n=4), Conditions(bandwidth_bytes_per_s=100), 0)
    assert slow.line(0, 1) is not slow.line(1, 0), "each has its queue"


def test_a_file_can_give_what_the_conditions_lack(tmp_path):
    file = tmp_path / "g.edges"
    file.write_text("0 1 jitter_s=1\n")
    assert Network(make_topology(str(file), n=2), Conditions(reorder_rate=0.5), 0).line(0, 1).send(1, 0.0)


def test_lines_draw_from_streams_of_their_own():
    def times(order, seed=0):
        network = Network(make_topology("ring", n=4), Conditions(jitter_s=1.0, drop_rate=0.3), seed)
        return {edge: [network.line(*edge).send(1, t) for t in range(20)] for edge in order}

    edges = [(0, 1), (1, 0), (2, 3)]
    assert times(edges) == times(edges[::-1])
    assert times(edges) != times(edges, seed=1)
    assert len({str(sent) for sent in times(edges).values()}) == 3


def test_reordering_needs_something_that_can_reorder():
    with pytest.raises(BadInput, match="nothing can overtake: set network"):
        Network(make_topology("ring", n=4), Conditions(reorder_rate=0.5), 0)
