"""What the best of several looks like by luck alone. Owns the optimism of a maximum; chooses nothing.

Source: the multiplier bootstrap of a maximum of correlated means (Chernozhukov, Chetverikov and Kato 2013).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special

_DRAWS = 20_000
_FEWEST = 3  # personas


@dataclass(frozen=True, slots=True)
class Optimism:
    """What the highest of `n` variants shows where all are equally good, in the metric's unit.

    `overshoot` is how far it lies above the truth on average, `coverage` how often its own 95 % interval,
    made for one variant, holds the truth.
    """

    n: int
    overshoot: float
    coverage: float


def optimism(differences: Mapping[str, Mapping[str, float]]) -> Optimism | None:
    """Return the optimism of the highest of these variants (name -> persona -> gain, more is better).

    Made from the spread and the correlation of the gains themselves, over the personas that all have. None
    for fewer than two variants or three such personas.
    """
    tables = list(differences.values())
    shared = sorted(set.intersection(*(set(one) for one in tables))) if tables else []
    if len(tables) < 2 or len(shared) < _FEWEST:
        return None
    gains = np.array([[one[persona] for one in tables] for persona in shared], dtype=np.float64)
    n, variants = gains.shape
    errors = gains.std(axis=0, ddof=1) / np.sqrt(n)
    half = special.ndtri(0.975) * errors  # the draws are normal: one alone holds as promised
    weights = np.random.default_rng(0).standard_normal((_DRAWS, n))
    means = weights @ (gains - gains.mean(axis=0)) / np.sqrt(n * (n - 1))
    best = means.argmax(axis=1)
    highest = means[np.arange(_DRAWS), best]
    held = np.abs(highest) <= half[best] + 1e-15
    return Optimism(variants, float(highest.mean()), float(held.mean()))
