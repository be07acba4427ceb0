"""What is wrong with given parameters, field by field and in plain words. Owns the wording; plans nothing.

`spec.validate` refuses the same parameters as one error; forms show these beside their fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from engine.strategies.spec import EvaluationSettings, Experiment, Parameters

_WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
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
}


def faults(experiment: Experiment, given: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong, by parameter or evaluation setting, in words; empty where all is sound."""
    found: dict[str, str] = {}
    for form in (experiment.parameters, EvaluationSettings):
        found |= _faults_of(form, {name: given[name] for name in given if name in form.model_fields})
    return found


def bounds(form: type[Parameters], name: str) -> str:
    """Word the range that a number must lie in: "1 to 256", "more than 0, up to 1"; "" without one."""
    told: dict[str, float] = {}
    for rule in form.model_fields[name].metadata:
        told |= {side: getattr(rule, side) for side in ("ge", "gt", "le", "lt") if hasattr(rule, side)}
    low = f"{told['ge']:g}" if "ge" in told else f"more than {told['gt']:g}" if "gt" in told else ""
    high = f"{told['le']:,g}" if "le" in told else f"less than {told['lt']:g}" if "lt" in told else ""
    if not high:
        return f"{low} or more" if "ge" in told else low
    if "ge" in told and "le" in told:
        return f"{low} to {high}"
    return ", ".join(part for part in (low, f"up to {high}" if "le" in told else high) if part)


def _faults_of(form: type[Parameters], given: Mapping[str, Any]) -> dict[str, str]:
    try:
        form(**given)
    except ValidationError as error:
        return {str(fault["loc"][0]): _worded(fault) for fault in reversed(error.errors())}
    return {}


def _worded(fault: ErrorDetails) -> str:
    """The first fault of a field; in a list, with the value that it is about."""
    words = _WORDS.get(fault["type"])
    told = words(fault.get("ctx", {})) if words else fault["msg"][:1].lower() + fault["msg"][1:]
    value = fault["input"]
    if value is None or value == "" or isinstance(value, list):
        return told
    return f"{value} {told}" if len(fault["loc"]) > 1 else f"{told}, not {value}"
