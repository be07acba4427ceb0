"""The forms in which settings are declared: frozen, described, and without unknown names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator


def _as_list(value: Any) -> Any:
    return value if isinstance(value, (list, tuple)) else [value]


class _IsSet:
    """Marks a parameter whose members have no order and count once."""


Member = TypeVar("Member")
ListOf = Annotated[list[Member], BeforeValidator(_as_list)]
"""A list whose order means something; a single member may be given bare, as on a command line."""
SetOf = Annotated[list[Member], BeforeValidator(_as_list), _IsSet()]
"""A set, held as a list in one order: the same thing asked in another order is the same run."""


class Parameters(BaseModel):
    """Base of every parameter form: frozen, no unknown names, and one spelling of what means the same."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    rare: ClassVar[frozenset[str]] = frozenset()
    """The parameters that few ever change: a form has them folded away."""

    @model_validator(mode="after")
    def _in_one_form(self) -> Self:
        """Order every set and drop its doubles; there is one zero."""
        for name, declared in type(self).model_fields.items():
            value = getattr(self, name)
            if any(isinstance(mark, _IsSet) for mark in declared.metadata):
                default = declared.get_default(call_default_factory=True)
                value = _ordered(value, first=default if isinstance(default, list) else [])
            elif isinstance(value, float) and not value:
                value = 0.0
            object.__setattr__(self, name, value)  # it is frozen once it is made
        return self


def _ordered(members: Iterable[Any], *, first: Sequence[Any]) -> list[Any]:
    """Numbers ascend; words come as their default names them, then by the alphabet."""

    def place(member: Any) -> Any:
        if not isinstance(member, str):
            return member + 0.0
        return first.index(member) if member in first else len(first), member

    return sorted(dict.fromkeys(members), key=place)
