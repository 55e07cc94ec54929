import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.errors import BadInput
from gossipnet.topology import Neighborhood, Row, make_topology


def test_rounds_count_from_one_and_repeat():
    rows = (Row(((1, 0.5),), (1,)), Row(((2, 0.5),), (3,)))
    neighborhood = Neighborhood(0, rows)
    assert [neighborhood.at(r) for r in (1, 2, 3, 4)] == [rows[0], rows[1], rows[0], rows[1]]
    assert neighborhood.peers == (1, 2, 3)


def test_own_weight_is_the_rest():
    assert Row(((1, 0.25), (2, 0.25)), ()).own == 0.5
    assert Row().own == 1.0
    assert Row(((1, 0.1), (2, 0.2), (3, 0.7)), ()).own >= 0.0


@given(st.integers(2, 12), st.sampled_from(["ring", "exponential", "random-matching", "star", "base"]))
def test_survives_json(n, text):
    topology = make_topology(text, n)
    for i in range(n):
        neighborhood = topology.neighborhood(i)
        assert Neighborhood.from_dict(json.loads(json.dumps(neighborhood.to_dict()))) == neighborhood


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"node": 0},
        {"node": 0, "rows": []},
        {"node": 0, "rows": [{}]},
        {"node": "x", "rows": [{"weights": [], "targets": []}]},
        {"node": 0, "rows": [{"weights": [[1, 0.6], [2, 0.6]], "targets": []}]},
        {"node": 0, "rows": [{"weights": [[1, -0.1]], "targets": []}]},
        {"node": 0, "rows": [{"weights": [[1, float("nan")]], "targets": []}]},
        {"node": 0, "rows": 3},
        3,
    ],
)
def test_anything_else_is_bad_input(data):
    with pytest.raises(BadInput):
        Neighborhood.from_dict(data)


def test_a_node_needs_no_networkx():
    code = "import sys; from gossipnet.topology import Neighborhood, Row; assert 'networkx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
