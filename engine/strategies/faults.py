"""What is wrong with given parameters, field by field and in plain words. Plans nothing.

`spec.validate` refuses the same parameters as one error; forms show these beside their fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from engine.core.parameters import worded
from engine.strategies.spec import EvaluationSettings, Experiment, Parameters


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
        return {str(fault["loc"][0]): worded(fault) for fault in reversed(error.errors())}
    return {}
