"""What a persona asks for and what is set for her, as numbers: one row a persona.

Read from (request, reply) pairs alone, by the same grammar that scores replies. Which pairs are shown is the
caller's business: only training interactions may be.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.domains.domain import Interaction
from engine.domains.smart_home.actions import Setting, extract

Matrix = NDArray[np.float64]

_LEVELS = (0.1, 0.5, 0.9)
_LEAST_SHARE = 0.1  # of the personas, who must have a habit for it to be told apart by


@dataclass(frozen=True, slots=True)
class Habits:
    """`values` [personas, columns]; NaN where a persona gives no occasion to see the habit."""

    personas: tuple[str, ...]
    columns: tuple[str, ...]
    values: Matrix


def habits(interactions: Mapping[str, Sequence[Interaction]]) -> Habits:
    """Return the habits of every persona that has interactions, in the given order.

    Columns: how often a request names a device ("asks lights"), how often a reply sets a parameter ("sets
    lights.brightness"), how low, middling and high numbers are set ("lights.brightness at 0.5"), and how
    often a word is chosen where the parameter is set ("lights.color = warm"). Shares are fractions.
    """
    rows = {persona: _row(pairs) for persona, pairs in interactions.items() if pairs}
    columns = tuple(sorted({name for row in rows.values() for name in row}))
    values = np.array([[_value(row, name) for name in columns] for row in rows.values()])
    return Habits(tuple(rows), columns, values.reshape(len(rows), len(columns)))


def standardised(found: Habits) -> Matrix:
    """Return the habits with mean 0 and deviation 1 over the personas, [personas, columns kept].

    What is unknown of a persona is 0, the mean. Columns that tell nobody apart, or that concern less than a
    tenth of the personas, are left out: on their few cases hangs too much.
    """
    values = found.values
    if not values.size:
        return np.zeros((len(found.personas), 0))
    seen = ~np.isnan(values)
    counts = seen.sum(axis=0)
    filled = np.where(seen, values, 0.0)
    centred = np.where(seen, values - filled.sum(axis=0) / np.maximum(counts, 1), 0.0)
    deviation = np.sqrt((centred**2).sum(axis=0) / np.maximum(counts, 1))
    shown = ((filled != 0) & seen).sum(axis=0)
    kept = (deviation > 1e-9) & (shown >= max(2.0, _LEAST_SHARE * len(values)))
    return centred[:, kept] / deviation[kept]


def _row(pairs: Sequence[Interaction]) -> dict[str, float]:
    asked: Counter[str] = Counter()
    given: dict[tuple[str, str], list[Setting]] = defaultdict(list)
    for request, reply in pairs:
        asked.update(extract(request).devices)
        for setting in extract(reply).settings:
            given[setting.device, setting.parameter].append(setting)
    row = {f"asks {device}": count / len(pairs) for device, count in asked.items()}
    for (device, parameter), settings in given.items():
        name = f"{device}.{parameter}"
        row[f"sets {name}"] = len(settings) / len(pairs)
        numbers = [float(setting.value) for setting in settings if setting.is_number]
        if numbers:
            levels = np.quantile(numbers, _LEVELS)
            row |= {f"{name} at {level}": float(at) for level, at in zip(_LEVELS, levels, strict=True)}
        words = Counter(str(setting.value) for setting in settings if not setting.is_number)
        row |= {f"{name} = {word}": count / words.total() for word, count in words.items()}
    return row


def _value(row: Mapping[str, float], name: str) -> float:
    """A share that is not in the row is 0; a level or a choice of a parameter never set is unknown."""
    if name in row:
        return row[name]
    if name.startswith(("asks ", "sets ")):
        return 0.0
    is_choice = " = " in name
    parameter = name.split(" = ")[0] if is_choice else name.rsplit(" at ", 1)[0]
    return 0.0 if is_choice and f"sets {parameter}" in row else float("nan")
