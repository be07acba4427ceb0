"""The levels that all statistics and verdicts share: what counts as sure, as large, as few and as nothing."""

from __future__ import annotations

from typing import Final

ALPHA: Final = 0.05
"""A p below it is significant."""
CONFIDENCE: Final = 1 - ALPHA
"""Of intervals."""
POWER: Final = 0.8
"""In so large a share of studies a planned one shall find what is there."""
POINT: Final = 0.01
"""A fraction: the smallest gain worth seeing; so much either way is equal."""
CATASTROPHE: Final = 0.10
"""A fraction: a persona who loses more has a catastrophic loss."""
LOST: Final = f"lost more than {100 * CATASTROPHE:.0f} points"
"""What is said of who has one."""
FEW: Final = 50
"""Personas: below it intervals are wide."""
NOISE: Final = 1e-12
"""A difference of means below it comes from rounding."""
