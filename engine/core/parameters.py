"""The forms in which settings are declared: frozen, described, and without unknown names; and the words for
what is wrong with a value, the same wherever one is given."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

_WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is missing",
    "greater_than_equal": lambda told: f"must be {told['ge']:g} or more",
    "greater_than": lambda told: f"must be more than {told['gt']:g}",
    "less_than_equal": lambda told: f"must be {told['le']:g} or less",
    "less_than": lambda told: f"must be less than {told['lt']:g}",
    "too_short": lambda told: f"needs {told['min_length']:g} or more",
    "literal_error": lambda told: f"must be {told['expected']}".replace("'", ""),
    "int_type": lambda _: "needs a whole number",
    "int_parsing": lambda _: "must be a whole number",
    "int_from_float": lambda _: "must be a whole number",
    "float_type": lambda _: "needs a number",
    "float_parsing": lambda _: "must be a number",
    "finite_number": lambda _: "must be a finite number",
    "bool_type": lambda _: "must be true or false",
    "bool_parsing": lambda _: "must be true or false",
    "string_type": lambda _: "must be text",
    "list_type": lambda _: "must be a list",
    "tuple_type": lambda _: "must be a list",
    "dict_type": lambda _: "must be an object",
    "dataclass_type": lambda _: "must be an object",
    "unexpected_keyword_argument": lambda _: "is not known here",
    "json_invalid": lambda told: f"is not valid JSON: {told['error']}",
}


_NO_VALUE = ("missing", "json_invalid", "unexpected_keyword_argument")


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


def worded(fault: ErrorDetails) -> str:
    """Say what is wrong with a value: "must be 1 or more, not 0"; a list's member is told first."""
    words = _WORDS.get(fault["type"])
    msg = fault["msg"].removeprefix("Value error, ")
    said = words(fault.get("ctx", {})) if words else msg[:1].lower() + msg[1:]
    value = fault["input"]
    if fault["type"] in _NO_VALUE or value in (None, "") or isinstance(value, list | dict):
        return said
    if fault["type"].endswith("_type"):  # of a file: a number in quotes is no number
        return f"{said}, not {json.dumps(value, ensure_ascii=False)}"
    in_list = any(isinstance(part, int) for part in fault["loc"])
    return f"{value} {said}" if in_list else f"{said}, not {value}"


def told(error: ValidationError) -> str:
    """Say where in a file's value the first fault is, and what: "files.card must be text, not 3"."""
    fault = error.errors(include_url=False)[0]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"])
    return f"{where.removeprefix('.') or 'it'} {worded(fault)}"
