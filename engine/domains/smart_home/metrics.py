"""The metrics of what a reply does to a home's devices, each by its definition. Averages nothing.

A reply names a set of devices and makes a set of settings (device, parameter, value); actions.py says what
counts. Numbers are the settings with a number; they match only when equal. Keeping still where the reference
does is right, acting where it does not is wrong, so that of two variants none is spared an example:
- precision = matched / predicted, recall = matched / held by the reference, F1 = 2 matched / (predicted +
  held). All three are 1 when both sets are empty, and 0 when only one of them is.
- `exact_action_match` is 1 when devices and settings are the same sets, two empty ones included, else 0.
- `numerical_mae` is over the reference's (device, parameter) that the prediction gives a number too, each
  number against the nearest predicted one. Its unit is mixed (percent, degrees, steps). Without any there is
  no difference to take: it is None, the only value here that the reply may leave undefined.
"""

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
        "Mean absolute difference of the numbers that both set on the same device and parameter; what one of"
        " them does not set is told by numerical recall and precision.",
        unit="number", higher_is_better=False,
    ),
    _metric(
        "exact_action_match", "Exact action match",
        "1 when the reply does just what the reference does, or both do nothing.",
        short="exact",
    ),
)  # fmt: skip


@lru_cache(maxsize=65_536)
def _scores(reply: str, reference: str) -> Mapping[str, float | None]:
    """Every metric of this module at once: the texts are read one time for all of them."""
    said, held = extract(reply), extract(reference)
    return {
        **_overlap("device", said.devices, held.devices),
        **_overlap("param", said.settings, held.settings),
        **_overlap("numerical", said.numbers, held.numbers),
        "numerical_mae": _absolute_error(said.numbers, held.numbers),
        "exact_action_match": float(said == held),
    }


def _overlap(kind: str, said: Set[Any], held: Set[Any]) -> dict[str, float]:
    names, matched = (f"{kind}_precision", f"{kind}_recall", f"{kind}_f1"), len(said & held)
    if not (said and held):
        return dict.fromkeys(names, float(said == held))
    values = (matched / len(said), matched / len(held), 2 * matched / (len(said) + len(held)))
    return dict(zip(names, values, strict=True))


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
