import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from gossipnet.data import Task, make_model, make_task
from gossipnet.errors import BadInput

N = 50


def everything(task: Task) -> tuple[np.ndarray, np.ndarray]:
    parts = [part.batch(np.arange(len(part))) for part in (task.train, task.test)]
    inputs, targets = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    return inputs, targets


@pytest.fixture
def numbers(data_folder: Path) -> np.ndarray:
    """mine.csv in the data folder, with columns a, b and y; y is linear in the others, and large."""
    draw = np.random.default_rng(0)
    table = np.column_stack([draw.normal(5, 2, N), draw.normal(0, 1e-3, N), np.zeros(N)])
    table[:, 2] = 3000 * table[:, 0] - 2e6 * table[:, 1]
    np.savetxt(data_folder / "mine.csv", table, delimiter=",", header="a, b, y", comments="", fmt="%.17g")
    return table


@pytest.mark.usefixtures("numbers")
def test_training_columns_have_mean_zero_and_variance_one() -> None:
    task = make_task("table:path=mine.csv,target=y")
    assert (len(task.train), len(task.test), task.inputs, task.outputs) == (40, 10, (2,), 1)
    assert task.train.targets is None
    for column in task.train.batch(np.arange(40)):
        assert torch.allclose(column.mean(0), torch.zeros(column.shape[1]), atol=1e-6)
        assert torch.allclose(column.var(0, correction=0), torch.ones(column.shape[1]), atol=1e-5)


def test_every_row_is_in_one_part_and_errors_are_in_units_of_the_target(numbers: np.ndarray) -> None:
    """Outputs of zero are off by the target's distance from the training mean."""
    task = make_task("table:path=mine.csv,target=y")
    inputs, targets = everything(task)
    scale = (
        np.abs(np.subtract.outer(numbers[:, 2], numbers[:, 2])).max()
        / np.abs(np.subtract.outer(targets, targets)).max()
    )
    errors = task.metrics["absolute_error"](torch.zeros(N, 1), torch.from_numpy(targets)).numpy()
    assert np.allclose(errors, np.abs(targets[:, 0]) * scale, rtol=1e-4)
    squares = task.metrics["squared_error"](torch.zeros(N, 1), torch.from_numpy(targets)).numpy()
    assert np.allclose(squares, errors**2, rtol=1e-4)
    order, wanted = np.argsort(targets[:, 0]), np.argsort(numbers[:, 2])
    for column in range(2):
        assert np.corrcoef(inputs[order, column], numbers[wanted, column])[0, 1] == pytest.approx(1)


@pytest.mark.usefixtures("numbers")
def test_the_exact_solution_has_no_loss() -> None:
    task = make_task("table:path=mine.csv,target=y")
    inputs, targets = everything(task)
    solution = np.linalg.lstsq(inputs, targets, rcond=None)[0]
    model = make_model("logistic", task)
    with torch.no_grad():
        model.linear.weight.copy_(torch.from_numpy(solution.T))
        assert task.loss(model(torch.from_numpy(inputs)), torch.from_numpy(targets)) < 1e-9
        assert task.loss(torch.zeros(N, 1), torch.from_numpy(targets)) == pytest.approx(1, rel=0.3)


def test_a_constant_column_stays_finite(data_folder: Path) -> None:
    (data_folder / "mine.csv").write_text("x,c,y\n" + "".join(f"{i},7.3,{i * i}\n" for i in range(10)))
    inputs, _ = everything(make_task("table:path=mine.csv,target=y"))
    assert np.isfinite(inputs).all()
    assert np.abs(inputs[:, 1]).max() < 1e-6


def test_the_column_of_groups_is_no_feature_and_may_be_text(data_folder: Path) -> None:
    rows = "".join(f"{i},{'north south east'.split()[i % 3]},{i * i}\n" for i in range(30))
    (data_folder / "mine.csv").write_text("x,site,y\n" + rows)
    task = make_task("table:path=mine.csv,target=y,group=site")
    assert task.inputs == (1,)
    assert task.train.groups is not None
    # x is i, standardized: its rank among all samples tells the row
    x = np.concatenate([task.train.batch(np.arange(len(task.train)))[0], task.test.batch(np.arange(6))[0]])[:, 0]
    order = x.argsort().argsort()[: len(task.train)]
    assert [["north", "south", "east"][i % 3] for i in order] == task.train.groups.tolist()
    with pytest.raises(BadInput, match="did you mean 'site'"):
        make_task("table:path=mine.csv,target=y,group=sight")


@pytest.mark.parametrize(
    ("content", "text", "complaint"),
    [
        ("a,y\n1,2\n3,x\n", "path=mine.csv,target=y", "row 2, column 'y': got 'x', expected a number"),
        ("a,y\n1,\n3,4\n", "path=mine.csv,target=y", "row 1, column 'y': got ''"),
        ("a,y\n1,nan\n3,4\n", "path=mine.csv,target=y", "row 1, column 'y': got 'nan'"),
        ("a,y\n1,2\n3\n", "path=mine.csv,target=y", "row 2 has 1 columns, expected 2"),
        ("a,y\n", "path=mine.csv,target=y", "has no rows"),
        ("", "path=mine.csv,target=y", "has no rows"),
        ("y\n1\n2\n", "path=mine.csv,target=y", "0 columns of features, expected two and one"),
        ("a,price\n1,2\n3,4\n", "path=mine.csv,target=prize", "did you mean 'price'"),
        ("a,y\n1,2\n", "path=none.csv,target=y", "no file 'none.csv'"),
        ("a,y\n1,2\n", "path=mine.csv", "write table:path=FILE.csv,target=COLUMN"),
    ],
)
def test_wrong_tables_are_refused(data_folder: Path, content: str, text: str, complaint: str) -> None:
    (data_folder / "mine.csv").write_text(content)
    with pytest.raises(BadInput, match=complaint) as caught:
        make_task(f"table:{text}")
    assert "\n" not in str(caught.value)


def housing() -> np.ndarray:
    """Rows that can be told apart by any of their columns."""
    draw = np.random.default_rng(1)
    return draw.permuted(np.tile(np.arange(1.0, N + 1), (9, 1)), axis=1).T


def text_of(table: np.ndarray) -> str:
    return "".join(",".join(f"{number:.6f}" for number in row) + "\n" for row in table)


def test_housing_has_the_columns_that_scikit_learn_makes_of_the_file(data_folder: Path) -> None:
    table = housing()
    (data_folder / "california-housing").mkdir()
    (data_folder / "california-housing" / "cal_housing.data").write_text(text_of(table))
    task = make_task("california-housing")
    inputs, targets = everything(task)
    # as in sklearn.datasets.fetch_california_housing: columns reordered, then divided by the households
    columns = table[:, [8, 7, 2, 3, 4, 5, 6, 1, 0]]
    value, features = columns[:, 0] / 100_000, columns[:, 1:].copy()
    features[:, 2] /= features[:, 5]
    features[:, 3] /= features[:, 5]
    features[:, 5] = features[:, 4] / features[:, 5]
    order, wanted = np.argsort(targets[:, 0], kind="stable"), np.argsort(value, kind="stable")
    for column in range(8):
        assert np.corrcoef(inputs[order, column], features[wanted, column])[0, 1] == pytest.approx(1)
    spread = task.metrics["absolute_error"](torch.from_numpy(targets), torch.from_numpy(targets[::-1].copy()))
    assert spread.max() <= np.ptp(value) * 1.0001


def test_housing_is_read_from_the_archive_too(data_folder: Path) -> None:
    folder = data_folder / "california-housing"
    folder.mkdir()
    content = text_of(housing()).encode()
    with tarfile.open(folder / "cal_housing.tgz", "w:gz") as tar:
        member = tarfile.TarInfo("CaliforniaHousing/cal_housing.data")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    from_archive = everything(make_task("california-housing"))
    (folder / "cal_housing.data").write_bytes(content)
    assert all(map(np.array_equal, from_archive, everything(make_task("california-housing"))))


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x1f\x8b\x08"])
def test_a_damaged_archive_is_refused(data_folder: Path, content: bytes) -> None:
    (data_folder / "california-housing").mkdir()
    (data_folder / "california-housing" / "cal_housing.tgz").write_bytes(content)
    with pytest.raises(BadInput, match=r"cal_housing\.tgz: cannot be read"):
        make_task("california-housing")


@pytest.mark.usefixtures("data_folder")
def test_without_the_file_it_is_asked_for() -> None:
    with pytest.raises(BadInput, match=r"no file 'cal_housing\.tgz' in .*california-housing"):
        make_task("california-housing")
