"""The rule of a verdict: interval and corrected p together."""

from __future__ import annotations

from typing import Any

import pytest

from engine.stats.verdicts import BETTER, EQUAL, UNCLEAR, WORSE, verdict, why


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


ROW = {
    "ci_low": -0.004,
    "ci_high": 0.006,
    "p": 0.001,  # Student's alone decides nothing
    "p_alone": 0.7,
    "p_holm": 1.0,
    "p_equal": 0.001,
    "p_equal_holm": 0.02,
    "equal_margin": 0.01,
    "family_size": 20,
    "reason": None,
}


@pytest.mark.parametrize(
    ("change", "word", "reason"),
    [
        ({}, EQUAL, "surely less than 1.0 points either way"),
        ({"p_equal_holm": 0.3}, UNCLEAR, "anything from −0.4 to +0.6 points fits"),
        (
            {"p_equal_holm": 0.3, "above_noise": False},
            UNCLEAR,
            "anything from −0.4 to +0.6 points fits; within the noise of training",
        ),
        (
            {"ci_low": 0.001, "p_alone": 0.01, "p_holm": 0.2, "p_equal_holm": 0.3},
            UNCLEAR,
            "clear alone (p 0.01), not among 20 variants (p 0.20)",
        ),
        (
            {"ci_low": 0.001, "p_alone": 0.01, "p_holm": 0.2, "p_equal_holm": 0.3, "among_metrics": 10},
            UNCLEAR,
            "clear alone (p 0.01), not among 20 variants in 10 metrics (p 0.20)",
        ),
        (
            {
                "ci_low": 0.001,
                "p_alone": 0.01,
                "p_holm": 0.1,
                "p_equal_holm": 1.0,
                "among_metrics": 10,
                "family_size": 1,
            },
            UNCLEAR,
            "clear alone (p 0.01), not among 10 metrics (p 0.10)",
        ),
        (
            {
                "ci_low": 0.1,
                "ci_high": 0.1,
                "p_alone": 0.06,
                "p_holm": 0.06,
                "p_equal_holm": 1.0,
                "family_size": 1,
            },
            UNCLEAR,
            "clear by its interval alone, not for so few or so lopsided personas (p 0.06)",
        ),
        (
            {"ci_low": None, "ci_high": None, "p_equal": None, "p_equal_holm": None, "reason": "Too few."},
            UNCLEAR,
            "Too few.",
        ),
        ({"ci_low": 0.001, "p_holm": 0.01}, BETTER, "but by less than 1.0 points"),
        ({"ci_low": 0.001, "p_holm": 0.01, "p_equal_holm": 0.3}, BETTER, ""),
        ({"ci_low": 0.001, "p_holm": 0.01, "above_noise": False}, BETTER, "but within the noise of training"),
    ],
)
def test_equal_is_a_verdict_and_a_verdict_says_why(change: dict[str, Any], word: str, reason: str) -> None:
    row = {**ROW, **change}
    assert verdict(row) == word
    assert why(row) == reason
