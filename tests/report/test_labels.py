from collections.abc import Callable
from pathlib import Path

from gossipnet.report.labels import differing, labels, say
from gossipnet.report.run import load_run

MakeRun = Callable[..., Path]


def test_one_run_is_called_by_its_merge_rule(make_run: MakeRun) -> None:
    assert labels([load_run(make_run(merge="sign-aligned:trim=0.2"))]) == ["sign-aligned:trim=0.2"]


def test_runs_are_called_by_what_differs(make_run: MakeRun) -> None:
    runs = [load_run(make_run(m, merge=m)) for m in ("average", "variance-corrected")]
    assert labels(runs) == ["merge=average", "merge=variance-corrected"]


def test_several_differences_are_all_named(make_run: MakeRun) -> None:
    runs = [load_run(make_run(f"r{i}", merge=m, nodes=n)) for i, (m, n) in enumerate([("average", 4), ("average", 8)])]
    assert labels(runs) == ["nodes=4", "nodes=8"]
    runs.append(load_run(make_run("r3", merge="sign-aligned", nodes=8)))
    assert labels(runs)[2] == "merge=sign-aligned, nodes=8"


def test_worlds_are_told_apart(make_run: MakeRun) -> None:
    runs = [load_run(make_run(w, other={"world": w})) for w in ("live", "sim")]
    assert labels(runs) == ["world=live", "world=sim"]


def test_equal_runs_and_runs_without_config_are_called_by_their_folders(make_run: MakeRun) -> None:
    assert labels([load_run(make_run(n)) for n in ("a", "b")]) == ["a", "b"]
    assert labels([load_run(make_run(n, parts="metrics")) for n in ("c", "d")]) == ["c", "d"]


def test_labels_are_distinct_whatever_the_runs(make_run: MakeRun) -> None:
    run, other = load_run(make_run("a")), load_run(make_run("b", merge="average"))
    for runs in ([run, run], [run, run, other, other, other]):
        assert len(set(labels(runs))) == len(runs)


def test_ports_and_names_are_no_difference() -> None:
    assert differing([{"swarm.name": "a", "exchange.port": "1"}, {"swarm.name": "b", "exchange.port": "2"}]) == []
    assert differing([{"swarm.name": "a"}, {"swarm.name": "b"}], idle=()) == ["swarm.name"]


def test_the_merge_rule_comes_first() -> None:
    assert differing([{"training.lr": "1", "merge.rule": "a"}, {"training.lr": "2", "merge.rule": "b"}]) == [
        "merge.rule",
        "training.lr",
    ]


def test_names_of_keys() -> None:
    assert [say(k) for k in ("merge.rule", "topology.graph", "training.lr", "odd")] == [
        "merge",
        "topology",
        "lr",
        "odd",
    ]
