import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.errors import BadInput
from gossipnet.topology import make_topology

TEXTS = ["ring", "star", "exponential", "one-peer-exponential", "random-matching:period=5", "base:k=2", "tree"]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(TEXTS), st.integers(3, 16), st.integers(1, 40))
def test_neighborhoods_are_the_rows_of_the_matrix(text, n, round):
    topology = make_topology(text, n)
    w = topology.matrix(round)
    for i in range(n):
        row = topology.neighborhood(i).at(round)
        assert dict(row.weights) == {j: w[i, j] for j in range(n) if w[i, j] > 0 and j != i}
        assert [j for j, _ in row.weights] == sorted(j for j, _ in row.weights)
        assert row.own == w[i, i]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(TEXTS), st.integers(3, 16), st.integers(1, 40))
def test_who_sends_is_who_is_heard(text, n, round):
    rows = [make_topology(text, n).row(i, round) for i in range(n)]
    sent = {(i, j) for i, row in enumerate(rows) for j in row.targets}
    heard = {(j, i) for i, row in enumerate(rows) for j, _ in row.weights}
    assert sent == heard
    assert all(list(row.targets) == sorted(set(row.targets)) for row in rows)


def test_an_edge_of_a_directed_graph_points_where_the_model_goes():
    row = make_topology("exponential", 8).neighborhood(0).at(1)
    assert row.targets == (1, 2, 4)
    assert [j for j, _ in row.weights] == [4, 6, 7]


def test_pickle_gives_the_same_topology():
    topology = make_topology("torus", 12, mixing="lazy")
    topology.matrix()
    assert pickle.loads(pickle.dumps(topology)) == topology


def test_to_dict_is_the_content_of_topology_json():
    data = make_topology("path", 3).to_dict()
    assert data.pop("spectral_gap") == pytest.approx(1 / 3)
    assert data == {"name": "path", "n": 3, "labels": ["0", "1", "2"], "edges": [[0, 1], [1, 2]], "directed": False}


def test_unknown_node():
    with pytest.raises(BadInput, match="0 to 3"):
        make_topology("ring", 4).neighborhood(4)


def test_one_node_is_alone():
    topology = make_topology("ring", 1)
    assert topology.neighborhood(0).peers == ()
    assert np.array_equal(topology.matrix(), [[1.0]])
    assert topology.spectral_gap == 1.0


def test_links_and_places():
    topology = make_topology("three-sites")
    assert topology.link(0, 4)["latency_s"] == topology.link(4, 0)["latency_s"] == 0.008
    assert topology.link(0, 11) == {}
    assert topology.addresses == topology.devices == (None,) * 12
    assert topology.speeds == (1.0,) * 12
