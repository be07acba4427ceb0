"""Persona by seed: against the textbook's mean squares, and what noise alone does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from engine.stats.compare import also_over_seeds, compare
from engine.stats.pairing import pair
from engine.stats.seeds import crossed, noise_of_mean, retrained, training_noise


def layout(n: int, k: int, *, of_seed: float, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    shared = draw.normal(0, 1, (n, 1)) + of_seed * draw.normal(0, 1, (1, k))
    return np.asarray(shared + draw.normal(0, 0.3, (n, k)))


def test_the_error_is_that_of_the_two_way_layout() -> None:
    import pandas as pd
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    drawn = layout(12, 4, of_seed=0.5)
    rows = [(p, s, drawn[p, s]) for p in range(12) for s in range(4)]
    table = pd.DataFrame(rows, columns=["persona", "seed", "value"])
    squares = anova_lm(ols("value ~ C(persona) + C(seed)", table).fit())["mean_sq"]
    found = crossed(drawn)
    assert found is not None
    total = squares["C(persona)"] + squares["C(seed)"] - squares["Residual"]
    assert found.error == pytest.approx((total / 48) ** 0.5)
    assert found.low < found.mean < found.high
    assert found.high - found.mean == pytest.approx(stats.t(found.freedom).ppf(0.975) * found.error)


def test_what_other_seeds_would_change_is_of_the_same_mean_squares() -> None:
    drawn = layout(12, 4, of_seed=0.5)
    found, alike = crossed(drawn), retrained(drawn)
    assert found is not None
    assert alike is not None
    rest = drawn - drawn.mean(axis=1)[:, None] - drawn.mean(axis=0) + drawn.mean()
    square = (rest**2).sum() / 33
    assert (alike.own, alike.freedom) == (pytest.approx(square / 4), pytest.approx(33))
    alone = drawn.mean(axis=1).var(ddof=1) / 12
    assert 1.959964 * (alone + alike.shared) ** 0.5 == pytest.approx(found.high - found.mean)
    half = retrained(drawn, luck=square / 2)
    assert half is not None
    assert (half.own, half.freedom) == (pytest.approx(square / 8), pytest.approx(33 / 4))
    assert retrained(drawn[:, :1]) is None


def test_seeds_that_matter_widen_the_interval_beyond_the_personas() -> None:
    drawn = layout(200, 3, of_seed=0.5)
    found, quiet = crossed(drawn), crossed(layout(200, 3, of_seed=0.0))
    assert found is not None
    assert quiet is not None
    alone = drawn.mean(axis=1).std(ddof=1) / 200**0.5
    assert found.error > 2 * alone
    assert found.seed_share > 0.8
    assert quiet.seed_share < 0.2
    assert quiet.freedom > 100


def test_one_seed_or_no_difference_says_nothing() -> None:
    for drawn in (np.ones((5, 1)), np.zeros((5, 3)), np.ones((1, 3))):
        assert crossed(drawn) is None


def test_who_is_missing_under_a_seed_is_left_out() -> None:
    drawn = layout(12, 3, of_seed=0.3)
    gap = np.vstack([drawn, [[np.nan, 5.0, 5.0]]])
    assert crossed(gap) == crossed(drawn)


def test_a_comparison_over_seeds_is_no_surer_than_personas_crossed_with_seeds() -> None:
    drawn = layout(40, 3, of_seed=0.8) / 20
    rows = [(f"d{p}", f"p{p:02}", value) for p, value in enumerate(drawn.mean(axis=1))]
    plain = compare(pair(rows, [(example, persona, 0.0) for example, persona, _ in rows]), equal_margin=0.01)
    found = crossed(drawn)
    assert found is not None
    both = also_over_seeds(plain, found)
    assert both.ci_kind == "crossed"
    assert both.ci_high - both.ci_low > 1.5 * (plain.ci_high - plain.ci_low)  # type: ignore[operator]
    assert both.p_strict >= max(plain.p_strict, found.p)  # type: ignore[type-var]
    assert both.min_detectable_effect > plain.min_detectable_effect  # type: ignore[operator]
    sure = also_over_seeds(replace(plain, p_equal=1e-9), found)  # of personas alone: equal
    assert sure.p_equal == found.p_equal(0.01) > 1e-9


def test_all_pairs_of_repeats_count() -> None:
    found = training_noise([[0.80, 0.82, 0.81], [0.70, 0.71], [0.5]])
    assert found is not None
    assert found.pairs == 4
    assert found.largest == pytest.approx(0.02)
    deviation = ((2 * 0.01**2 + 2 * 0.005**2) / 3) ** 0.5
    assert found.limit == pytest.approx(stats.t(3).ppf(0.975) * 2**0.5 * deviation)
    mean = noise_of_mean([0.01, 0.02, 0.03], one_once=False)
    assert mean.limit == pytest.approx(stats.t(2).ppf(0.975) * 0.01 / 3**0.5)
    assert training_noise([[0.8], [0.7]]) is None


@pytest.mark.parametrize("repeats", [1, 3])
def test_noise_alone_passes_its_bound_in_one_of_twenty(repeats: int) -> None:
    """The largest difference of one repeat, the bound of before, is passed in half of all cases."""
    means = np.random.default_rng(repeats).normal(size=(4_000, repeats + 2))
    passed = []
    for first, second, *again in means:
        found = training_noise([[first, *again]])
        assert found is not None
        passed.append(abs(second - first) > found.limit)
    assert np.mean(passed) == pytest.approx(0.05, abs=0.03)
