"""What a second primary metric does to a verdict: a variant is better only where that one is not worse.

Owns the rule of non-inferiority (the whole interval lies above minus a margin declared beforehand) and its
words. Both metrics must hold, so neither needs a correction for the other. Computes no interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.core.wording import MINUS, interval, known, points, signed_points

Beside = Mapping[str, Any]
"""label, mean, delta, ci_low, ci_high, n_paired (as of a comparison, in the direction of gain), margin, and
`words`: what the primary metric and this one go by where they disagree."""

UP: Final = "up"
HELD: Final = "not worse"
OPEN: Final = "not shown"
DOWN: Final = "down"


def standing(beside: Beside) -> str:
    """Return where the second metric stands: up, not worse, down, or not shown to be any of these.

    Down is an interval wholly below 0, be it within the margin: that loss is real, and it is said.
    """
    low, high = beside["ci_low"], beside["ci_high"]
    if not (known(low) and known(high)):
        return OPEN
    if high < 0:
        return DOWN
    if low > 0:
        return UP
    return HELD if low >= -beside["margin"] else OPEN


def beside_words(beside: Beside) -> str:
    """Word the second metric in a line: "Exact action match −0.5 (−2.1 to +1.2): not worse by 5.0"."""
    if beside["delta"] is None:
        return f"{beside['label']}: no example to compare"
    within = points(beside["margin"])
    words = {
        UP: "up",
        HELD: f"not worse by {within}",
        DOWN: "down",
        OPEN: f"not shown to stay above {MINUS}{within}",
    }[standing(beside)]
    return (
        f"{beside['label']} {signed_points(beside['delta'])}"
        f" ({interval(beside['ci_low'], beside['ci_high'])}): {words}"
    )
