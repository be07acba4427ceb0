"""What an experiment could be asked instead, where its defaults cannot exist on a workspace's data.

Owns the search for the one choice that makes it possible. Plans nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.strategies import registry
from engine.strategies.ground import Ground, read_ground
from engine.strategies.spec import Experiment


def way_in(ws: Workspace, experiment: str) -> dict[str, Any]:
    """Return the first single choice with which an experiment can exist here although its defaults cannot.

    Empty where the defaults can, and where no choice helps.
    """
    entry, ground = registry.get(experiment, ws), read_ground(ws)
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
        entry.applies(entry.parameters(**choice), ground)
    except EngineError:
        return False
    return True
