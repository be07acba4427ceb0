"""How much work each stage of a run is, from its spec alone: the measure that costs are taken per unit of.

Counts replies to generate, texts to score, dialogues to pass over. What they cost: costs.py.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from engine.runs.runfolder import RunSpec
from engine.stats.routing import FOLDS
from engine.strategies.budgets import MATCHED_TO
from engine.strategies.ground import Ground

_TRAIN_SHARE, _VAL_SHARE = 0.6, 0.2
"""Of a persona's dialogues, by the split; an estimate needs no more than that."""
CLUSTERS = 10
"""So many are reckoned with where no clustering says how many there are."""
_AUGMENTED = 100.0
"""Dialogues of a persona that augmentation aims at by default."""
NONE: Mapping[str, RunSpec] = MappingProxyType({})


def workload(spec: RunSpec, ground: Ground, upstream: Mapping[str, RunSpec] = NONE) -> dict[str, float]:
    """Return stage -> units of work, above 0, of the stages that have any.

    `upstream` holds the specs of the runs it builds on, by role, as far as they are known. A stage that
    nothing is known of counts personas.
    """
    parameters = spec.parameters
    personas, own = _personas(parameters, ground), _own_dialogues(parameters, ground)
    trained_on = _with_augmented(parameters, own, upstream.get("augmented"))
    examples = float(spec.protocol.get("examples_per_persona") or 1)
    replies = personas * examples * len(spec.protocol.get("splits") or (1,)) * _values(parameters, "k")
    candidates, epochs = _candidates(parameters), float(parameters.get("epochs") or 1)
    of_each = ground.dialogues / max(1, ground.personas)
    own_replies = personas * float(parameters.get("replies") or own)
    matched = upstream.get(MATCHED_TO)
    known = {
        "load": 1.0,
        "memories": personas * own,
        "replies": own_replies,
        "states": own_replies,
        "generate": replies,
        "ask": replies,
        "score": replies,
        "train": personas * trained_on * epochs,
        "fit": personas * _VAL_SHARE * of_each * epochs * FOLDS,  # all, then without each fold in turn
        "augment": personas * max(0.0, _aimed_at(parameters, own) - own),
        "sweep": personas * examples * candidates if candidates > 1 else 0.0,  # of one there is no choice
    }
    if matched is not None:
        known["train"] = workload(matched, ground).get("train", known["train"])
    units = {stage: known.get(stage, personas) for stage in spec.stages}
    return {stage: max(1.0, number) for stage, number in units.items() if number > 0}


def _personas(parameters: Mapping[str, Any], ground: Ground) -> float:
    asked = parameters.get("personas")
    count = float(min(asked or ground.personas, ground.personas))
    return count / CLUSTERS if parameters.get("cluster") is not None else count


def _values(parameters: Mapping[str, Any], name: str) -> int:
    """How many values a parameter has, of which each is done."""
    value = parameters.get(name)
    return len(value) if isinstance(value, (list, tuple)) else 1


def _candidates(parameters: Mapping[str, Any]) -> int:
    """How many settings a sweep answers val with: every combination of the numbers that the lists hold."""
    lists = (value for value in parameters.values() if isinstance(value, (list, tuple)) and value)
    return math.prod(len(value) for value in lists if all(isinstance(one, (int, float)) for one in value))


def _aimed_at(parameters: Mapping[str, Any], own: float) -> float:
    """Dialogues of a persona after augmentation."""
    multiple = parameters.get("multiple")
    return own * float(multiple) if multiple else float(parameters.get("target") or own)


def _own_dialogues(parameters: Mapping[str, Any], ground: Ground) -> float:
    """Train dialogues of one persona: all, or the most recent ones."""
    own = _TRAIN_SHARE * ground.dialogues / max(1, ground.personas)
    history = parameters.get("history")
    return min(own, float(history)) if history else own


def _with_augmented(parameters: Mapping[str, Any], own: float, augmentation: RunSpec | None) -> float:
    """Train dialogues of one persona together with those that an augmentation aims at."""
    if not parameters.get("use_augmented"):
        return own
    return max(own, _AUGMENTED if augmentation is None else _aimed_at(augmentation.parameters, own))
