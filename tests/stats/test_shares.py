"""Wilson's interval: against scipy's, at its edges, and by its coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from engine.stats.shares import most, wilson


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (9, 20), (43, 200)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_wilson_is_scipys(successes: int, n: int, confidence: float) -> None:
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert wilson(successes, n, confidence=confidence) == pytest.approx(
        (expected.low, expected.high), abs=1e-12
    )


def test_the_interval_of_all_or_none_is_no_point() -> None:
    assert wilson(0, 20)[0] == 0.0
    assert 0.1 < wilson(0, 20)[1] < 0.2
    assert wilson(20, 20) == pytest.approx((1 - wilson(0, 20)[1], 1.0))


def test_it_holds_the_truth_about_as_often_as_it_says() -> None:
    held = [low <= 0.6 <= high for low, high in (wilson(k, 200) for k in range(201))]
    chances = stats.binom.pmf(np.arange(201), 200, 0.6)
    assert 0.93 < float(chances @ np.array(held)) < 0.97


@pytest.mark.parametrize(("successes", "n"), [(0, 20), (3, 200), (19, 20), (5, 5)])
def test_the_most_is_scipys_exact_upper_end(successes: int, n: int) -> None:
    expected = stats.binomtest(successes, n).proportion_ci(method="exact").high
    assert most(successes, n) == pytest.approx(expected)
