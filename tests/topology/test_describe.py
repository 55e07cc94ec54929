import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.topology import from_graphs, make_topology
from gossipnet.topology.describe import describe, facts, warnings

nx = pytest.importorskip("networkx")


def test_facts_of_a_ring():
    found = facts(make_topology("ring", 16))
    assert found["nodes"] == found["edges"] == 16
    assert (found["degree_min"], found["degree_mean"], found["degree_max"]) == (2, 2.0, 2)
    assert (found["diameter"], found["diameter_exact"]) == (8, True)
    assert found["spectral_gap"] == pytest.approx(0.050747, abs=1e-6)
    assert found["smallest_eigenvalue"] == pytest.approx(-1 / 3)
    assert found["rounds_to_tenth"] == 45
    assert found["warnings"] == []


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 20), st.sampled_from(["ring", "star", "tree", "exponential", "random-matching", "base"]))
def test_degrees_and_models_sent(n, text):
    made = make_topology(text, n)
    found = facts(made)
    sent = [len(made.row(i, r).targets) for i in range(n) for r in range(1, made.period + 1)]
    assert found["models_per_node_round"] == pytest.approx(sum(sent) / len(sent))
    if made.period == 1:
        assert (found["degree_min"], found["degree_max"]) == (min(sent), max(sent))


def test_describe_says_it_in_aligned_lines():
    text = describe(make_topology("ring", 16))
    for said in (
        "nodes                16",
        "spectral gap         0.050747",
        "45 rounds to shrink disagreement tenfold",
    ):
        assert said in text
    assert "warning" not in text
    assert "over 3 rounds that repeat" in describe(make_topology("one-peer-exponential", 8))
    assert "directed edges" in describe(make_topology("exponential", 8))
    assert "its own weights" in describe(make_topology("base", 5))


def test_a_bridge_and_its_ends_are_named():
    said = warnings(from_graphs("g", nx.barbell_graph(5, 0)))
    assert any("losing node '4' or '5' cuts" in s for s in said)
    assert any("losing edge '4' - '5' cuts" in s for s in said)
    assert not any("fragile" in s for s in warnings(make_topology("ring", 8)))


@pytest.mark.parametrize(
    ("text", "n", "mixing", "word"),
    [
        ("ring", 40, "metropolis", "slow"),
        ("complete", 2, "keep:own=0", "never shrinks"),
        ("ring", 6, "keep:own=0.01", "oscillates"),
        ("star", 9, "uniform", "uneven"),
        ("star", 9, "metropolis", "fragile"),
    ],
)
def test_warnings(text, n, mixing, word):
    assert any(word in s for s in warnings(make_topology(text, n, mixing=mixing)))


@pytest.mark.parametrize(("text", "n"), [("exponential", 12), ("hypercube", 16), ("complete", 6), ("ring", 1)])
def test_good_graphs_have_no_warnings(text, n):
    assert warnings(make_topology(text, n)) == []


def test_large_graphs_get_a_lower_bound_of_the_diameter():
    text = describe(make_topology("hypercube", 2048))
    assert "diameter             at least 11" in text
