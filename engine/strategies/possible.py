"""What an experiment could be asked instead, where its defaults cannot exist on a workspace's data.

Owns the search for the one choice that makes it possible. Plans nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from engine.core.errors import EngineError
from engine.strategies.ground import Ground
from engine.strategies.spec import Experiment, validate


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
