"""Training again from other seeds: how sure a mean is over personas and seeds, and what is mere noise.

Owns the two-way layout of persona and seed, what of it speaks against single personas, and the noise of
training as all pairs of repeats show it. Knows neither runs nor variants.

Sources: Satterthwaite, An approximate distribution of estimates of variance components (1946); Bouthillier
and others, Accounting for variance in machine learning benchmarks (2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from engine.stats.bootstrap import Vector
from engine.stats.levels import CONFIDENCE, NOISE


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

    def p_equal(self, margin: float) -> float:
        """Return p of a mean as far from 0 as `margin` or farther, by two one-sided tests."""
        return float(special.stdtr(self.freedom, (abs(self.mean) - margin) / self.error))


def crossed(differences: Vector) -> Crossed | None:
    """Return the mean of `differences` [personas, seeds], and how sure it is.

    A persona whom a seed lacks (NaN) is left out. None below two personas or seeds, and where nothing differs
    from anything.
    """
    whole = differences[~np.isnan(differences).any(axis=1)]
    n, k = whole.shape
    if min(n, k) < 2 or np.ptp(whole) <= NOISE:
        return None
    mean = whole.mean()
    personas, seeds, rest = _mean_squares(whole)
    left = min(rest, personas, seeds)  # neither component is less than none
    total = personas + seeds - left
    freedom = total**2 / (personas**2 / (n - 1) + seeds**2 / (k - 1) + left**2 / ((n - 1) * (k - 1)))
    error = float(np.sqrt(total / (n * k)))
    half = float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
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


def _mean_squares(whole: Vector) -> tuple[float, float, float]:
    """Those of personas, of seeds and of the rest, of a table [personas, seeds]."""
    n, k = whole.shape
    mean, by_persona, by_seed = whole.mean(), whole.mean(axis=1), whole.mean(axis=0)
    rest = whole - by_persona[:, None] - by_seed + mean
    personas, seeds = (((by_persona - mean) ** 2).sum(), ((by_seed - mean) ** 2).sum())
    return k * personas / (n - 1), n * seeds / (k - 1), (rest**2).sum() / ((n - 1) * (k - 1))


@dataclass(frozen=True, slots=True)
class Retrained:
    """What other seeds would change in each persona's mean over the seeds, as variances.

    `own` is what they change in her alone, estimated with so many degrees of `freedom`; `shared` what they
    change in all alike, as of a normal that reaches as far as the interval over personas and seeds does.
    """

    own: float
    freedom: float
    shared: float


def retrained(differences: Vector, *, luck: float = 0.0) -> Retrained | None:
    """Return what other seeds would change in the means over seeds of `differences` [personas, seeds].

    `luck` is the variance, under one seed, of what that seed does to single examples of a persona: averaged
    over her examples, it is known from them and no part of this. None where `crossed` is None.
    """
    found = crossed(differences)
    if found is None:
        return None
    whole = differences[~np.isnan(differences).any(axis=1)]
    n, k = whole.shape
    personas, _, rest = _mean_squares(whole)
    own = max(0.0, rest - luck)
    freedom = (n - 1) * (k - 1) * (own / rest if own else 1.0) ** 2
    reach = (found.high - found.mean) / special.ndtri((1 + CONFIDENCE) / 2)
    return Retrained(own / k, freedom, max(0.0, float(reach**2 - personas / (n * k))))


@dataclass(frozen=True, slots=True)
class TrainingNoise:
    """How much another seed alone moves a mean. `largest` is the largest difference between two seeds of one
    recipe, `limit` what the difference of two single runs stays within, by chance alone, 19 times in 20;
    both over all `pairs` of repeats."""

    largest: float
    limit: float
    pairs: int


def training_noise(recipes: Sequence[Sequence[float]]) -> TrainingNoise | None:
    """Return the noise that the means of each recipe's seeds show, pooled; None where none was repeated.

    All pairs of repeats of a recipe count alike. The deviation within recipes has sum(n - 1) degrees of
    freedom, and a difference of two runs has twice that variance (Student's t).
    """
    repeated = [np.asarray(means, dtype=np.float64) for means in recipes if len(means) > 1]
    if not repeated:
        return None
    freedom = sum(len(means) - 1 for means in repeated)
    squares = sum(float(((means - means.mean()) ** 2).sum()) for means in repeated)
    return TrainingNoise(
        largest=max(float(np.ptp(means)) for means in repeated),
        limit=_reach(freedom) * (2 * squares / freedom) ** 0.5,
        pairs=sum(_pairs(len(means)) for means in repeated),
    )


def noise_of_mean(deltas: Sequence[float], *, one_once: bool) -> TrainingNoise:
    """Return the noise of the mean of `deltas`, one a seed: `limit` is what it stays within by chance alone.

    With `one_once` the seeds are those of one side, and the other was trained once: its own noise, as large
    as that of one of them, is not averaged out.
    """
    n = len(deltas)
    deviation = float(np.std(deltas, ddof=1))
    return TrainingNoise(
        largest=float(np.ptp(deltas)),
        limit=_reach(n - 1) * deviation * (one_once + 1 / n) ** 0.5,
        pairs=_pairs(n),
    )


def _reach(freedom: int) -> float:
    return float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2))


def _pairs(n: int) -> int:
    return n * (n - 1) // 2
