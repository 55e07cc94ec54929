import dataclasses

from gossipnet.report import Summary, compare_table, summary_table, units
from gossipnet.report.tables import MEAN, SPREAD, TO_80, WALL, aligned, best

SUMMARY = Summary(
    nodes=8,
    rounds=20,
    world="live",
    topology="ring",
    merge="average",
    wall_s=32.1,
    mean_accuracy=0.9534,
    min_accuracy=0.9,
    std_accuracy=0.012,
    bytes_sent=76_800_000,
    bytes_per_node_round=480_000.0,
    consensus_distance=0.0213,
    messages_refused={"bad-digest": 2, "too-old": 1},
    rounds_to_accuracy={"0.80": 8, "0.90": None},
    left=(3,),
)
NOTHING = Summary(nodes=8, rounds=20, world="sim", topology="ring", merge="average")


def test_the_comparison_has_a_line_a_run_and_aligned_columns() -> None:
    lines = compare_table([("average", SUMMARY), ("a much longer name", NOTHING)]).splitlines()
    assert len(lines) == 4
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split() == ["average", "95.3%", "90.0%", "1.2%", "8", "never", "480", "kB", "32.1", "s", "0.0213"]
    assert len(lines[0]) <= 120


def test_the_comparison_of_nothing_is_a_heading() -> None:
    assert compare_table([]).splitlines()[0].startswith("run")


def test_the_summary_leaves_out_what_does_not_apply() -> None:
    text = summary_table(SUMMARY)
    assert "95.3%" in text
    assert "3 (bad-digest 2, too-old 1)" in text
    assert "1 (3)" in text
    assert "virtual time" not in text
    assert units.DASH not in summary_table(NOTHING)
    assert "never" not in summary_table(NOTHING)  # no accuracy is reported, so none is missed


def test_without_accuracy_other_figures_take_its_place() -> None:
    found = [{"test loss": 0.5, "squared error": 3263.0}, {"test loss": 0.25}]
    head, _, *lines = compare_table([("a", NOTHING), ("b", NOTHING)], found).splitlines()
    assert head.split() == ["run", "test", "loss", "squared", "error"]
    assert [line.split() for line in lines] == [["a", "0.5", "3,263"], ["b", "0.25", "–"]]
    assert "test loss" not in compare_table([("a", NOTHING), ("b", SUMMARY)], found)
    assert "test loss  " in summary_table(SUMMARY, found[0])


def test_names_cannot_drive_the_terminal() -> None:
    evil = "\x1b[2J\r\nroot"
    text = compare_table([(evil, SUMMARY)]) + summary_table(
        dataclasses.replace(SUMMARY, topology=evil, merge=evil, messages_refused={evil: 1}, world=evil)
    )
    assert not set("\x1b\r") & set(text)


def test_many_nodes_that_left_are_cut_short() -> None:
    assert "20 (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …)" in summary_table(
        dataclasses.replace(SUMMARY, left=tuple(range(20)))
    )


def test_best_is_more_or_less_as_the_figure_wants() -> None:
    worse = dataclasses.replace(
        SUMMARY, mean_accuracy=0.5, std_accuracy=0.2, rounds_to_accuracy={"0.80": 12}, wall_s=1.0
    )
    pair = [worse, SUMMARY]
    assert best(MEAN, pair) == best(SPREAD, pair) == best(TO_80, pair) == [False, True]
    assert best(WALL, pair) == [False, False]


def test_equal_figures_are_all_best_or_none() -> None:
    assert best(MEAN, [SUMMARY, SUMMARY]) == [False, False]
    assert best(MEAN, [SUMMARY, NOTHING, SUMMARY]) == [True, False, True]
    assert best(MEAN, [NOTHING, NOTHING]) == [False, False]


def test_aligned_rows() -> None:
    assert aligned([["a", "bb"], ["ccc", "d"]]) == "a    bb\n-------\nccc   d"
