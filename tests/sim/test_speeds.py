"""How fast nodes are: as drawn from streams of their own, or as the topology's file says."""

import numpy as np
import pytest

from gossipnet.errors import BadInput
from gossipnet.sim.speeds import node_speeds
from gossipnet.topology import make_topology

RING = make_topology("ring", n=1000)


def test_all_are_the_same_unless_told():
    assert node_speeds("same", RING, 0) == [1.0] * 1000


def test_factors_are_spread_as_told():
    factors = np.array(node_speeds("log-normal:sigma=0.5", RING, 0))
    assert np.median(factors) == pytest.approx(1, rel=0.1)
    assert np.std(np.log(factors)) == pytest.approx(0.5, rel=0.1)
    factors = np.array(node_speeds("uniform:low=0.2,high=0.4", RING, 0))
    assert 0.2 <= factors.min() < 0.21 < 0.39 < factors.max() <= 0.4
    factors = node_speeds("stragglers:share=0.2,factor=0.05", RING, 0)
    assert set(factors) == {0.05, 1.0}
    assert factors.count(0.05) == pytest.approx(200, abs=40)


def test_a_nodes_speed_depends_on_the_seed_and_on_no_other_node():
    one, other = node_speeds("log-normal", RING, 0), node_speeds("log-normal", make_topology("ring", n=5), 0)
    assert one[:5] == other
    assert one != node_speeds("log-normal", RING, 1)


def test_what_the_file_says_of_a_node_wins(tmp_path):
    file = tmp_path / "sites.toml"
    file.write_text('nodes = ["lab", {name = "roof", speed = 0.1}]\nedges = [["lab", "roof"]]\n')
    assert node_speeds("same", make_topology(str(file)), 0) == [1.0, 0.1]
    file.write_text('nodes = ["lab", {name = "roof", speed = 0}]\nedges = [["lab", "roof"]]\n')
    with pytest.raises(BadInput, match="node 'roof': got speed=0, expected a factor above 0"):
        make_topology(str(file))


@pytest.mark.parametrize(
    "text",
    ["fast", "log-normal:sigma=-1", "uniform:low=0", "uniform:low=2", "stragglers:share=2", "stragglers:factor=0"],
)
def test_what_is_no_speed_is_refused(text):
    with pytest.raises(BadInput):
        node_speeds(text, RING, 0)
