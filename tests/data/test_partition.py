import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossipnet.data.partition import class_counts, partition, partitions
from gossipnet.errors import BadInput

TEXTS = [
    "iid",
    "dirichlet:alpha=0.1",
    "dirichlet:alpha=0.001",
    "dirichlet:alpha=100,min_samples=2",
    "shards:per_node=2",
    "shards:per_node=1",
    "quantity:alpha=0.5",
    "quantity:alpha=0.001",
]


@pytest.mark.parametrize("text", TEXTS)
@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(2, 12), st.integers(1, 12), st.integers(0, 2**32))
def test_every_split_is_a_partition(text, n_nodes, each, n_classes, seed):
    size = n_nodes * each + seed % n_nodes
    targets = np.random.default_rng(seed).integers(0, n_classes, size)
    parts = partition(text, targets, size, n_nodes, seed)
    assert len(parts) == n_nodes
    assert all(len(part) for part in parts)
    assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(size))
    again = partition(text, targets, size, n_nodes, seed)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


@pytest.mark.parametrize("text", TEXTS)
def test_one_node_holds_everything_and_seeds_differ(text):
    targets = np.arange(100) % 10
    (whole,) = partition(text, targets, 100, 1, 0)
    assert np.array_equal(whole, np.arange(100))
    draws = [np.concatenate(partition(text, targets, 100, 4, seed)).tolist() for seed in range(3)]
    assert draws[0] != draws[1] or draws[1] != draws[2]


def test_iid_sizes_differ_by_at_most_one():
    sizes = [len(part) for part in partition("iid", None, 103, 8, 0)]
    assert max(sizes) - min(sizes) == 1


def test_shards_limit_the_classes_of_a_node():
    targets = np.repeat(np.arange(10), 100)
    parts = partition("shards:per_node=2", targets, 1000, 10, 3)
    assert all(len(part) == 100 for part in parts)
    assert all(len(np.unique(targets[part])) <= 2 for part in parts)


def test_a_smaller_alpha_is_more_skewed():
    targets = np.repeat(np.arange(10), 500)

    def skew(alpha):
        counts = class_counts(targets, partition(f"dirichlet:alpha={alpha}", targets, 5000, 10, 0))["counts"]
        return np.mean([max(row) / sum(row) for row in counts])

    assert skew(1000) < 0.15 < skew(1) < skew(0.05)


def test_a_dirichlet_class_goes_to_nodes_in_the_drawn_shares():
    """Oracle: the first draw of the stream is the first class's permutation, then its shares."""
    targets = np.zeros(10_000, dtype=int)
    parts = partition("dirichlet:alpha=5", targets, 10_000, 4, 11)
    rng = np.random.default_rng(11)
    rng.permutation(10_000)
    assert np.allclose([len(part) / 10_000 for part in parts], rng.dirichlet([5.0] * 4), atol=1e-3)


def test_min_samples_is_kept_and_may_not_exceed_the_mean():
    targets = np.repeat(np.arange(10), 20)
    parts = partition("dirichlet:alpha=0.01,min_samples=10", targets, 200, 10, 5)
    assert min(map(len, parts)) >= 10
    with pytest.raises(BadInput, match="expected 1 to 20"):
        partition("dirichlet:alpha=0.01,min_samples=21", targets, 200, 10, 5)


def test_quantity_varies_sizes_not_classes():
    targets = np.tile(np.arange(2), 5000)
    parts = partition("quantity:alpha=1", targets, 10_000, 5, 1)
    sizes = [len(part) for part in parts]
    assert max(sizes) > 2 * min(sizes)
    large = max(parts, key=len)
    assert abs(targets[large].mean() - 0.5) < 0.05


def test_class_counts():
    targets = np.array([3, 5, 5, 3, 9])
    found = class_counts(targets, [np.array([0, 1, 2]), np.array([3, 4])])
    assert found == {"classes": [3, 5, 9], "counts": [[1, 2, 0], [1, 0, 1]]}
    assert class_counts(None, [np.array([0])]) == {}


@pytest.mark.parametrize(
    ("text", "targets", "size", "n_nodes", "says"),
    [
        ("iid", None, 3, 4, "3 samples cannot be split over 4 nodes"),
        ("iid", None, 3, 0, "at least 1 node"),
        ("dirichlet:alpha=0.1", None, 9, 3, "no targets; use iid"),
        ("dirichlet:alpha=0.1", np.zeros(9), 9, 3, "float64"),
        ("shards", None, 9, 3, "no targets"),
        ("shards:per_node=4", np.zeros(9, int), 9, 3, "per_node=3 at most"),
        ("shards:per_node=0", np.zeros(9, int), 9, 3, "expected at least 1"),
        ("dirichlet:alpha=0", np.zeros(9, int), 9, 3, "expected 0.001"),
        ("dirichlet:alpha=nan", np.zeros(9, int), 9, 3, "expected float"),
        ("quantity:alpha=-1", None, 9, 3, "expected 0.001"),
        ("dirichlet:aplha=1", np.zeros(9, int), 9, 3, "did you mean 'alpha'"),
        ("dirichlett", np.zeros(9, int), 9, 3, "did you mean 'dirichlet'"),
        ("iid", np.zeros(8, int), 9, 3, "8 targets for 9 samples"),
    ],
)
def test_bad_input_is_one_line(text, targets, size, n_nodes, says):
    with pytest.raises(BadInput, match=says) as caught:
        partition(text, targets, size, n_nodes, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("parts", [[[0, 1], [1, 2]], [[0, 1], []], [[0, 1, 2]], [[0], [1, 3]]])
def test_a_users_split_that_is_none_is_named(parts):
    @partitions.register("broken-for-a-test")
    def broken():
        return lambda targets, size, n_nodes, rng: [np.array(p, dtype=int) for p in parts]

    try:
        with pytest.raises(BadInput, match="broken-for-a-test"):
            partition("broken-for-a-test", None, 3, 2, 0)
    finally:
        del partitions._factories["broken-for-a-test"]


# --- by a column of the user's ----------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 10), st.integers(1, 15), st.integers(0, 2**32))
def test_groups_stay_together_as_far_as_there_are_nodes(n_nodes, each, n_groups, seed):
    size = n_nodes * each
    groups = np.random.default_rng(seed).integers(0, n_groups, size).astype(str)
    parts = partition("column", None, size, n_nodes, seed, groups)
    holders = {value: [i for i, part in enumerate(parts) if value in groups[part]] for value in np.unique(groups)}
    if len(holders) >= n_nodes:
        assert all(len(nodes) == 1 for nodes in holders.values())
    else:  # each node holds one group, and pieces of it are even
        assert all(len(np.unique(groups[part])) == 1 for part in parts)
        for nodes in holders.values():
            sizes = [len(parts[i]) for i in nodes]
            assert max(sizes) - min(sizes) <= 1


def test_many_groups_are_dealt_evenly():
    groups = np.repeat(np.arange(40), np.arange(1, 41))
    sizes = [len(part) for part in partition("column", None, len(groups), 8, 0, groups)]
    assert max(sizes) - min(sizes) < 10, "of 820 samples"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("anna\nbob\nanna\n\nbob\n", "column:path=who.csv"),
        ("age,who\n7,anna\n8,bob\n9,anna\n9,bob\n", "column:path=who.csv,name=who"),
    ],
)
def test_a_column_of_a_file(tmp_path, monkeypatch, content, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "who.csv").write_text(content)
    assert [part.tolist() for part in partition(text, None, 4, 2, 0)] == [[0, 2], [1, 3]]


@pytest.mark.parametrize(
    ("content", "text", "said"),
    [
        ("", "column", "this task has no groups"),
        ("a\nb\n", "column:path=who.csv", "got 2 values for 4 training samples"),
        ("a\nb\n", "column:path=whom.csv", "no file 'whom.csv'"),
        ("age,who\n7,a\n", "column:path=who.csv,name=whom", "did you mean 'who'"),
        ("age,who\n7,a\n8\n", "column:path=who.csv,name=who", "row 2 has 1 columns, expected 2"),
        ("\udcff", "column:path=who.csv", "expected lines of UTF-8 text"),
    ],
)
def test_a_wrong_column_is_refused(tmp_path, monkeypatch, content, text, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "who.csv").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadInput, match=said):
        partition(text, None, 4, 2, 0)
