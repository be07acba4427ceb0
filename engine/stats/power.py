"""What a study of n personas can see, and how many personas a difference asks for. Plans; judges nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from engine.stats.forecast import detectable, needed, power_of_verdict

_POINTS = 18  # of the curve


@dataclass(frozen=True, slots=True)
class Outlook:
    """A difference in the metric's unit, and what it takes to find it in four of five studies.

    A finding is a verdict among `family` variants, so that each is tested the more strictly.
    `deviation` is the standard deviation of the personas' differences, `detectable` what `n_personas` find,
    `needed` how many personas find `effect` (None: out of reach), `power` how often `n_personas` find it,
    `curve` pairs of (personas, detectable).
    """

    n_personas: int
    family: int
    deviation: float
    effect: float
    detectable: float
    needed: int | None
    power: float
    curve: tuple[tuple[int, float], ...]


@lru_cache(maxsize=256)
def outlook(*, n_personas: int, smallest: float, effect: float, family: int = 1) -> Outlook:
    """Return the outlook for `effect` > 0 among `family` variants, where `smallest` > 0 is what `n_personas`
    >= 2 personas of this spread find; the spread is taken to stay what it is.
    """
    family = max(1, family)
    deviation = smallest / detectable(n_personas, family)
    asked = needed(effect, deviation, family=family)
    return Outlook(
        n_personas=n_personas,
        family=family,
        deviation=deviation,
        effect=effect,
        detectable=smallest,
        needed=asked,
        power=power_of_verdict(n_personas, effect / deviation, family),
        curve=_curve(deviation, [n_personas, asked or n_personas], family),
    )


def _curve(deviation: float, marked: list[int], family: int) -> tuple[tuple[int, float], ...]:
    low, high = max(4, min(marked) // 3), max(marked) * 3
    numbers = np.unique(np.geomspace(low, high, _POINTS).astype(int))
    return tuple((int(n), deviation * detectable(int(n), family)) for n in numbers)
