"""The ONE registry of experiments. Owns what exists; plans and runs nothing, and imports no model code.

A new strategy is one entry here and one step. What a run does is decided by its experiment's name in here,
never by a file. Whoever starts the process may add experiments of their own, by the environment:
$PERSONA_LAB_EXPERIMENTS names importable mappings of them, as module:NAME, with commas between.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import replace

from engine.core.errors import EngineError, unknown_name
from engine.strategies.answering import ANSWERING
from engine.strategies.augmenting import AUGMENTATION, augmentable
from engine.strategies.combining import COMBINING
from engine.strategies.presets import PRESETS
from engine.strategies.remote import FRONTIER
from engine.strategies.spec import Experiment, character_needed, truth_needed
from engine.strategies.training import TRAINING

MORE = "PERSONA_LAB_EXPERIMENTS"
_PROMPT_STEP = "engine.strategies.steps.evaluate_prompt:run"
_SCORING = {"load": 3.0, "generate": 90.0, "score": 7.0}


_DECLARED = (
    Experiment(
        name="base",
        title="Base model",
        family="prompt",
        question="How well does the frozen base model answer, knowing nothing of the persona?",
        makes="base",
        step=_PROMPT_STEP,
        fixed={"profile": False},
        stages=_SCORING,
    ),
    Experiment(
        name="profile-prompt",
        title="Profile in the prompt",
        family="prompt",
        question="Does the persona's character text in the system prompt help the frozen base model?",
        makes="profile-prompt",
        step=_PROMPT_STEP,
        fixed={"profile": True},
        stages=_SCORING,
        beside=("base",),
        applies=character_needed,
    ),
    AUGMENTATION,
    *TRAINING,
    *COMBINING,
    *ANSWERING,
    FRONTIER,
    Experiment(
        name="ceiling",
        title="Ceiling",
        family="ceiling",
        question="What would an assistant score that knows the persona, or the population, perfectly?",
        makes="ceiling-persona, ceiling-population",
        step="engine.strategies.steps.evaluate_ceiling:run",
        stages={"load": 10.0, "score": 90.0},
        beside=("base",),
        applies=truth_needed,
    ),
)

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: replace(augmentable(experiment), presets=PRESETS.get(experiment.name, ()))
    for experiment in _DECLARED
}


def _more() -> dict[str, Experiment]:
    """The experiments that the environment adds. Raises EngineError where it names none."""
    found: dict[str, Experiment] = {}
    for place in filter(None, (word.strip() for word in os.environ.get(MORE, "").split(","))):
        module, _, name = place.partition(":")
        try:
            added: Mapping[str, Experiment] = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise EngineError(
                f"{MORE} names {place}, which cannot be imported: {error}", "Give it as module:NAME."
            ) from error
        found |= added
    return found


EXPERIMENTS |= _more()


def get(name: str) -> Experiment:
    """Return the experiment of that name. Raises EngineError with the nearest known name."""
    if name not in EXPERIMENTS:
        raise unknown_name("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]
