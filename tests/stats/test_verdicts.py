"""The rule of a verdict: interval and corrected p together."""

from __future__ import annotations

import pytest

from engine.stats.verdicts import BETTER, UNCLEAR, WORSE, verdict


@pytest.mark.parametrize(
    ("low", "high", "p_holm", "word"),
    [
        (0.01, 0.05, 0.01, BETTER),
        (0.01, 0.05, 0.05, UNCLEAR),
        (0.01, 0.05, None, BETTER),
        (-0.01, 0.05, 0.01, UNCLEAR),
        (-0.05, -0.01, 0.01, WORSE),
        (None, None, 0.01, UNCLEAR),
        (float("nan"), float("nan"), None, UNCLEAR),
    ],
)
def test_both_the_interval_and_the_test_must_say_so(
    low: float | None, high: float | None, p_holm: float | None, word: str
) -> None:
    assert verdict({"ci_low": low, "ci_high": high, "p_holm": p_holm}) == word


def test_where_less_is_better_a_fall_is_a_gain() -> None:
    assert verdict({"ci_low": -0.05, "ci_high": -0.01, "p_holm": 0.01}, higher_is_better=False) == BETTER
