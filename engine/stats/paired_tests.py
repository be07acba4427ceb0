"""Tests of whether paired differences centre on zero, Holm's correction, and the power of a paired t-test.

Owns p-values over plain arrays of persona differences. Knows nothing of personas, variants or examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Vector = NDArray[np.float64]

_EXACT_UP_TO = 50  # differences; above it Wilcoxon's statistic is taken as normal
_QUANTILES = 4_000  # of the sample's spread, in the power of the t-test


def paired_t(differences: Vector) -> float:
    """Return the two-sided p of Student's paired t-test; differences of shape (n >= 2,), not all equal."""
    return float(paired_t_of(differences[:, None])[0])


def paired_t_of(studies: Vector) -> Vector:
    """Return `paired_t` of each column of `studies`, of shape (n >= 2, m): p-values of shape (m,)."""
    n = len(studies)
    t = studies.mean(axis=0) / (studies.std(axis=0, ddof=1) / np.sqrt(n))
    return np.asarray(2 * special.stdtr(n - 1, -np.abs(t)))


def wilcoxon(differences: Vector) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test; zeros are left out, ties share mean ranks.

    Exact up to 50 differences (ties included, given the ranks), normal above.
    """
    moved = np.round(differences[differences != 0], 12)
    if len(moved) == 0:
        return 1.0
    if len(moved) > _EXACT_UP_TO:
        return float(stats.wilcoxon(moved, method="asymptotic").pvalue)
    doubled = np.rint(2 * stats.rankdata(np.abs(moved))).astype(int)
    ways = np.zeros(int(doubled.sum()) + 1)
    ways[0] = 1.0
    for rank in doubled:
        shifted = np.zeros_like(ways)
        shifted[rank:] = ways[: len(ways) - rank]
        ways = (ways + shifted) / 2
    observed = int(doubled[moved > 0].sum())
    return float(min(1.0, 2 * min(ways[: observed + 1].sum(), ways[observed:].sum())))


def sign_test(ups: int, downs: int) -> float:
    """Return the two-sided p of the sign test; differences of zero are left out by the caller."""
    moved = ups + downs
    return float(min(1.0, 2 * special.bdtr(min(ups, downs), moved, 0.5))) if moved else 1.0


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's adjusted p-values in the given order; None stays None and does not count in the family.

    Source: Holm, A simple sequentially rejective multiple test procedure (1979).
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        adjusted[i] = highest
    return adjusted


def power_of_t(n: int, effect_in_deviations: float, alpha: float = 0.05) -> float:
    """Return how often a paired t-test of n >= 2 pairs finds a mean difference of so many deviations."""
    return _power(abs(effect_in_deviations) * float(np.sqrt(n)), _thresholds(n, alpha))


@lru_cache(maxsize=1024)
def detectable_in_deviations(n: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest mean difference, in standard deviations, that a paired t-test of n pairs finds.

    Two-sided at `alpha` with `power`, from the noncentral t distribution (integrated, since
    its library function fails for n = 2); n >= 2.
    """
    thresholds = _thresholds(n, alpha)
    low, high = 0.0, 1.0
    while _power(high, thresholds) < power:
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _power(middle, thresholds) < power else (low, middle)
    return high / float(np.sqrt(n))


def _thresholds(n: int, alpha: float) -> Vector:
    """Return what the mean must pass, in standard errors, at equally likely spreads of the sample."""
    levels = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    spreads = np.sqrt(special.chdtri(n - 1, 1 - levels) / (n - 1))
    return np.asarray(float(special.stdtrit(n - 1, 1 - alpha / 2)) * spreads)


def _power(noncentrality: float, thresholds: Vector) -> float:
    """Return how often |t| passes its critical value, over equally likely spreads of the sample."""
    return float(
        np.mean(special.ndtr(noncentrality - thresholds) + special.ndtr(-noncentrality - thresholds))
    )
