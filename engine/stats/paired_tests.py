"""Tests of whether paired differences centre on zero, Holm's correction, and the power of a paired t-test.

Owns p-values over plain arrays of persona differences. Knows nothing of personas, variants or examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import isnan

import numpy as np
from numpy.typing import NDArray
from scipy import special

from engine.stats.levels import ALPHA, POWER

Vector = NDArray[np.float64]

_EXACT_UP_TO = 50  # differences; above it Wilcoxon's statistic is taken as normal


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
    from scipy import stats  # takes as long to load as all else that a page of results needs of scipy

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


def power_of_t(n: int, effect_in_deviations: float, alpha: float = ALPHA) -> float:
    """Return how often a paired t-test of n >= 2 pairs finds a mean difference of so many deviations.

    Two-sided at `alpha`, from the noncentral t distribution.
    """
    off, critical = abs(effect_in_deviations) * float(np.sqrt(n)), _critical(n, alpha)
    wrong_side = float(special.nctdtr(n - 1, off, -critical))
    if isnan(wrong_side):  # scipy's word for one too small to be told
        wrong_side = 0.0
    return 1.0 - float(special.nctdtr(n - 1, off, critical)) + wrong_side


@lru_cache(maxsize=1024)
def detectable_in_deviations(n: int, alpha: float = ALPHA, power: float = POWER) -> float:
    """Return the smallest mean difference, in standard deviations, that a paired t-test of n >= 2 pairs finds
    with `power`, two-sided at `alpha`."""
    low, high = 0.0, 1.0
    while power_of_t(n, high, alpha) < power:
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if power_of_t(n, middle, alpha) < power else (low, middle)
    return high


def _critical(n: int, alpha: float) -> float:
    """What |t| must pass."""
    return float(special.stdtrit(n - 1, 1 - alpha / 2))
