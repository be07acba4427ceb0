"""Training again from other seeds: how sure a mean is over personas and seeds, and what is mere noise.

Owns the two-way layout of persona and seed, and the noise of training as all pairs of repeats show it. Knows
neither runs nor variants.

Sources: Satterthwaite, An approximate distribution of estimates of variance components (1946); Bouthillier
and others, Accounting for variance in machine learning benchmarks (2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from engine.core.errors import EngineError
from engine.stats.bootstrap import Vector

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Crossed:
    """The mean difference over `n_personas` and `n_seeds`, both of which are a sample.

    [low, high] is its 95 % interval, by Student's t with Satterthwaite's `freedom`; `p` that of a mean of 0.
    `seed_share` (0..1) is how much of the variance of what ONE training shows is the seed's.
    """

    n_personas: int
    n_seeds: int
    mean: float
    error: float
    freedom: float
    low: float
    high: float
    p: float
    seed_share: float


def crossed(differences: Vector) -> Crossed:
    """Return the mean of `differences` [personas >= 2, seeds >= 2], and how sure it is.

    Raises EngineError for fewer of either and where nothing differs at all.
    """
    n, k = differences.shape
    if min(n, k) < 2 or np.ptp(differences) <= 0:
        raise EngineError(
            f"{n} personas by {k} seeds that all agree say nothing of seeds.",
            "Train it with two further seeds; three in all are usual.",
        )
    mean = differences.mean()
    by_persona, by_seed = differences.mean(axis=1), differences.mean(axis=0)
    rest = differences - by_persona[:, None] - by_seed + mean
    personas = k * ((by_persona - mean) ** 2).sum() / (n - 1)
    seeds = n * ((by_seed - mean) ** 2).sum() / (k - 1)
    left = (rest**2).sum() / ((n - 1) * (k - 1))
    left = min(left, personas, seeds)  # neither component is less than none
    total = personas + seeds - left
    rest_freedom = (n - 1) * (k - 1)
    freedom = total**2 / (personas**2 / (n - 1) + seeds**2 / (k - 1) + left**2 / rest_freedom)
    error = float(np.sqrt(total / (n * k)))
    half = float(special.stdtrit(freedom, (1 + _CONFIDENCE) / 2)) * error
    return Crossed(
        n_personas=n,
        n_seeds=k,
        mean=float(mean),
        error=error,
        freedom=float(freedom),
        low=float(mean) - half,
        high=float(mean) + half,
        p=float(2 * special.stdtr(freedom, -abs(float(mean)) / error)),
        seed_share=float(seeds / (seeds + (personas - left) / k)),
    )


@dataclass(frozen=True, slots=True)
class TrainingNoise:
    """What another seed alone does to a mean, from `pairs` pairs of repeats.

    `deviation` is that of one training's mean; a difference between two trainings up to `bound` is nothing
    unusual (95 %). `freedom` is what the estimate rests on: one fewer than the trainings of each recipe.
    """

    deviation: float
    bound: float
    freedom: int
    pairs: int


def training_noise(recipes: Sequence[Sequence[float]]) -> TrainingNoise | None:
    """Return the noise of training from each recipe's means under its seeds, over the same personas.

    All pairs of repeats of a recipe count alike, and recipes are pooled. None where nothing was repeated.
    """
    repeated = [np.asarray(means, dtype=np.float64) for means in recipes if len(means) > 1]
    if not repeated:
        return None
    freedom = sum(len(means) - 1 for means in repeated)
    squares = sum(float(((means - means.mean()) ** 2).sum()) for means in repeated)
    deviation = (squares / freedom) ** 0.5
    bound = float(special.stdtrit(freedom, (1 + _CONFIDENCE) / 2)) * 2**0.5 * deviation
    pairs = sum(len(means) * (len(means) - 1) // 2 for means in repeated)
    return TrainingNoise(deviation, bound, freedom, pairs)
