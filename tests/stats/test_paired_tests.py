"""The p-values against scipy's, Holm by hand, and the power of the t-test against its definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from engine.stats.paired_tests import (
    detectable_in_deviations,
    holm,
    paired_t,
    power_of_t,
    sign_test,
    wilcoxon,
)

SIZES = [2, 3, 8, 30, 50, 51, 200]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("shift", [0.0, 0.05, -0.4])
def test_the_paired_t_is_scipys(n: int, shift: float) -> None:
    draw = np.random.default_rng(n)
    ours, theirs = draw.normal(0.8 + shift, 0.2, n), draw.normal(0.8, 0.2, n)
    assert paired_t(ours - theirs) == pytest.approx(stats.ttest_rel(ours, theirs).pvalue, rel=1e-9)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("shift", [0.0, 0.05, -0.4])
def test_wilcoxon_is_scipys_without_ties(n: int, shift: float) -> None:
    differences = np.random.default_rng(n).normal(shift, 0.2, n)
    method = "exact" if n <= 50 else "asymptotic"
    expected = stats.wilcoxon(differences, method=method).pvalue
    assert wilcoxon(differences) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9))
def test_wilcoxon_with_ties_counts_every_assignment_of_signs(steps: list[int]) -> None:
    moved = np.array([step for step in steps if step], dtype=float)
    if len(moved) == 0:
        assert wilcoxon(np.array(steps, dtype=float)) == 1.0
        return
    ranks = stats.rankdata(np.abs(moved))
    observed = ranks[moved > 0].sum()
    sums = np.array([ranks @ signs for signs in itertools.product((0, 1), repeat=len(moved))])
    expected = min(1.0, 2 * min(np.mean(sums <= observed + 1e-9), np.mean(sums >= observed - 1e-9)))
    assert wilcoxon(np.array(steps, dtype=float)) == pytest.approx(expected)


def test_wilcoxon_with_ties_above_fifty_is_scipys() -> None:
    differences = np.round(np.random.default_rng(5).normal(0.3, 1, 120), 0)
    expected = stats.wilcoxon(differences[differences != 0], method="asymptotic").pvalue
    assert wilcoxon(differences) == pytest.approx(expected)


@pytest.mark.parametrize(("ups", "downs"), [(0, 0), (1, 0), (5, 5), (9, 1), (60, 140), (120, 80)])
def test_the_sign_test_is_scipys(ups: int, downs: int) -> None:
    expected = stats.binomtest(ups, ups + downs).pvalue if ups + downs else 1.0
    assert sign_test(ups, downs) == pytest.approx(expected)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_holm_leaves_out_what_has_no_p() -> None:
    assert holm([None, 0.01, None, 0.02]) == [None, 0.02, None, 0.02]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_never_lowers(p_values: list[float]) -> None:
    adjusted = [p for p in holm(p_values) if p is not None]
    assert all(p <= corrected <= 1 for p, corrected in zip(p_values, adjusted, strict=True))
    ordered = [corrected for _, corrected in sorted(zip(p_values, adjusted, strict=True))]
    assert ordered == sorted(ordered)


@pytest.mark.parametrize("n", [3, 5, 20, 34, 200, 2000])
def test_the_detectable_effect_is_found_with_the_power_asked_for(n: int) -> None:
    shift = detectable_in_deviations(n) * np.sqrt(n)
    critical = stats.t.ppf(0.975, n - 1)
    power = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
    assert power == pytest.approx(0.8, abs=1e-4)


def test_the_detectable_effect_of_two_pairs_is_found_with_that_power() -> None:
    samples = np.random.default_rng(0).normal(detectable_in_deviations(2), 1, (100_000, 2))
    assert np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.01)


def test_half_a_deviation_needs_34_pairs() -> None:
    assert detectable_in_deviations(34) < 0.5 < detectable_in_deviations(33)


@pytest.mark.parametrize("n", [2, 3, 10, 100, 5000])
@pytest.mark.parametrize("alpha", [0.05, 0.0002])
def test_power_is_told_however_small_or_large(n: int, alpha: float) -> None:
    powers = [power_of_t(n, effect, alpha) for effect in (0.0, 0.001, 0.1, 0.46, 1.0, 10.0, 1e4)]
    assert powers[0] == pytest.approx(alpha, rel=1e-6)
    assert powers == sorted(powers)
    assert powers[-1] > 0.95
