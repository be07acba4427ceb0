"""The interval of a share of personas: Wilson's formula, and an exact upper end.

Source: Wilson, Probable inference, the law of succession, and statistical inference (1927).
"""

from __future__ import annotations

import math

from scipy import special

from engine.stats.levels import CONFIDENCE


def wilson(successes: int, n: int, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the two-sided interval of the share successes / n; it stays within 0 and 1 and n >= 1.

    Unlike the usual mean plus or minus two errors it is no point at shares of 0 and 1.
    """
    z = float(special.ndtri((1 + confidence) / 2))
    share, weight = successes / n, z * z / n
    centre = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / n + weight / (4 * n))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return low, high


def most(successes: int, n: int) -> float:
    """Return the largest share that so few successes of n >= 1 still fit: the upper end of an exact interval.

    Source: Clopper and Pearson, The use of confidence or fiducial limits (1934).
    """
    if successes == n:
        return 1.0
    return float(special.betaincinv(successes + 1, n - successes, 0.975))
