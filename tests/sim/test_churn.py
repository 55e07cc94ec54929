"""Comings and goings: their shares over a long time, traces from files, and every trace that is refused."""

import itertools

import numpy as np
import pytest

from gossipnet.errors import BadInput
from gossipnet.sim.churn import AFTER, check_nodes, churns


def moves(text, node=0, n=2000, seed=0):
    return list(itertools.islice(churns.make(text)(node, np.random.default_rng(seed)), n))


def online(found):
    """The share of the time that a node is there, from its crashes and restarts."""
    times = [0.0, *(at for at, _ in found)]
    lengths = np.diff(times)
    return lengths[::2].sum() / lengths.sum()


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_log_normal_nodes_are_online_as_often_as_told(share):
    found = moves(f"log-normal:online={share},median_s=2", n=20_000)
    assert online(found) == pytest.approx(share, abs=0.02)
    absences = np.diff([at for at, _ in found])[::2]
    assert np.median(absences) == pytest.approx(2, rel=0.05)
    assert np.std(np.log(absences)) == pytest.approx(1, rel=0.05)


def test_crashes_are_spread_as_told():
    found = moves("crashes:every_s=10,down_s=10,memory=false", n=20_000)
    assert online(found) == pytest.approx(0.5, abs=0.02)
    assert {what for _, what in found} == {"crash", "restart-empty"}
    assert np.std(np.diff([0.0, *(at for at, _ in found)])[::2]) == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("text", ["none", "log-normal", "crashes"])
def test_moves_are_in_order_of_time_and_may_follow_each_other(text):
    found = moves(text)
    assert [at for at, _ in found] == sorted(at for at, _ in found)
    for before, after in itertools.pairwise([None, *(what for _, what in found)]):
        assert after in AFTER[before]


def test_a_trace_is_read_in_order_of_time(tmp_path):
    file = tmp_path / "churn.csv"
    file.write_text("time_s,node,move\n5,0,restart\n\n2.5,0,crash\n1,2,join\n9,2,leave\n")
    assert moves(f"trace:path={file}") == [(2.5, "crash"), (5.0, "restart")]
    assert moves(f"trace:path={file}", node=1) == []
    assert moves(f"trace:path={file}", node=2) == [(1.0, "join"), (9.0, "leave")]
    check_nodes(f"trace:path={file}", 3)
    with pytest.raises(BadInput, match="names node 2, expected 0 to 1"):
        check_nodes(f"trace:path={file}", 2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ":1: expected the header time_s,node,move"),
        ("time,node,move\n", ":1: expected the header"),
        ("time_s,node,move\n1,0\n", ":2: got '1,0', expected time_s,node,move"),
        ("time_s,node,move\n-1,0,crash\n", ":2: got '-1,0,crash'"),
        ("time_s,node,move\nnan,0,crash\n", ":2: got 'nan,0,crash'"),
        ("time_s,node,move\n1,x,crash\n", ":2: got '1,x,crash'"),
        ("time_s,node,move\n1,0,crahs\n", ":2: no move 'crahs'; did you mean 'crash'"),
        ("time_s,node,move\n1,0,crash\n2,0,crash\n", ":3: got 'crash' of node 0 after 'crash', expected restart"),
        ("time_s,node,move\n1,0,restart\n", ":2: got 'restart' of node 0 at first"),
        ("time_s,node,move\n1,0,leave\n2,0,restart\n", ":3: got 'restart' of node 0 after 'leave', expected nothing"),
    ],
)
def test_a_trace_that_is_none_is_refused_with_its_line(tmp_path, content, said):
    file = tmp_path / "churn.csv"
    file.write_text(content)
    with pytest.raises(BadInput) as refused:
        moves(f"trace:path={file}")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        *("log-normal:online=1", "log-normal:online=0", "log-normal:sigma=-1", "log-normal:median_s=0"),
        *("crashes:every_s=0", "crashes:down_s=-1", "trace", "trace:path=missing.csv", "cyclone", "crashes:evry=1"),
    ],
)
def test_what_is_no_churn_is_refused(text):
    with pytest.raises(BadInput):
        churns.make(text)
