"""The metrics of what a reply does to a home's devices, each by its definition. Averages nothing.

A reply names a set of devices and makes a set of settings (device, parameter, value); actions.py says what
counts. Numbers are the settings with a number; they match only when equal.
- precision = matched / predicted; 0 when only the prediction is empty, None when both are.
- recall = matched / held by the reference; None when the reference is empty.
- F1 = 2 matched / (predicted + held); None when both are empty.
- `numerical_mae` is over the reference's (device, parameter) that the prediction gives a number too, each
  number against the nearest predicted one; None without any. Its unit is mixed (percent, degrees, steps).
- `exact_action_match` is 1 when devices and settings are the same sets, None when neither reply has any.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import lru_cache
from typing import Any

from engine.domains.metric import Metric
from engine.domains.smart_home.actions import ACTIONS_VERSION, Setting, extract


def _metric(name: str, label: str, told: str, **differs: Any) -> Metric:
    def of_texts(reply: str, reference: str) -> float | None:
        return _scores(reply, reference)[name]

    return Metric(
        name=name,
        label=label,
        help=told,
        version=ACTIONS_VERSION,
        domains=("smart-home",),
        of_texts=of_texts,
        **differs,
    )


METRICS = (
    _metric("device_precision", "Device precision", "Share of the reply's devices that the reference names."),
    _metric("device_recall", "Device recall", "Share of the reference's devices that the reply names."),
    _metric("device_f1", "Device F1", "Harmonic mean of device precision and recall.", short="devices"),
    _metric("param_precision", "Parameter precision", "Share of the reply's settings that are right."),
    _metric("param_recall", "Parameter recall", "Share of the reference's settings that the reply makes."),
    _metric("param_f1", "Parameter F1", "Harmonic mean of parameter precision and recall.", short="settings"),
    _metric(
        "numerical_precision", "Numerical precision", "Share of the reply's numbers that are right.",
        short="numbers",
    ),
    _metric("numerical_recall", "Numerical recall", "Share of the reference's numbers that the reply sets."),
    _metric(
        "numerical_mae", "Numerical error",
        "Mean absolute difference of the numbers that both set on the same device and parameter.",
        unit="number", higher_is_better=False,
    ),
    _metric(
        "exact_action_match", "Exact action match", "1 when the reply does just what the reference does.",
        short="exact",
    ),
)  # fmt: skip


@lru_cache(maxsize=65_536)
def _scores(reply: str, reference: str) -> Mapping[str, float | None]:
    """Every metric of this module at once: the texts are read one time for all of them."""
    said, held = extract(reply), extract(reference)
    acts = bool(said.devices) or bool(held.devices)
    return {
        **_overlap("device", said.devices, held.devices),
        **_overlap("param", said.settings, held.settings),
        **_overlap("numerical", said.numbers, held.numbers),
        "numerical_mae": _absolute_error(said.numbers, held.numbers),
        "exact_action_match": float(said == held) if acts else None,
    }


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
