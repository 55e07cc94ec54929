import copy
import itertools
import math
import os
import re
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gossipnet.errors import BadInput
from gossipnet.model import Entry, ModelSpec, Snapshot, bind


class Holder(nn.Module):
    """A module of the tensors that it is given; those that are no Parameter become persistent buffers."""

    def __init__(self, **tensors: Tensor) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(name, tensor)
            else:
                self.register_buffer(name, tensor)


def weight(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape))


class TwoParametersOneStorage(nn.Module):
    """`first` and `second` are two Parameter objects that hold the same memory."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = nn.Parameter(self.first.weight.data)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


def tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    return model


def shared_module() -> nn.Module:
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.Tanh(), layer)


def frozen() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 4))
    return model.requires_grad_(False).append(nn.Linear(4, 4))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(4, 3),
    "no bias": lambda: nn.Linear(4, 3, bias=False),
    "tied": tied,
    "two parameters, one storage": TwoParametersOneStorage,
    "shared module": shared_module,
    "frozen": frozen,
    "batch norm": lambda: nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2)),
    "channels last": lambda: nn.Sequential(nn.Unflatten(1, (4, 1, 1)), nn.Conv2d(4, 6, 3, padding=1)).to(
        memory_format=torch.channels_last
    ),
    "recurrent": lambda: nn.LSTM(4, 5, num_layers=2),
    "parametrized": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)),
    "spectral": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3)),
    "embedding": lambda: nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3)),
}
every_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())


def output(model: nn.Module, x: Tensor) -> Tensor:
    result = model(x)
    return result[0] if isinstance(result, tuple) else result


def inputs(n: int = 5) -> Tensor:
    return torch.linspace(-1, 1, 4 * n).view(n, 4)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 3) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        output(model, inputs()).square().mean().backward()
        optimizer.step()


def trainable(model: nn.Module) -> list[nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]


def assert_same(got: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    """But for rounding: bind makes tensors contiguous and gives them other addresses, and kernels differ by that."""
    for name, tensor in got.items():
        torch.testing.assert_close(tensor, wanted[name], rtol=1e-4, atol=1e-6)


def memory(tensor: Tensor) -> set[int]:
    """Addresses of all its numbers."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    reach = itertools.product(*([s * i for i in range(n)] for n, s in steps))
    return {tensor.data_ptr() + 4 * sum(offsets) for offsets in reach}


# --- bind: any model -------------------------------------------------------------------------------------------


@every_model
def test_bind_changes_no_number_and_no_parameter_object(make: Callable[[], nn.Module]) -> None:
    model = make()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    objects = {name: id(p) for name, p in model.named_parameters(remove_duplicate=False)}
    frozen_ones = [p.requires_grad for p in model.parameters()]
    vector = bind(model)
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert {name: id(p) for name, p in model.named_parameters(remove_duplicate=False)} == objects
    assert [p.requires_grad for p in model.parameters()] == frozen_ones
    assert vector.dtype == torch.float32
    assert not vector.requires_grad


@every_model
def test_the_vector_is_dense_and_holds_every_float_once(make: Callable[[], nn.Module]) -> None:
    model = make()
    vector, spec = bind(model), ModelSpec.of(model)
    held = [memory(p) for p in model.parameters()]
    held += [memory(b) for b in model.buffers() if b.is_floating_point()]
    assert set().union(*held) == memory(vector)
    assert spec.numel == len(vector)
    assert [e.offset for e in spec.entries] == list(
        itertools.accumulate([e.numel for e in spec.entries[:-1]], initial=0)
    )


@every_model
def test_writing_the_vector_writes_the_model(make: Callable[[], nn.Module]) -> None:
    model, other = make(), make()
    vector, theirs = bind(model), bind(other)
    vector.copy_(theirs)
    for model_ in (model, other):
        model_.eval()
    assert torch.equal(output(model, inputs()), output(other, inputs()))


@every_model
def test_training_writes_the_vector(make: Callable[[], nn.Module]) -> None:
    """And comes to the same as without bind."""
    torch.manual_seed(0)
    model = make()
    torch.manual_seed(0)
    free = make()
    vector = bind(model)
    for model_ in (model, free):
        torch.manual_seed(1)
        train(model_, torch.optim.SGD(trainable(model_), lr=0.1, momentum=0.9))
    assert_same(ModelSpec.of(model).views(vector), free.state_dict())


@every_model
def test_an_optimizer_made_before_bind_trains(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model = make()
    torch.manual_seed(0)
    free = make()
    optimizers = [torch.optim.AdamW(trainable(m), lr=0.01) for m in (model, free)]
    train(model, optimizers[0], 2), train(free, optimizers[1], 2)  # it has state and gradients already
    vector = bind(model)
    before = vector.clone()
    train(model, optimizers[0]), train(free, optimizers[1])
    assert not torch.equal(vector, before)
    assert_same(ModelSpec.of(model).views(vector), free.state_dict())


@every_model
def test_bind_again_moves_the_model_to_a_new_vector(make: Callable[[], nn.Module]) -> None:
    model = make()
    old, spec = bind(model), ModelSpec.of(model)
    new = bind(model)
    assert torch.equal(old, new)
    assert ModelSpec.of(model) == spec
    old.zero_()
    assert new.count_nonzero() > 0
    train(model, torch.optim.SGD(trainable(model), lr=0.1))
    assert old.count_nonzero() == 0


@every_model
def test_bind_does_not_change_the_spec(make: Callable[[], nn.Module]) -> None:
    model = make()
    before = ModelSpec.of(model)
    bind(model)
    assert ModelSpec.of(model) == before


@every_model
def test_load_state_dict_writes_the_vector(make: Callable[[], nn.Module]) -> None:
    model, other = make(), make()
    vector = bind(model)
    model.load_state_dict(other.state_dict())
    assert torch.equal(vector, bind(other))


@every_model
def test_a_deepcopy_is_a_model_of_its_own(make: Callable[[], nn.Module]) -> None:
    model = make()
    vector = bind(model)
    twin = copy.deepcopy(model)
    theirs = bind(twin)
    before = vector.clone()
    theirs.zero_()
    assert torch.equal(vector, before)
    if not isinstance(model, TwoParametersOneStorage):  # torch itself copies such parameters apart
        assert ModelSpec.of(twin) == ModelSpec.of(model)


# --- bind: odd tensors -----------------------------------------------------------------------------------------


def test_the_order_is_parameters_then_float_buffers_tied_ones_once() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    model.add_module("again", model[0])
    spec = ModelSpec.of(model)
    assert [(e.name, e.shape, e.buffer) for e in spec.entries] == [
        ("0.weight", (3, 2), False),
        ("0.bias", (3,), False),
        ("1.weight", (3,), False),
        ("1.bias", (3,), False),
        ("2.weight", (2, 3), False),
        ("2.bias", (2,), False),
        ("1.running_mean", (3,), True),
        ("1.running_var", (3,), True),
    ]
    assert spec.ties == (("again.weight", "0.weight"), ("again.bias", "0.bias"))
    assert (spec.n_parameters, spec.numel) == (6 + 3 + 3 + 3 + 6 + 2, 29)
    assert str(spec) == f"{spec.digest.hex()} (8 tensors, 29 numbers)"


def test_two_parameters_over_one_storage_stay_tied() -> None:
    model = TwoParametersOneStorage()
    vector, spec = bind(model), ModelSpec.of(model)
    assert spec.ties == (("second.weight", "first.weight"),)
    assert spec.numel == 16 + 4 + 4
    assert model.first.weight is not model.second.weight
    spec.views(vector)["first.weight"].fill_(7)
    assert torch.equal(model.second.weight, torch.full((4, 4), 7.0))


def test_a_buffer_that_is_a_parameter_stays_tied() -> None:
    held = weight(3)
    model = Holder(w=held, copy=held.detach())
    vector = bind(model)
    assert len(vector) == 3
    vector.fill_(5)
    assert torch.equal(model.copy, torch.full((3,), 5.0))


def test_integer_and_bool_and_non_persistent_buffers_stay_local() -> None:
    model = Holder(w=weight(2), count=torch.tensor(3), mask=torch.tensor([True]), scale=torch.tensor([0.5]))
    model.register_buffer("causal", torch.full((2, 2), -torch.inf), persistent=False)
    model.register_buffer("small", torch.ones(2, dtype=torch.float16), persistent=False)
    model.register_buffer("nothing", None)
    local = {name: getattr(model, name).data_ptr() for name in ("count", "mask", "causal", "small")}
    vector = bind(model)
    assert [e.name for e in ModelSpec.of(model).entries] == ["w", "scale"]
    vector.zero_()
    assert model.scale.item() == 0
    assert (model.count.item(), model.mask.item()) == (3, True)
    assert {name: getattr(model, name).data_ptr() for name in local} == local


def test_batch_norm_keeps_its_statistics_in_the_vector() -> None:
    model = nn.Sequential(nn.BatchNorm1d(4))
    vector, spec = bind(model), ModelSpec.of(model)
    model(inputs() + 3)
    mean = spec.views(vector)["0.running_mean"]
    assert mean.data_ptr() == model[0].running_mean.data_ptr()
    assert torch.allclose(mean, 0.1 * (inputs() + 3).mean(0))
    assert model[0].num_batches_tracked.item() == 1


def test_a_number_without_dimensions() -> None:
    model = Holder(a=nn.Parameter(torch.tensor(2.0)), b=nn.Parameter(torch.tensor(3.0)), c=torch.tensor(4.0))
    vector = bind(model)
    assert vector.tolist() == [2, 3, 4]
    assert model.b.shape == ()
    vector[1] = 9
    assert model.b.item() == 9


def test_empty_tensors_take_no_room_and_are_not_tied() -> None:
    empty = nn.Parameter(torch.empty(0, 3))
    model = Holder(e=empty, w=weight(2), f=nn.Parameter(torch.empty(0, 3)), same=empty, g=torch.empty(0))
    spec = ModelSpec.of(model)
    assert [(e.name, e.offset, e.numel) for e in spec.entries] == [("e", 0, 0), ("w", 0, 2), ("f", 2, 0), ("g", 2, 0)]
    assert spec.ties == (("same", "e"),)
    vector = bind(model)
    assert {name: view.shape for name, view in spec.views(vector).items()}["e"] == (0, 3)
    assert ModelSpec.of(model) == spec


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(4, 6).t(),
        torch.randn(8, 6)[::2, ::3],
        torch.randn(3).expand(5, 3),
        torch.tensor(1.5).expand(2, 3, 4),
        torch.randn(10).as_strided((4, 4), (2, 1)),
        torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    ],
    ids=["transposed", "sliced", "expanded", "expanded number", "overlapping windows", "channels last"],
)
@pytest.mark.parametrize("wrap", [nn.Parameter, lambda t: t], ids=["parameter", "buffer"])
def test_any_strides_become_dense_and_keep_their_numbers(tensor: Tensor, wrap: Callable[[Tensor], Tensor]) -> None:
    model = Holder(odd=wrap(tensor), w=weight(2))
    wanted = tensor.clone()
    vector = bind(model)
    assert torch.equal(model.odd, wanted)
    assert model.odd.is_contiguous()
    assert memory(model.odd) <= memory(vector)
    with torch.no_grad():
        model.odd.flatten()[0] = 77  # one number, where before it may have been many
    assert (vector == 77).sum() == 1


def test_views_side_by_side_in_one_storage_are_not_tied() -> None:
    """As in a fused projection whose parts are parameters, or a model that is bound already."""
    fused = torch.randn(4, 6)
    parts = [nn.Parameter(fused[:, :3]), nn.Parameter(fused[:, 3:])]
    model = Holder(a=parts[0], b=parts[1])
    wanted = fused.clone()
    vector = bind(model)
    assert ModelSpec.of(model).ties == ()
    assert torch.equal(vector, torch.cat([wanted[:, :3].flatten(), wanted[:, 3:].flatten()]))
    expanded = Holder(a=nn.Parameter(fused[0, :2].expand(5, 2)), b=nn.Parameter(fused[0, 2:]))
    assert len(bind(expanded)) == 10 + 4


def test_strides_of_dimensions_of_one_do_not_untie() -> None:
    held = torch.randn(1, 4)
    model = Holder(a=nn.Parameter(held), b=nn.Parameter(held.as_strided((1, 4), (1, 1))))
    assert ModelSpec.of(model).ties == (("b", "a"),)


@given(
    shapes=st.lists(st.lists(st.integers(0, 3), max_size=3).map(tuple), min_size=1, max_size=5),
    lead=st.lists(st.integers(0, 3), max_size=2).map(tuple),
)
@settings(max_examples=100)
def test_views_of_stacked_vectors_read_the_same_numbers(shapes: list[tuple[int, ...]], lead: tuple[int, ...]) -> None:
    """Of (..., d), as the simulator holds many models, whatever the shapes."""
    model = Holder(w=weight(1), **{f"p{i}": weight(*shape) for i, shape in enumerate(shapes)})
    vector, spec = bind(model), ModelSpec.of(model)
    stacked = vector.expand(*lead, len(vector)).clone()
    views = spec.views(stacked)
    assert views.keys() == dict(model.named_parameters()).keys()
    for name, parameter in model.named_parameters():
        assert torch.equal(views[name], parameter.expand(lead + parameter.shape))
        assert views[name].untyped_storage().data_ptr() == stacked.untyped_storage().data_ptr()


def test_a_million_numbers_are_not_copied_by_a_view() -> None:
    entry = Entry("w", (1000, 1000), 24, 10**6, False)
    vector = torch.zeros(10**6 + 24)
    entry.of(vector)[999, 999] = 1
    assert vector[-1] == 1


# --- refusals --------------------------------------------------------------------------------------------------


def with_buffer(buffer: Tensor) -> nn.Module:
    return Holder(w=weight(2), b=buffer)


def transposed_tie(width: int) -> nn.Module:
    model = nn.Sequential(nn.Linear(3, width), nn.Linear(width, 3))
    model[1].weight = nn.Parameter(model[0].weight.data.t())
    return model


def sliced_tie() -> nn.Module:
    table = torch.randn(6, 3)
    return Holder(all=nn.Parameter(table), some=nn.Parameter(table[2:4]))


def two_devices() -> nn.Module:
    """Without a second device at hand: one that only says so."""

    class Elsewhere(nn.Parameter):
        device = torch.device("cuda", 1)

    return Holder(a=weight(2), b=Elsewhere(torch.zeros(2)))


UNFIT: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "nothing": (nn.ReLU, ["ReLU has no parameters"]),
    "only empty": (lambda: Holder(w=weight(0, 3)), ["no parameters"]),
    "only buffers": (lambda: nn.BatchNorm1d(3, affine=False), ["no parameters"]),
    "double": (lambda: nn.Linear(2, 2).double(), ["'weight' is torch.float64", ".float()"]),
    "half": (lambda: nn.Linear(2, 2).half(), ["torch.float16", ".float()"]),
    "mixed": (lambda: nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).bfloat16()), ["'1.weight' is torch.bfloat16"]),
    "integer": (lambda: Holder(w=nn.Parameter(torch.ones(2, dtype=torch.int64), requires_grad=False)), ["int64"]),
    "complex": (lambda: Holder(w=nn.Parameter(torch.ones(2, dtype=torch.complex64))), ["complex64", "view_as_real"]),
    "complex buffer": (lambda: with_buffer(torch.ones(2, dtype=torch.complex64)), ["buffer 'b' is torch.complex64"]),
    "scripted": (lambda: torch.jit.script(nn.Linear(2, 2)), ["a scripted module", "nn.Module"]),
    "double buffer": (lambda: with_buffer(torch.zeros(2).double()), ["buffer 'b' is torch.float64", ".float()"]),
    "nan buffer": (lambda: with_buffer(torch.tensor([0, torch.nan])), ["buffer 'b'", "nan or inf", "persistent=False"]),
    "inf buffer": (lambda: with_buffer(torch.full((2, 2), -torch.inf)), ["persistent=False"]),
    "sparse": (lambda: Holder(w=nn.Parameter(torch.eye(3).to_sparse())), ["parameter 'w'", "dense"]),
    "sparse buffer": (lambda: with_buffer(torch.eye(3).to_sparse()), ["buffer 'b'", "dense"]),
    "meta": (lambda: nn.Linear(2, 2, device="meta"), ["'weight' is on the meta device", "cpu"]),
    "meta twins": (lambda: nn.Sequential(*(nn.Linear(2, 2, device="meta") for _ in "ab")), ["meta device"]),
    "meta buffer": (lambda: with_buffer(torch.zeros(2, device="meta")), ["buffer 'b'", "meta device"]),
    "lazy": (lambda: nn.LazyLinear(3), ["'weight' has no shape yet", "forward pass"]),
    "lazy buffer": (lambda: nn.Sequential(nn.Linear(2, 2), nn.LazyBatchNorm1d(affine=False)), ["no shape yet"]),
    "square transposed tie": (lambda: transposed_tie(3), ["'1.weight'", "another view"]),
    "transposed tie": (lambda: transposed_tie(5), ["'1.weight'", "another view", "whole Parameter"]),
    "sliced tie": (sliced_tie, ["'some'", "another view"]),
    "two devices": (two_devices, ["2 devices (cpu, cuda:1)", "move it to one"]),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize(("make", "words"), UNFIT.values(), ids=UNFIT.keys())
@pytest.mark.parametrize("use", [ModelSpec.of, bind])
def test_a_model_that_is_no_float32_vector_is_refused_untouched(
    make: Callable[[], nn.Module], words: list[str], use: Callable[[nn.Module], object]
) -> None:
    model = make()
    tensors = [*model.parameters(), *model.buffers()]
    before = [None if nn.parameter.is_lazy(t) or t.is_sparse else t.data_ptr() for t in tensors]
    with pytest.raises(BadInput) as caught:
        use(model)
    message = str(caught.value)
    assert message.isprintable()
    assert [word for word in words if word not in message] == []
    assert [None if nn.parameter.is_lazy(t) or t.is_sparse else t.data_ptr() for t in tensors] == before


# --- digest ----------------------------------------------------------------------------------------------------

names = st.text(st.sampled_from("ab|,=\n'\"\\é0"), min_size=1, max_size=4)
shapes = st.lists(st.integers(0, 12), max_size=3).map(tuple)


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    entries, offset = [], 0
    for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        shape = draw(shapes)
        numel = torch.Size(shape).numel()
        entries.append(Entry(name, shape, offset, numel, draw(st.booleans())))
        offset += numel
    return ModelSpec(tuple(entries), tuple(draw(st.lists(st.tuples(names, names), max_size=2))))


def changes_of(spec: ModelSpec) -> list[ModelSpec]:
    """Specs that differ from `spec` in one thing each."""
    first, *rest = spec.entries
    others = [
        ((Entry(first.name + "x", first.shape, 0, first.numel, first.buffer), *rest), spec.ties),
        ((Entry(first.name, (1, *first.shape), 0, first.numel, first.buffer), *rest), spec.ties),
        ((Entry(first.name, first.shape[::-1], 0, first.numel, first.buffer), *rest), spec.ties),
        ((Entry(first.name, first.shape, 0, first.numel, not first.buffer), *rest), spec.ties),
        (spec.entries[::-1], spec.ties),
        (spec.entries[1:], spec.ties),
        (spec.entries, (*spec.ties, ("tied", first.name))),
        (spec.entries, spec.ties[::-1]),
    ]
    return [ModelSpec(tuple(entries), ties) for entries, ties in others]


@given(specs())
@settings(max_examples=100)
def test_digests_are_equal_iff_layouts_are(spec: ModelSpec) -> None:
    assert len(spec.digest) == 8
    assert ModelSpec(spec.entries, spec.ties).digest == spec.digest
    for other in changes_of(spec):
        assert (other.digest == spec.digest) == (other == spec)


def test_no_name_can_pass_for_two_tensors() -> None:
    two = ModelSpec((Entry("a", (2,), 0, 2, False), Entry("b", (3,), 2, 3, False)))
    one = ModelSpec((Entry("a|2|float32|parameter\nb", (3,), 0, 3, False),))
    tie = ModelSpec((Entry("a", (2,), 0, 2, False),), (("b|3|float32|parameter\nc", "d"),))
    assert len({two.digest, one.digest, tie.digest}) == 3


def test_the_numbers_do_not_matter_but_ties_do() -> None:
    untied = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    assert ModelSpec.of(tied()).digest == ModelSpec.of(tied()).digest
    assert ModelSpec.of(tied()).digest != ModelSpec.of(untied).digest
    assert ModelSpec.of(nn.Linear(3, 3)).digest != ModelSpec.of(nn.Linear(3, 3, bias=False)).digest
    assert ModelSpec.of(nn.Linear(2, 3)).digest != ModelSpec.of(nn.Linear(3, 2)).digest
    assert ModelSpec.of(nn.Linear(3, 3)).digest == ModelSpec.of(nn.Linear(3, 3).requires_grad_(False)).digest


def test_other_processes_and_later_versions_find_the_same_digest() -> None:
    """Whatever their PYTHONHASHSEED. A version that changes it cannot talk to this one: raise wire.VERSION then."""
    spec = ModelSpec((Entry("w", (2, 3), 0, 6, False), Entry("mean", (3,), 6, 3, True)), (("again", "w"),))
    code = f"from gossipnet.model import Entry, ModelSpec; print({spec!r}.digest.hex())"
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == spec.digest.hex() == "40003d950fbe957c"


# --- snapshot --------------------------------------------------------------------------------------------------


def test_a_snapshot_is_itself_and_shows_none_of_its_numbers() -> None:
    """The node compares and prints snapshots; neither may touch what a driver holds in them."""
    one, twin = (Snapshot(b"8 bytes.", 1, 20, 100, torch.zeros(3)) for _ in range(2))
    assert one == one
    assert one != twin
    assert len({one, twin}) == 2
    assert "tensor" not in repr(one)


def test_values_are_frozen() -> None:
    snapshot = Snapshot(b"8 bytes.", 1, 20, 100, None)
    with pytest.raises(FrozenInstanceError):
        snapshot.age = 3
    with pytest.raises(FrozenInstanceError):
        ModelSpec.of(nn.Linear(1, 1)).ties = ()


# --- sharing a part ------------------------------------------------------------------------------------------------


def backbone_and_head() -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            backbone=nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)),
            head=nn.Linear(4, 2),
            header=nn.Linear(2, 2),
        )
    )


@pytest.mark.parametrize(
    "share",
    [
        "head",
        r"head\..*",
        re.compile(r"head\.\w+"),
        lambda name: name.startswith("head."),
        ["head.weight", "head.bias"],
        ("head", lambda name: name == "head.bias"),
    ],
)
def test_a_part_is_shared_and_the_rest_left_alone(share: Any) -> None:
    module = backbone_and_head()
    spec = ModelSpec.of(module, share)
    assert [e.name for e in spec.entries] == ["head.weight", "head.bias"]
    before = {name: (t.data_ptr(), t.clone()) for name, t in module.state_dict().items()}
    vector = bind(module, share)
    assert vector.shape == (spec.numel,) == (10,)
    vector.zero_()
    for name, tensor in module.state_dict().items():
        if name.startswith("head."):
            assert not tensor.any()
        else:
            assert tensor.data_ptr() == before[name][0]
            assert torch.equal(tensor, before[name][1])
    assert spec.digest == ModelSpec.of(module, share).digest
    assert spec.digest != ModelSpec.of(module).digest


def test_buffers_belong_to_the_part_that_has_them() -> None:
    spec = ModelSpec.of(backbone_and_head(), "backbone")
    assert [e.name for e in spec.entries if e.buffer] == ["backbone.1.running_mean", "backbone.1.running_var"]


@pytest.mark.parametrize(
    ("share", "said"),
    [
        ("heads", "did you mean 'head'"),
        ("backbone.O", "did you mean 'backbone."),
        ("(", "its parts: backbone, head, header"),
        (["head", "hdr"], "'hdr'"),
        (lambda name: False, "selects none of the model's 10 tensors"),
        ([], "selects none"),
        ("backbone.1.running_mean", "the shared part of Sequential has no parameters"),
    ],
)
def test_a_part_that_is_not_there_is_refused_in_one_line(share: Any, said: str) -> None:
    with pytest.raises(BadInput, match=re.escape(said)) as raised:
        bind(backbone_and_head(), share)
    assert "\n" not in str(raised.value)


def test_what_is_not_shared_may_be_of_any_kind() -> None:
    module = backbone_and_head()
    module.backbone.half()  # a frozen backbone of half precision
    module.head.weight.requires_grad_(False)
    module.add_module("later", nn.LazyLinear(3))
    module.add_module("nowhere", nn.Linear(2, 2, device="meta"))
    module.backbone[1].running_mean.fill_(math.nan)
    assert bind(module, "head").shape == (10,)
    assert module.backbone[0].weight.dtype == torch.float16


def test_a_tie_across_the_border_moves_both_ends() -> None:
    module = nn.Sequential(OrderedDict(a=nn.Linear(2, 2, bias=False), head=nn.Linear(2, 2)))
    module.head.weight.data = module.a.weight.data  # two Parameters, one memory
    spec = ModelSpec.of(module, "head")
    assert ([e.name for e in spec.entries], spec.ties) == (["head.weight", "head.bias"], ())
    bind(module, "head").fill_(3.0)
    assert module.a.weight.data_ptr() == module.head.weight.data_ptr()
    assert bool((module.a.weight == 3.0).all())


def test_a_part_that_overlaps_with_the_rest_is_refused() -> None:
    module = nn.Sequential(OrderedDict(a=nn.Linear(3, 2, bias=False), head=nn.Linear(2, 3)))
    module.head.weight = nn.Parameter(module.a.weight.data.t())
    with pytest.raises(BadInput, match="another view"):
        bind(module, "head")


def test_sharing_everything_is_the_same_as_sharing_no_part() -> None:
    assert ModelSpec.of(backbone_and_head(), lambda name: True) == ModelSpec.of(backbone_and_head())


def parts_of(whole: Tensor, *parts: Tensor) -> nn.Module:
    """A module whose parameters are views of one piece of memory."""
    module = nn.Module()
    for number, part in enumerate(parts):
        module.register_parameter(f"part{number}", nn.Parameter(part))
    return module


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_parts_side_by_side_take_no_map_of_the_whole(order: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: object, **__: object) -> Tensor:
        raise AssertionError("a map as large as the model")

    whole = torch.arange(30.0)
    module = parts_of(whole, *(whole[10 * i : 10 * (i + 1)] for i in order))
    monkeypatch.setattr("gossipnet.model.torch.zeros", no)
    assert bind(module).tolist() == [10.0 * i + j for i in order for j in range(10)]


def test_parts_between_each_other_that_do_not_overlap_are_taken() -> None:
    whole = torch.arange(12.0).view(3, 4)
    module = parts_of(whole, whole[:, :2], whole[:, 2:])
    assert bind(module).tolist() == [0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11]


def test_a_part_that_overlaps_with_the_last_but_one_is_refused() -> None:
    whole = torch.arange(30.0)
    with pytest.raises(BadInput, match="another view"):
        bind(parts_of(whole, whole[:20], whole[3:5], whole[19:]))
