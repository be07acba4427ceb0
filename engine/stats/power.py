"""What a study of n personas can see, and how many personas a difference asks for. Plans; judges nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from engine.stats.forecast import ALPHA, POWER, needed
from engine.stats.paired_tests import detectable_in_deviations, power_of_t

_POINTS = 18  # of the curve


@dataclass(frozen=True, slots=True)
class Outlook:
    """A difference in the metric's unit, and what it takes to find it in `POWER` of all studies at `ALPHA`.

    `deviation` is the standard deviation of the personas' differences, `detectable` what `n_personas` find,
    `needed` how many personas find `effect` (None: out of reach), `power` how often `n_personas` find it,
    `curve` pairs of (personas, detectable).
    """

    n_personas: int
    deviation: float
    effect: float
    detectable: float
    needed: int | None
    power: float
    curve: tuple[tuple[int, float], ...]


@lru_cache(maxsize=256)
def outlook(*, n_personas: int, detectable: float, effect: float) -> Outlook:
    """Return the outlook for `effect` > 0 from what `n_personas` >= 2 personas of this spread find (> 0).

    Two-sided paired t-test; the spread is taken to stay what it is.
    """
    deviation = detectable / detectable_in_deviations(n_personas, ALPHA, POWER)
    asked = needed(effect, deviation)
    return Outlook(
        n_personas=n_personas,
        deviation=deviation,
        effect=effect,
        detectable=detectable,
        needed=asked,
        power=power_of_t(n_personas, effect / deviation, ALPHA),
        curve=_curve(deviation, [n_personas, asked or n_personas]),
    )


def _curve(deviation: float, marked: list[int]) -> tuple[tuple[int, float], ...]:
    low, high = max(4, min(marked) // 3), max(marked) * 3
    numbers = np.unique(np.geomspace(low, high, _POINTS).astype(int))
    return tuple((int(n), deviation * detectable_in_deviations(int(n), ALPHA, POWER)) for n in numbers)
