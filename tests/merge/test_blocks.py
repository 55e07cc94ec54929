"""Spans cover the vector once; results and buffers are shared only where nobody can notice."""

import pytest
import torch

from gossipnet.merge import blocks
from gossipnet.merge.blocks import Results, Scratch, batched, scoped_entries, spans

LARGE = blocks._LARGE_BYTES // 4


@pytest.mark.parametrize("tensors", ["weights", "all"])
def test_spans_cover_every_number_once(spec, tensors):
    scoped = scoped_entries(spec, tensors)
    found = spans(spec, scoped)
    columns = [i for span in found for block in span.blocks(torch.device("cpu")) for i in range(spec.numel)[block]]
    assert columns == list(range(spec.numel))
    assert [(s.start, s.stop) for s in found if s.scoped] == [(e.offset, e.offset + e.numel) for e in scoped]


def test_what_is_not_scoped_is_one_span(spec):
    assert spans(spec, ()) == [blocks.Span(0, spec.numel, False)]


def test_scoped_are_weights_or_all_parameters_but_never_buffers(spec):
    assert [e.name for e in scoped_entries(spec)] == ["conv", "fc", "out"]
    assert [e.name for e in scoped_entries(spec, "all")] == ["conv", "conv.bias", "fc", "scale", "fc.bias", "out"]


def test_a_long_span_comes_in_blocks():
    sizes = [b.stop - b.start for b in blocks.Span(5, 5 + 3 * blocks._COLUMNS + 2, True).blocks(torch.device("cpu"))]
    assert sizes == [blocks._COLUMNS] * 3 + [2]


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
