"""The difference of a statistic of the whole set, such as a macro-F1, with what chance would make of it.

The persona is the unit: the interval draws personas with replacement and takes the statistic of what those
count; the p value swaps the two variants in randomly chosen personas. Knows no metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.stats.levels import NOISE
from engine.stats.pairing import Counts, Vector

KIND: Final = "percentile"
_CHUNK = 4_000_000  # numbers drawn at once


@dataclass(frozen=True, slots=True)
class Drawn:
    """A statistic of two variants, their difference, its percentile interval and p over `n` personas.

    `deviation` is the standard error of the difference times the root of n. None where there is no such
    number: nothing is shared, the statistic is undefined, or there is one persona.
    """

    n: int
    candidate: float | None = None
    reference: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    deviation: float | None = None


def infer(counts: Counts, *, confidence: float, resamples: int, seed: int) -> Drawn:
    """Return the statistic of all personas for both variants, and the inference about their difference."""
    n = len(counts.candidate)
    if not n:
        return Drawn(0)
    ours, theirs = (
        float(counts.values(side.sum(axis=0, keepdims=True))[0])
        for side in (counts.candidate, counts.reference)
    )
    if not np.isfinite([ours, theirs]).all():
        return Drawn(n)
    observed = ours - theirs
    observed = 0.0 if abs(observed) < NOISE else observed
    if n == 1:
        return Drawn(n, ours, theirs, observed)
    draw = np.random.default_rng(seed)
    differences, as_large = _drawn(counts, abs(observed) - NOISE, draw, resamples)
    tail = (1 - confidence) / 2
    low, high = np.quantile(differences, [tail, 1 - tail]) if len(differences) else (np.nan, np.nan)
    return Drawn(
        n,
        ours,
        theirs,
        observed,
        low=_finite(low),
        high=_finite(high),
        p=(as_large + 1) / (resamples + 1),
        deviation=_finite(differences.std(ddof=1) * np.sqrt(n)) if len(differences) > 1 else None,
    )


def _drawn(counts: Counts, least: float, draw: np.random.Generator, resamples: int) -> tuple[Vector, int]:
    """The difference in each sample of personas (where defined), and in how many of as many random swaps it
    is as large as `least`."""
    n, apart = len(counts.candidate), counts.candidate - counts.reference
    whole = counts.candidate.sum(axis=0), counts.reference.sum(axis=0)
    found, as_large = [], 0
    for start in range(0, resamples, step := max(1, _CHUNK // n)):
        size = min(step, resamples - start)
        weights = draw.multinomial(n, np.full(n, 1 / n), size=size).astype(np.float64)
        found.append(counts.values(weights @ counts.candidate) - counts.values(weights @ counts.reference))
        moved = (draw.random((size, n)) < 0.5).astype(np.float64) @ apart
        chance = counts.values(whole[0] - moved) - counts.values(whole[1] + moved)
        as_large += int(np.sum(np.abs(chance) >= least))
    differences = np.concatenate(found)
    return differences[np.isfinite(differences)], as_large


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
