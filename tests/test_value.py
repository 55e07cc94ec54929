"""Values against the frozen dataclasses that they stand for."""

from dataclasses import FrozenInstanceError, dataclass, field, fields, is_dataclass, replace

import pytest

from gossipnet.value import value


class Plain:
    number: int
    text: str = "none"
    held: dict = field(default_factory=dict)


def copied(**changes):
    return type("Plain", (), {**vars(Plain), **changes})


Value = value(copied())
Frozen = dataclass(frozen=True, slots=True)(copied())


@pytest.mark.parametrize("kind", [Value, Frozen])
def test_what_it_is_like(kind):
    one = kind(3, held={"a": 1})
    assert repr(one) == "Plain(number=3, text='none', held={'a': 1})"
    assert one == kind(number=3, held={"a": 1}) != kind(3, "x")
    assert replace(one, text="y") == kind(3, "y", {"a": 1})
    assert type(one) is kind
    assert is_dataclass(kind)
    assert kind.__slots__ == tuple(f.name for f in fields(kind))
    assert hash(replace(one, held=1)) == hash(kind(3, "none", 1))
    match one:
        case kind(number, text):
            assert (number, text) == (3, "none")


@pytest.mark.parametrize("kind", [Value, Frozen])
def test_nobody_can_change_it(kind):
    one = kind(3)
    with pytest.raises(FrozenInstanceError):
        one.number = 4
    with pytest.raises(FrozenInstanceError):
        del one.text
    with pytest.raises((AttributeError, TypeError)):
        one.other = 1


@pytest.mark.parametrize("kind", [Value, Frozen])
def test_defaults_are_made_for_each(kind):
    assert kind(1).held is not kind(1).held
    for wrong in ({}, {"number": 1, "other": 2}):
        with pytest.raises(TypeError):
            kind(**wrong)
    with pytest.raises(TypeError):
        kind(1, "a", {}, 4)
