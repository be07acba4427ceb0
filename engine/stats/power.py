"""What a study of n personas can see, and how many personas a difference asks for. Plans; judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from engine.stats.forecast import detectable, needed, power_of_verdict
from engine.stats.inference import MIN_DIFFER

_POINTS = 18  # of the curve


@dataclass(frozen=True, slots=True)
class Outlook:
    """A difference in the metric's unit, and what it takes to find it in four of five studies.

    A finding is a verdict among `family` variants, so that each is tested the more strictly.
    `detectable` is what `n_personas` find, `needed` how many personas find `effect` (None: out of reach),
    `power` how often `n_personas` find it, `curve` pairs of (personas, detectable). Below `floor` no number
    of personas finds anything: so much is the luck of as many seeds.
    """

    n_personas: int
    family: int
    effect: float
    detectable: float
    needed: int | None
    power: float
    curve: tuple[tuple[int, float], ...]
    floor: float


@lru_cache(maxsize=256)
def outlook(
    *, n_personas: int, smallest: float, effect: float, family: int = 1, of_seeds: float = 0.0
) -> Outlook:
    """Return the outlook for `effect` > 0 among `family` variants, where `smallest` > 0 is what `n_personas`
    >= 2 personas of this spread find; the spread is taken to stay what it is. `of_seeds` is how much of the
    variance of their mean more personas do not change, since it is the seeds'.
    """
    family, floor = max(1, family), smallest * of_seeds**0.5
    deviation = smallest * (1 - of_seeds) ** 0.5 / detectable(n_personas, family)
    asked = None
    if effect > floor:
        asked = needed((effect**2 - floor**2) ** 0.5, deviation, family=family) if deviation else MIN_DIFFER
    return Outlook(
        n_personas=n_personas,
        family=family,
        effect=effect,
        detectable=smallest,
        needed=asked,
        power=power_of_verdict(n_personas, effect / smallest * detectable(n_personas, family), family),
        curve=_curve(deviation, floor, [n_personas, asked or n_personas], family),
        floor=floor,
    )


def seeds_part(seeds: Mapping[str, Any] | None) -> float:
    """Return how much of the variance of a mean over seeds is the seeds' (0 to 1), by what a comparison
    records of them (standard_error, deviation, n); 0 without that."""
    if not seeds or not seeds.get("standard_error"):
        return 0.0
    return float(min(1.0, (seeds["deviation"] / seeds["standard_error"]) ** 2 / seeds["n"]))


def _curve(deviation: float, floor: float, marked: list[int], family: int) -> tuple[tuple[int, float], ...]:
    low, high = max(MIN_DIFFER, min(marked) // 3), max(marked) * 3
    numbers = np.unique(np.geomspace(low, high, _POINTS).astype(int))
    return tuple((int(n), float(np.hypot(floor, deviation * detectable(int(n), family)))) for n in numbers)
