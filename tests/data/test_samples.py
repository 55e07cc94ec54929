from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset

from gossipnet.data.samples import Samples, as_samples, dataset_labels, one_in_five
from gossipnet.errors import BadInput


class Pairs(Dataset):
    """A map-style dataset of the pairs that it is given."""

    def __init__(self, *pairs: Any, **attributes: Any) -> None:
        self.pairs = pairs
        self.__dict__.update(attributes)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Any:
        return self.pairs[index]


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter([(0, 0)])


def test_pixels_stay_bytes_in_memory_and_are_scaled_in_a_batch() -> None:
    pixels = np.array([[0, 51], [255, 102], [1, 2]], dtype=np.uint8)
    samples = Samples(pixels, np.array([2, 0, 1], dtype=np.uint8))
    inputs, targets = samples.batch(np.array([1, 0, 1]))
    assert torch.equal(inputs, torch.tensor([[1.0, 0.4], [0.0, 0.2], [1.0, 0.4]]))
    assert inputs.dtype == torch.float32
    assert targets.tolist() == [0, 2, 0]
    assert targets.dtype == torch.int64
    assert pixels.tolist() == [[0, 51], [255, 102], [1, 2]]
    assert samples.shape == (2,)


def test_a_batch_is_a_copy() -> None:
    numbers = np.zeros((3, 2), dtype=np.float32)
    samples = Samples(numbers, np.zeros(3, dtype=np.float32))
    for tensor in samples.batch(np.arange(3)):
        tensor.add_(1)
    assert all(tensor.sum() == 0 for tensor in samples.batch(np.arange(3)))


def test_arrays_are_not_copied() -> None:
    pixels = np.zeros((4, 2), dtype=np.uint8)
    samples = Samples(pixels, np.zeros(4, dtype=np.int64))
    pixels[3] = 255
    assert samples.batch(np.array([3]))[0].tolist() == [[1.0, 1.0]]


def test_real_targets_are_no_classes() -> None:
    samples = Samples(np.zeros((2, 3)), np.array([0.5, 1.5]))
    assert samples.targets is None
    inputs, targets = samples.batch(np.array([1]))
    assert (inputs.dtype, targets.dtype) == (torch.float32, torch.float32)
    assert targets.tolist() == [1.5]


def test_labels_are_the_classes() -> None:
    samples = Samples(np.zeros((3, 1)), np.array([4, 5, 6], dtype=np.uint8))
    assert samples.targets is not None
    assert samples.targets.dtype == np.int64
    assert samples.targets.tolist() == [4, 5, 6]


def test_inputs_are_prepared_batch_by_batch() -> None:
    samples = Samples(np.array([[1], [2]]), np.array([0, 1]), prepare=lambda batch: batch.float() * 10)
    assert samples.batch(np.array([1, 0]))[0].tolist() == [[20.0], [10.0]]


def test_samples_come_in_pairs() -> None:
    with pytest.raises(BadInput, match="got 2 inputs and 3 targets"):
        Samples(np.zeros((2, 1)), np.zeros(3))


@pytest.mark.parametrize("nothing", [(np.zeros((0, 1)), np.zeros(0)), Pairs()])
def test_no_samples_are_refused(nothing: Any) -> None:
    with pytest.raises(BadInput, match="got no samples"):
        as_samples(nothing)


def test_a_dataset_gives_the_batches_that_its_arrays_would() -> None:
    x, y = torch.rand(7, 3), torch.arange(7) % 3
    indices = np.array([6, 0, 0, 3])
    from_arrays = Samples(x.numpy(), y.numpy())
    for dataset in (TensorDataset(x, y), Pairs(*zip(x, y, strict=True)), list(zip(x, y, strict=True))):
        samples = Samples(dataset)
        assert len(samples) == 7
        for got, wanted in zip(samples.batch(indices), from_arrays.batch(indices), strict=True):
            assert torch.equal(got, wanted)
            assert got.dtype == wanted.dtype


def test_items_may_be_arrays_and_python_numbers() -> None:
    inputs, targets = Samples(Pairs((np.array([255, 0], np.uint8), 1), (np.array([0, 51], np.uint8), 0))).batch(
        np.array([0, 1])
    )
    assert inputs.tolist() == [[1.0, 0.0], [0.0, pytest.approx(0.2)]]
    assert targets.tolist() == [1, 0]
    assert Samples(Pairs((0.5, 1.5))).batch(np.array([0]))[1].dtype == torch.float32


@pytest.mark.parametrize("labels", [[2, 0, 1], np.array([2, 0, 1]), torch.tensor([2, 0, 1])])
@pytest.mark.parametrize("name", ["targets", "labels"])
def test_a_datasets_labels_are_found_without_reading_items(labels: Any, name: str) -> None:
    dataset = Pairs((None, None), (None, None), (None, None), **{name: labels})
    found = Samples(dataset).targets
    assert found is not None
    assert found.tolist() == [2, 0, 1]


def test_labels_are_found_through_torchs_own_datasets() -> None:
    tensors = TensorDataset(torch.zeros(4, 2), torch.tensor([5, 6, 7, 8]))
    joined = ConcatDataset([Subset(tensors, [3, 1]), tensors])
    assert np.asarray(dataset_labels(joined)).tolist() == [8, 6, 5, 6, 7, 8]
    assert dataset_labels(ConcatDataset([tensors, Pairs((0, 0))])) is None
    assert dataset_labels(Subset(Pairs((0, 0)), [0])) is None


@pytest.mark.parametrize("labels", [[0.5, 1.5], [[0, 1], [1, 0]], [0, 1, 2], ["a", "b"]])
def test_what_are_no_labels_is_not_taken_for_them(labels: Any) -> None:
    assert Samples(Pairs((0, 0), (0, 0), targets=labels)).targets is None


@pytest.mark.parametrize(
    ("dataset", "complaint"),
    [
        (Pairs({"x": 1}), "item 0 of Pairs is a dict"),
        (Pairs((1, 2, 3)), "item 0 of Pairs is a tuple, expected a pair"),
        (Pairs(("text", 1)), "item 0 of Pairs is a pair of str and int"),
        (Pairs((torch.zeros(2), 0), (torch.zeros(3), 0)), "item 0 of Pairs and the next make no batch"),
    ],
)
def test_items_that_make_no_batch_are_named(dataset: Any, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint) as caught:
        Samples(dataset).batch(np.arange(len(dataset)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [3, iter([1, 2]), Stream()])
def test_what_has_no_items_is_refused(data: Any) -> None:
    with pytest.raises(BadInput, match="expected arrays or a dataset"):
        as_samples(data)


def test_users_data_become_samples() -> None:
    samples = Samples([[1.0]], [0])
    assert as_samples(samples) is samples
    assert as_samples((np.ones((2, 1)), np.zeros(2))).batch(np.array([1]))[0].tolist() == [[1.0]]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.integers(0, 2**32))
@settings(max_examples=60)
def test_every_class_gives_its_fifth_to_the_test(labels: list[int], seed: int) -> None:
    array = np.array(labels)
    testing = one_in_five(array, seed)
    assert testing.sum() == -(-len(labels) // 5)
    for label in set(labels):
        assert abs(testing[array == label].sum() - (array == label).sum() / 5) < 1


def test_the_split_is_the_same_every_time_and_random() -> None:
    labels = np.arange(200) % 10
    assert np.array_equal(one_in_five(labels), one_in_five(labels))
    assert not np.array_equal(one_in_five(labels, 1), one_in_five(labels, 2))


def test_groups_are_those_given_or_those_of_the_dataset() -> None:
    x, y = np.zeros((3, 1)), np.arange(3)
    assert Samples(x, y).groups is None
    assert Samples(x, y, groups=["a", "b", "a"]).groups.tolist() == ["a", "b", "a"]
    dataset = TensorDataset(torch.zeros(3, 1), torch.zeros(3))
    dataset.groups = [1, 2, 1]
    assert Samples(dataset).groups.tolist() == [1, 2, 1]
    with pytest.raises(BadInput, match=r"got groups of shape \(2,\), expected one for each of 3 samples"):
        Samples(x, y, groups=["a", "b"])


@pytest.mark.parametrize("order", ["added channel", "channels last"])
def test_a_batch_has_the_strides_of_a_new_tensor(order):
    """Others would choose other kernels, one of which corrupts memory."""
    images = np.arange(6 * 4 * 4, dtype=np.uint8).reshape(6, 4, 4)
    images = images[:, None] if order == "added channel" else np.stack([images] * 3, axis=-1).transpose(0, 3, 1, 2)
    inputs, _ = Samples(images, np.zeros(6, dtype=np.int64)).batch(np.array([4, 1]))
    assert inputs.stride() == torch.empty(inputs.shape).stride()
    assert torch.equal(inputs, torch.tensor(images[[4, 1]]) / 255)
