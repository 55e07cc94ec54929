"""Models that lie apart are the matrix that they would make."""

import torch

from gossipnet.merge.apart import Apart, block_of, own_of


def matrix():
    return torch.randn(3, 50, generator=torch.Generator().manual_seed(0))


def test_blocks_are_columns_of_the_matrix():
    vectors = matrix()
    apart = Apart([row.clone() for row in vectors])
    for start, stop in ((0, 50), (3, 10), (10, 50), (49, 50)):
        assert block_of(apart, start, stop).equal(vectors[:, start:stop])
        assert block_of(vectors, start, stop).equal(vectors[:, start:stop])
    assert (len(apart), apart.shape, apart.dtype) == (3, vectors.shape, vectors.dtype)


def test_the_own_model_is_no_copy():
    vectors = matrix()
    assert own_of(vectors).data_ptr() == vectors.data_ptr()
    own = vectors[0].clone()
    assert own_of(Apart([own, vectors[1]])) is own


def test_blocks_take_turns_in_one_memory():
    apart = Apart([*matrix()])
    first, second = apart.block(0, 20), apart.block(20, 30)
    assert first.data_ptr() == second.data_ptr()
    assert second.is_contiguous()


def test_blocks_are_made_on_the_device_of_the_own_model():
    """`meta` stands for a GPU: its tensors have a device and a shape and take copies, and no numbers."""
    vectors = matrix()
    apart = Apart([vectors[0].to("meta"), *vectors[1:]])
    block = apart.block(3, 20)
    assert (block.device.type, block.shape) == ("meta", (3, 17))
    assert apart.device.type == "meta"
