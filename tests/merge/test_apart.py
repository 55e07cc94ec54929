"""Models that lie apart are the matrix that they would make."""

import pytest
import torch
from two_lanes import LateLanes

from gossipnet.merge.apart import Apart, block_of, blocks_of, own_of


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


CUTS = [(0, 20), (20, 30), (30, 50)]


@pytest.mark.parametrize("lanes", [None, LateLanes()], ids=["one lane", "two lanes"])
@pytest.mark.parametrize("cuts", [[], CUTS[:1], CUTS[:2], CUTS, [(i, i + 1) for i in range(50)]], ids=len)
def test_blocks_come_one_after_the_other(cuts, lanes):
    vectors = matrix()
    came = blocks_of(Apart([*vectors], lanes), cuts)
    for (start, stop), block in zip(cuts, came, strict=True):
        assert block.equal(vectors[:, start:stop])
        block.fill_(torch.nan)  # whoever computes with a block uses it up


def test_the_next_block_is_on_its_way_while_one_is_worked_on():
    lanes = LateLanes()
    came = blocks_of(Apart([*matrix()], lanes), CUTS)
    next(came)
    assert (len(lanes.copies), lanes.done) == (6, 3)
    next(came)
    assert (len(lanes.copies), lanes.done) == (9, 6)


def test_two_blocks_are_on_the_device_at_a_time():
    """Whatever was copied there lies in one of two places, each as large as the largest block."""
    lanes = LateLanes()
    for _ in blocks_of(Apart([*matrix()], lanes), [(i, i + 5) for i in range(0, 50, 5)]):
        pass
    places = {into.untyped_storage().data_ptr(): into.untyped_storage().nbytes() for into, _ in lanes.copies}
    assert len(lanes.copies) == 3 * 10
    assert [*places.values()] == [3 * 5 * 4] * 2


def test_a_block_alone_waits_for_its_rows(monkeypatch):
    """When a merge is done, what it read is given back and written to by others."""
    vectors = matrix()
    apart = Apart([vectors[0].to("meta"), *vectors[1:]], LateLanes())
    asked, copy = [], torch.Tensor.copy_
    monkeypatch.setattr(torch.Tensor, "copy_", lambda into, source, *a, **o: asked.append((a, o)) or copy(into, source))
    apart.block(3, 20)
    assert asked == [((), {})] * 3
