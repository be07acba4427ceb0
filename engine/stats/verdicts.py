"""What a comparison's numbers mean in one word. Owns the rule of a verdict; computes no statistic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from engine.stats.co_primary import DOWN, OPEN, UP, Beside, standing

BETTER: Final = "better"
WORSE: Final = "worse"
EQUAL: Final = "equal"
UNCLEAR: Final = "not clear"
ALPHA: Final = 0.05
_NOISE: Final = 1e-12  # differences below it come from rounding


def outcome(difference: float, *, higher_is_better: bool | None = True, margin: float = 0.0) -> str:
    """Return the word for a difference: better or worse by more than `margin`, else equal."""
    if abs(difference) <= margin + _NOISE or higher_is_better is None:
        return EQUAL
    return BETTER if (difference > 0) == higher_is_better else WORSE


def verdict(row: Mapping[str, Any], *, higher_is_better: bool | None = True) -> str:
    """Return better or worse where the interval excludes 0 and Holm's p, if there is one, is below ALPHA.

    A row with a second primary metric (`co_primary`) is better only where that one is not worse.
    """
    low, high, corrected = row["ci_low"], row["ci_high"], row.get("p_holm")
    if corrected is not None and corrected >= ALPHA:
        return UNCLEAR
    if low is None or high is None or math.isnan(low) or math.isnan(high) or low <= 0 <= high:
        return UNCLEAR
    return weighed(outcome(low, higher_is_better=higher_is_better), row.get("co_primary"))


def weighed(word: str, beside: Beside | None) -> str:
    """Return the verdict on both metrics, from the word for the primary one."""
    if beside is None or word not in (BETTER, WORSE):
        return word
    stands, (primary, second) = standing(beside), beside["words"]
    if word == BETTER and stands == DOWN:
        return f"{primary} up, {second} down"
    if word == WORSE and stands == UP:
        return f"{primary} down, {second} up"
    return UNCLEAR if word == BETTER and stands == OPEN else word
