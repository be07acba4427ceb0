"""The forms in which settings are declared: frozen, described, and without unknown names."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _as_list(value: Any) -> Any:
    return value if isinstance(value, (list, tuple)) else [value]


Member = TypeVar("Member")
ListOf = Annotated[list[Member], BeforeValidator(_as_list)]
"""A list; a single member may be given bare, as on a command line."""


class Parameters(BaseModel):
    """Base of every parameter form: frozen, and no unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
