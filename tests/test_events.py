import inspect
from dataclasses import fields, is_dataclass
from typing import get_args

import pytest

from gossipnet import events
from gossipnet.events import Action, Event, Member, Merged, Report

DEFINED = [c for c in vars(events).values() if inspect.isclass(c) and c.__module__ == events.__name__]


def test_all_that_is_defined_can_happen_or_be_asked_for() -> None:
    """A class that is missing from its union is one that `match` statements may forget unnoticed."""
    assert {*get_args(Event), *get_args(Action), Member} == set(DEFINED)
    assert set(get_args(Event)) & set(get_args(Action)) == set()


@pytest.mark.parametrize("kind", DEFINED)
def test_nobody_can_change_what_has_happened(kind: type) -> None:
    """Events and actions pass between threads; slots, so that no field is added by a slip of the pen."""
    assert is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    assert kind.__slots__ == tuple(f.name for f in fields(kind))


def test_numbers_are_not_shared_between_reports() -> None:
    assert Merged().numbers is not Merged().numbers
    assert Report("merged", 1).numbers is not Report("merged", 1).numbers
