"""Blocks cover the vector once; results and buffers are shared only where nobody can notice."""

import pytest
import torch

from gossipnet.merge import blocks
from gossipnet.merge.blocks import Results, Scratch, batched, scoped_entries

LARGE = blocks._LARGE_BYTES // 4


CPU = torch.device("cpu")


@pytest.mark.parametrize("most", [1, 7, 100, 1 << 16])
@pytest.mark.parametrize("tensors", ["weights", "all"])
def test_blocks_cover_every_number_once(spec, tensors, most, monkeypatch):
    monkeypatch.setattr(blocks, "_COLUMNS", most)
    scoped = scoped_entries(spec, tensors)
    found = list(blocks.blocks(spec.numel, scoped, 3, CPU))
    stretches = [stretch for block in found for stretch in block]
    assert [i for s in stretches for i in range(s.start, s.stop)] == list(range(spec.numel))
    assert all(0 < block[-1].stop - block[0].start <= most for block in found)
    for number, entry in enumerate(scoped):
        columns = [i for s in stretches if s.tensor == number for i in range(s.start, s.stop)]
        assert columns == list(range(entry.offset, entry.offset + entry.numel))


def test_a_small_model_is_one_block(spec):
    assert len(list(blocks.blocks(spec.numel, scoped_entries(spec), 3, CPU))) == 1


def test_a_big_tensor_spans_blocks_of_the_full_size(make_spec):
    most = blocks._COLUMNS
    spec = make_spec({"bias": (5,), "weight": (3, most), "rest": (2,)})
    found = list(blocks.blocks(spec.numel, scoped_entries(spec), 3, CPU))
    assert [block[-1].stop - block[0].start for block in found] == [5, most, most, most, 2]


@pytest.mark.parametrize("rows", [1, 2, 5, 65, 1 << 24])
def test_blocks_on_a_gpu_are_bounded_however_many_models_there_are(make_spec, rows):
    """`meta` stands for a GPU."""
    spec = make_spec({"weight": (5000, 4000), "rest": (2,)})
    most = blocks.columns(rows, torch.device("meta"))
    assert 4 * rows * most <= 32 << 20 or most == 1
    if rows < 100:
        found = blocks.spans(blocks.blocks(spec.numel, scoped_entries(spec), rows, torch.device("meta")))
        assert max(stop - start for start, stop in found) == min(most, spec.numel)
        assert [start for start, _ in found] == [0, *(stop for _, stop in found[:-1])]


def test_scoped_are_weights_or_all_parameters_but_never_buffers(spec):
    assert [e.name for e in scoped_entries(spec)] == ["conv", "fc", "out"]
    assert [e.name for e in scoped_entries(spec, "all")] == ["conv", "conv.bias", "fc", "scale", "fc.bias", "out"]


def test_vmap_is_noticed():
    seen = []
    torch.vmap(lambda row: seen.append((batched(row), Scratch(row)("name", 3))) or row)(torch.zeros(2, 3))
    assert seen == [(True, None)]
    assert not batched(torch.zeros(2, 3))


def test_scratch_is_one_buffer_for_all_blocks():
    scratch = Scratch(torch.zeros(1))
    first, smaller = scratch("a", 2, 8), scratch("a", 2, 3)
    assert first.data_ptr() == smaller.data_ptr()
    assert smaller.shape == (2, 3)
    assert scratch("b", 4, dtype=torch.float64).dtype == torch.float64


def test_the_memory_of_a_result_that_nobody_holds_is_used_again():
    results, vectors = Results(), torch.empty(1, LARGE)
    first = results.like(vectors)
    address = first.data_ptr()
    assert results.like(vectors).data_ptr() != address
    del first
    assert results.like(vectors).data_ptr() == address


def test_a_view_of_a_result_keeps_its_memory():
    results, vectors = Results(), torch.empty(1, LARGE)
    first = results.like(vectors).fill_(3.0)
    view = first[10:20]
    address = first.data_ptr()
    del first
    second = results.like(vectors).fill_(5.0)
    assert second.data_ptr() != address
    assert view.tolist() == [3.0] * 10
    del view
    assert results.like(vectors).data_ptr() == address


def test_one_idle_vector_is_kept_at_most():
    results = Results()
    kept = [results.like(torch.empty(1, LARGE)) for _ in range(3)]
    del kept
    assert len(results._idle) == 1


def test_a_result_of_another_size_or_dtype_is_new():
    results = Results()
    for vectors in (torch.empty(1, LARGE), torch.empty(1, LARGE + 1), torch.empty(1, LARGE, dtype=torch.float64)):
        result = results.like(vectors)
        assert (result.shape, result.dtype) == (vectors.shape[1:], vectors.dtype)
        del result


def test_results_outlive_their_maker():
    result = Results().like(torch.empty(1, LARGE)).fill_(2.0)
    assert float(result.sum()) == 2.0 * LARGE
