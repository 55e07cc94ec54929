"""Small immutable objects, of which a simulated swarm makes millions."""

from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """A frozen dataclass with slots that is made at half the cost.

    Its fields are set while it still is an object of a twin class with the same slots, that anybody may write to: the
    `__init__` of a frozen dataclass calls a function for each field.
    """
    frozen: Any = dataclass(frozen=True, slots=True, init=False)(cls)
    twin = type(cls.__name__, (), {"__slots__": frozen.__slots__})
    known: dict[str, Any] = {"twin": twin, "absent": MISSING}
    given, body = ["cls"], ["self = twin()"]
    for f in fields(frozen):
        known |= {f"{f.name}_default": f.default, f"{f.name}_factory": f.default_factory}
        made = f.default_factory is not MISSING
        given.append(f.name if f.default is MISSING and not made else f"{f.name}={f.name}_default")
        if made:
            body.append(f"if {f.name} is absent: {f.name} = {f.name}_factory()")
        body.append(f"self.{f.name} = {f.name}")
    lines = [f"def __new__({', '.join(given)}):", *body, "self.__class__ = cls", "return self"]
    exec("\n    ".join(lines), known)
    frozen.__new__ = known["__new__"]
    found: type[T] = frozen
    return found
