"""What is wrong with given parameters, field by field and in plain words, and what could be asked instead.

`spec.validate` refuses the same parameters as one error; forms show these beside their fields. Owns also the
search for the one choice with which an experiment can exist where its defaults cannot. Plans nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from engine.core.errors import EngineError
from engine.core.parameters import worded
from engine.strategies.ground import Ground
from engine.strategies.spec import EvaluationSettings, Experiment, Parameters, validate


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


def way_in(entry: Experiment, ground: Ground) -> dict[str, Any]:
    """Return the first single choice with which an experiment can exist here although its defaults cannot.

    Empty where the defaults can, and where no choice helps.
    """
    if _can_be(entry, ground, {}):
        return {}
    return next((choice for choice in _choices(entry) if _can_be(entry, ground, choice)), {})


def _choices(entry: Experiment) -> Iterator[dict[str, Any]]:
    """Every other value of every parameter that is a choice of a few, one at a time."""
    for name, field in entry.parameters.model_fields.items():
        if get_origin(field.annotation) is Literal:
            yield from ({name: value} for value in get_args(field.annotation) if value != field.default)


def _can_be(entry: Experiment, ground: Ground, choice: dict[str, Any]) -> bool:
    try:
        ground.needs_dialogues()
        entry.applies(validate(entry, choice).parameters, ground)
    except EngineError:
        return False
    return True
