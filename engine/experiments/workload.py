"""How much work each stage of a run is, from its spec alone: the measure that costs are taken per unit of.

Counts replies to generate, texts to score, dialogues to pass over. What they cost: engine/costs.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.experiments.ground import Ground
from engine.runs.runfolder import RunSpec

_TRAIN_SHARE = 0.6
"""Of a persona's dialogues, by the split; an estimate needs no more than that."""
_CLUSTERS = 10
_AUGMENTED = 100.0
"""Dialogues of a persona that augmentation aims at."""
_SWEPT = ("k", "weights")
"""Parameters whose every value is a variant, with replies of its own."""


def workload(spec: RunSpec, ground: Ground) -> dict[str, float]:
    """Return stage -> units of work, above 0. A stage that nothing is known of counts personas."""
    personas = _personas(spec.parameters, ground)
    units = dict.fromkeys(spec.stages, personas)
    replies = personas * _replies_a_persona(spec.protocol) * _variants(spec.parameters)
    units |= {"load": 1.0, "generate": replies, "ask": replies, "score": replies}
    if "train" in spec.stages:
        passes = personas * _dialogues(spec.parameters, ground) * float(spec.parameters.get("epochs") or 1)
        units["train"] = passes
    return {stage: max(1.0, units[stage]) for stage in spec.stages}


def _personas(parameters: Mapping[str, Any], ground: Ground) -> float:
    asked = parameters.get("personas")
    count = float(min(asked or ground.personas, ground.personas))
    return count / _CLUSTERS if parameters.get("cluster") is not None else count


def _replies_a_persona(protocol: Mapping[str, Any]) -> float:
    return float(protocol.get("examples_per_persona") or 1) * len(protocol.get("splits") or (1,))


def _variants(parameters: Mapping[str, Any]) -> int:
    counts = [len(parameters[name]) for name in _SWEPT if isinstance(parameters.get(name), (list, tuple))]
    return max(counts, default=1)


def _dialogues(parameters: Mapping[str, Any], ground: Ground) -> float:
    """Train dialogues of one persona: all, the most recent ones, or as many as augmentation aims at."""
    own = _TRAIN_SHARE * ground.dialogues / max(1, ground.personas)
    history = parameters.get("history")
    own = min(own, float(history)) if history else own
    return max(own, _AUGMENTED) if parameters.get("use_augmented") else own
