"""The second primary metric: what it does to a verdict, and how it is told."""

from __future__ import annotations

from typing import Any

import pytest

from engine.stats.co_primary import beside_words, standing
from engine.stats.verdicts import verdict, why

ABOVE = {"ci_low": 0.01, "ci_high": 0.03, "p_holm": 0.001}
BELOW = {"ci_low": -0.03, "ci_high": -0.01, "p_holm": 0.001}
ACROSS = {"ci_low": -0.01, "ci_high": 0.03, "p_holm": 0.4}


def beside(low: float | None, high: float | None, *, margin: float = 0.05) -> dict[str, Any]:
    middle = None if low is None or high is None else (low + high) / 2
    return {
        "label": "Exact action match",
        "delta": middle,
        "ci_low": low,
        "ci_high": high,
        "margin": margin,
        "words": ["wording", "actions"],
    }


@pytest.mark.parametrize(
    ("low", "high", "where"),
    [
        (0.01, 0.05, "up"),
        (-0.04, 0.03, "not worse"),
        (-0.05, 0.03, "not worse"),
        (0.0, 0.0, "not worse"),
        (-0.06, 0.03, "not shown"),
        (-0.04, -0.01, "down"),
        (-0.09, -0.01, "down"),
        (None, None, "not shown"),
    ],
)
def test_where_it_stands(low: float | None, high: float | None, where: str) -> None:
    assert standing(beside(low, high)) == where


@pytest.mark.parametrize(
    ("primary", "second", "word"),
    [
        (ABOVE, beside(-0.02, 0.03), "better"),
        (ABOVE, beside(0.02, 0.03), "better"),
        (ABOVE, beside(-0.08, 0.03), "not clear"),
        (ABOVE, beside(None, None), "not clear"),
        (ABOVE, beside(-0.08, -0.03), "wording up, actions down"),
        (BELOW, beside(0.02, 0.03), "wording down, actions up"),
        (BELOW, beside(-0.08, 0.03), "worse"),
        (ACROSS, beside(0.02, 0.03), "not clear"),
        (ABOVE, None, "better"),
    ],
)
def test_better_needs_both(primary: dict[str, Any], second: dict[str, Any] | None, word: str) -> None:
    assert verdict({**primary, "co_primary": second}) == word


def test_it_is_told_with_its_margin() -> None:
    assert beside_words(beside(-0.02, 0.01)) == ("Exact action match −0.5 (−2.0 to +1.0): not worse by 5.0")
    assert beside_words(beside(-0.08, 0.0)) == (
        "Exact action match −4.0 (−8.0 to 0.0): not shown to stay above −5.0"
    )
    assert beside_words(beside(None, None)) == "Exact action match: no example to compare"


def test_why_says_what_the_actions_lack() -> None:
    below = {**ABOVE, "p": 0.001, "co_primary": beside(-0.08, 0.0)}
    assert why(below) == "Exact action match −4.0 (−8.0 to 0.0): not shown to stay above −5.0"
    down = {**ABOVE, "p": 0.001, "co_primary": beside(-0.08, -0.02)}
    assert why(down) == "Exact action match −5.0 (−8.0 to −2.0): down"
    assert why({**ABOVE, "p": 0.001, "co_primary": beside(-0.02, 0.01)}) == ""
