"""What the best of several looks like by luck alone. Owns the optimism of a maximum; chooses nothing.

Source: the multiplier bootstrap of a maximum of correlated means (Chernozhukov, Chetverikov and Kato 2013).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from engine.stats.bootstrap import Vector

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


def optimism(
    differences: Mapping[str, Mapping[str, float]],
    seeds: Mapping[str, Mapping[str, float]] | None = None,
) -> Optimism | None:
    """Return the optimism of the highest of these variants (name -> persona -> gain, more is better).

    Made from the spread and the correlation of the gains themselves, over the personas that all have. `seeds`
    (name -> seed -> gain) says what another training would have shown of those that have several; variants
    that share a seed share its luck. None for fewer than two variants or three such personas.
    """
    tables = list(differences.values())
    shared = sorted(set.intersection(*(set(one) for one in tables))) if tables else []
    if len(tables) < 2 or len(shared) < _FEWEST:
        return None
    gains = np.array([[one[persona] for one in tables] for persona in shared], dtype=np.float64)
    variants = len(tables)
    apart = np.concatenate([_apart(gains), _by_seed(list(differences), seeds or {})])
    half = special.ndtri(0.975) * np.sqrt((apart**2).sum(axis=0))  # normal draws: one alone holds as promised
    means = np.random.default_rng(0).standard_normal((_DRAWS, len(apart))) @ apart
    best = means.argmax(axis=1)
    highest = means[np.arange(_DRAWS), best]
    held = np.abs(highest) <= half[best] + 1e-15
    return Optimism(variants, float(highest.mean()), float(held.mean()))


def _apart(values: Vector) -> Vector:
    """How far each of `values` [n, ...] is from their mean; the squares add up to the mean's variance."""
    return np.asarray((values - values.mean(axis=0)) / np.sqrt(len(values) * (len(values) - 1)))


def _by_seed(names: Sequence[str], seeds: Mapping[str, Mapping[str, float]]) -> Vector:
    """The same of the variants that have several seeds, as [seeds, variants]."""
    known = sorted({seed for of in seeds.values() for seed in of})
    found = np.zeros((len(known), len(names)))
    for name, of in seeds.items():
        if len(of) > 1:
            rows = [known.index(seed) for seed in of]
            found[rows, names.index(name)] = _apart(np.array(list(of.values())))
    return found
