"""The metrics of one example, and what they mean.

Owns the registry METRICS, in the order of the score table, and `score_texts` for all of them but the
embedding similarity, which needs a model. Averages nothing.

Definitions. A reply names a set of devices and makes a set of settings (device, parameter, value); actions.py
says what counts. Numbers are the settings with a number; they match only when equal.
- precision = matched / predicted; 0 when only the prediction is empty, None when both are.
- recall = matched / held by the reference; None when the reference is empty.
- F1 = 2 matched / (predicted + held); None when both are empty.
- `numerical_mae` is over the reference's (device, parameter) that the prediction gives a number too, each
  number against the nearest predicted one; None without any. Its unit is mixed (percent, degrees, steps).
- `exact_action_match` is 1 when devices and settings are the same sets, None when neither reply has any.
- `length_ratio` is words of the prediction over words of the reference; None for an empty reference.
None means undefined for this example: it is counted apart, never averaged as 0. No metric is ever NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

from engine.core.errors import unknown_name
from engine.domains.smart_home.actions import ACTIONS_VERSION, Actions, Setting, extract

SIMILARITY = "embedding_similarity"


@dataclass(frozen=True, slots=True)
class Metric:
    """One column of the score table.

    `unit` "fraction" is shown in points (x 100). `higher_is_better` None: neither direction is better.
    Scores of different `version` are not comparable.
    """

    name: str
    label: str
    higher_is_better: bool | None
    unit: Literal["fraction", "number", "ratio"]
    version: str
    help: str


def _share(name: str, label: str, text: str) -> Metric:
    return Metric(name, label, True, "fraction", ACTIONS_VERSION, text)


_ALL = (
    Metric(
        SIMILARITY, "Embedding similarity", True, "fraction", "1",
        "Cosine of the sentence embeddings of the reply and the reference.",
    ),
    _share("device_precision", "Device precision", "Share of the reply's devices that the reference names."),
    _share("device_recall", "Device recall", "Share of the reference's devices that the reply names."),
    _share("device_f1", "Device F1", "Harmonic mean of device precision and recall."),
    _share("param_precision", "Parameter precision", "Share of the reply's settings that are right."),
    _share("param_recall", "Parameter recall", "Share of the reference's settings that the reply makes."),
    _share("param_f1", "Parameter F1", "Harmonic mean of parameter precision and recall."),
    _share("numerical_precision", "Numerical precision", "Share of the reply's numbers that are right."),
    _share("numerical_recall", "Numerical recall", "Share of the reference's numbers that the reply sets."),
    Metric(
        "numerical_mae", "Numerical error", False, "number", ACTIONS_VERSION,
        "Mean absolute difference of the numbers that both set on the same device and parameter.",
    ),
    _share("exact_action_match", "Exact action match", "1 when the reply does just what the reference does."),
    Metric("length_ratio", "Length ratio", None, "ratio", "1", "Words of the reply over the reference's."),
)  # fmt: skip

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _ALL})
METRICS_VERSION = f"1-{ACTIONS_VERSION}"


def metric(name: str) -> Metric:
    """Return the metric named `name`. Raises EngineError with the nearest name when there is none."""
    if name not in METRICS:
        raise unknown_name("metric", name, METRICS)
    return METRICS[name]


def score_texts(prediction: str, reference: str) -> dict[str, float | None]:
    """Return every metric of `prediction` against `reference` but the embedding similarity, by name."""
    return dict(_score(prediction, reference))


@lru_cache(maxsize=65_536)
def _score(prediction: str, reference: str) -> tuple[tuple[str, float | None], ...]:
    said, held = extract(prediction), extract(reference)
    scores: dict[str, float | None] = {
        **_overlap("device", said.devices, held.devices),
        **_overlap("param", said.settings, held.settings),
        **_overlap("numerical", said.numbers, held.numbers),
        "numerical_mae": _absolute_error(said.numbers, held.numbers),
        "exact_action_match": float(said == held) if _does_anything(said) or _does_anything(held) else None,
        "length_ratio": _length_ratio(prediction, reference),
    }
    return tuple((name, scores[name]) for name in METRICS if name != SIMILARITY)


def _overlap(kind: str, said: Set[Any], held: Set[Any]) -> dict[str, float | None]:
    matched = len(said & held)
    if not said and not held:
        precision = recall = f1 = None
    else:
        precision = matched / len(said) if said else 0.0
        recall = matched / len(held) if held else None
        f1 = 2 * matched / (len(said) + len(held))
    return {f"{kind}_precision": precision, f"{kind}_recall": recall, f"{kind}_f1": f1}


def _absolute_error(said: Set[Setting], held: Set[Setting]) -> float | None:
    predicted: dict[tuple[str, str], list[float]] = {}
    for setting in said:
        predicted.setdefault((setting.device, setting.parameter), []).append(float(setting.value))
    errors = [
        min(abs(value - float(setting.value)) for value in predicted[setting.device, setting.parameter])
        for setting in held
        if (setting.device, setting.parameter) in predicted
    ]
    return sum(sorted(errors)) / len(errors) if errors else None


def _does_anything(actions: Actions) -> bool:
    return bool(actions.devices)


def _length_ratio(prediction: str, reference: str) -> float | None:
    words = len(reference.split())
    return len(prediction.split()) / words if words else None
