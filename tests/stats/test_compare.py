"""Comparisons: against scipy, by hand, by their symmetries, and by the coverage of their intervals."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from engine.core.errors import EngineError
from engine.stats.bootstrap import DEFAULT_KIND, KINDS, interval, intervals
from engine.stats.compare import NO_PERSONA, NO_SPREAD, ONE_PERSONA, Comparison, compare
from engine.stats.pairing import Pairing, Row, by_persona, index, pair
from engine.stats.shares import wilson
from tests.stats.leaderboards import Options, leaderboard

DIFFERENCES = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=40)


def table(values: list[float] | np.ndarray, *, per_persona: int = 1) -> list[Row]:
    """Return a table whose persona i scores values[i] on each of its examples."""
    return [
        (f"d{persona:04}/{k}#1", f"p{persona:04}", float(value))
        for persona, value in enumerate(values)
        for k in range(per_persona)
    ]


def pairing_of(differences: list[float] | np.ndarray) -> Pairing:
    return pair(table(differences), table([0.0] * len(differences)))


def study(n: int = 200, *, shift: float = 0.02, seed: int = 0) -> tuple[list[Row], list[Row]]:
    draw = np.random.default_rng(seed)
    base = draw.normal(0.8, 0.1, n)
    return table(base + draw.normal(shift, 0.05, n), per_persona=3), table(base, per_persona=3)


def test_a_comparison_by_hand() -> None:
    differences = [0.2, 0.1, 0.0, -0.05, -0.3]
    found = compare(pair(table(np.array(differences) + 0.5), table([0.5] * 5)))
    assert found.mean == pytest.approx(0.49)
    assert found.reference_mean == pytest.approx(0.5)
    assert found.delta == pytest.approx(-0.01)
    assert (found.wins, found.ties, found.losses, found.catastrophic) == (2, 1, 2, 1)
    assert found.share_improved == 2 / 5
    assert (found.n_paired, found.n_examples, found.small_sample) == (5, 5, True)
    assert found.p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    assert found.p_sign == 1.0


def test_a_large_study_agrees_with_scipy() -> None:
    ours, theirs = study()
    pairing = pair(ours, theirs)
    found = compare(pairing)
    expected = stats.ttest_rel(pairing.candidate, pairing.reference)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.p_wilcoxon == pytest.approx(stats.wilcoxon(pairing.differences, method="asymptotic").pvalue)
    assert not found.small_sample
    assert (found.n_paired, found.n_examples) == (200, 600)
    wanted = compare(pairing, interval_kind="t")
    assert (wanted.ci_low, wanted.ci_high) == pytest.approx(tuple(expected.confidence_interval()))


@pytest.mark.parametrize("shape", ["normal", "skewed"])
def test_bca_agrees_with_scipy(shape: str) -> None:
    draw = np.random.default_rng(3)
    differences = draw.normal(0.02, 0.1, 80) if shape == "normal" else draw.exponential(0.1, 80) - 0.05
    low, high = interval(differences, "bca", confidence=0.95, resamples=20_000, seed=0)
    expected = stats.bootstrap((differences,), np.mean, n_resamples=20_000, rng=1, vectorized=True)
    width = high - low
    assert low == pytest.approx(expected.confidence_interval.low, abs=0.03 * width)
    assert high == pytest.approx(expected.confidence_interval.high, abs=0.03 * width)


def test_bootstrap_t_agrees_with_its_definition() -> None:
    differences = np.random.default_rng(4).exponential(0.1, 40)
    draw = np.random.default_rng(9)
    resampled = draw.choice(differences, size=(20_000, 40))
    errors = resampled.std(axis=1, ddof=1) / np.sqrt(40)
    pivots = (resampled.mean(axis=1) - differences.mean()) / errors
    error = differences.std(ddof=1) / np.sqrt(40)
    expected = differences.mean() - np.quantile(pivots, [0.975, 0.025]) * error
    found = interval(differences, "bootstrap-t", confidence=0.95, resamples=20_000, seed=0)
    assert found == pytest.approx(tuple(expected), abs=0.03 * (expected[1] - expected[0]))


@pytest.mark.parametrize("kind", ["bca", "bootstrap-t", "t"])
def test_intervals_repeat_and_widen_with_confidence(kind: str) -> None:
    pairing = pair(*study(60))
    first, again = compare(pairing, interval_kind=kind), compare(pairing, interval_kind=kind)  # type: ignore[arg-type]
    assert first == again
    wide = compare(pairing, interval_kind=kind, confidence=0.99)  # type: ignore[arg-type]
    assert wide.ci_low < first.ci_low < first.delta < first.ci_high < wide.ci_high  # type: ignore[operator]


def test_a_large_study_is_resampled_in_parts_alike() -> None:
    differences = np.random.default_rng(2).normal(0.01, 0.1, 1_000)
    low, high = interval(differences, "bca", confidence=0.95, resamples=9_999, seed=0)
    student = interval(differences, "t", confidence=0.95, resamples=9_999, seed=0)
    assert (low, high) == pytest.approx(student, abs=0.05 * (high - low))


@settings(max_examples=60, deadline=None)
@given(DIFFERENCES, st.sampled_from(["bca", "bootstrap-t", "t"]))
def test_swapping_the_two_flips_every_sign(differences: list[float], kind: str) -> None:
    options: Options = {"resamples": 500, "interval_kind": kind}  # type: ignore[typeddict-item]
    ours, theirs = table(differences), table([0.0] * len(differences))
    forward, backward = compare(pair(ours, theirs), **options), compare(pair(theirs, ours), **options)
    assert forward.delta == -backward.delta  # type: ignore[operator]
    assert (forward.wins, forward.ties, forward.losses) == (backward.losses, backward.ties, backward.wins)
    assert (forward.p, forward.p_sign) == pytest.approx((backward.p, backward.p_sign))
    assert forward.p_wilcoxon == pytest.approx(backward.p_wilcoxon)
    assert (forward.ci_low, forward.ci_high) == pytest.approx((-backward.ci_high, -backward.ci_low))  # type: ignore[operator]


@settings(max_examples=60, deadline=None)
@given(DIFFERENCES, st.floats(-0.5, 0.5).map(lambda x: round(x, 3)))
def test_adding_a_constant_shifts_delta_and_interval(differences: list[float], constant: float) -> None:
    plain = compare(pairing_of(differences), resamples=500)
    shifted = compare(pairing_of(np.array(differences) + constant), resamples=500)
    assert shifted.delta == pytest.approx(plain.delta + constant)  # type: ignore[operator]
    if len(set(differences)) > 1:
        moved = (plain.ci_low + constant, plain.ci_high + constant)  # type: ignore[operator]
        assert (shifted.ci_low, shifted.ci_high) == pytest.approx(moved, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(DIFFERENCES, st.floats(0, 0.3))
def test_counts_add_up_and_json_is_plain(differences: list[float], margin: float) -> None:
    found = compare(pairing_of(differences), margin=margin, resamples=500)
    assert found.wins + found.ties + found.losses == found.n_paired == len(differences)
    assert json.loads(json.dumps(found.as_json(), allow_nan=False)) == found.as_json()


def test_no_difference_at_all() -> None:
    found = compare(pairing_of([0.0] * 10))
    assert (found.delta, found.ci_low, found.ci_high) == (0.0, 0.0, 0.0)
    assert (found.p, found.p_wilcoxon, found.p_sign) == (1.0, 1.0, 1.0)
    assert (found.wins, found.ties, found.losses, found.share_improved) == (0, 10, 0, 0.0)


def test_the_same_difference_everywhere_is_judged_by_its_sign() -> None:
    few, many = compare(pairing_of([0.1] * 2)), compare(pairing_of([0.1] * 200))
    assert (few.ci_low, few.ci_high) == pytest.approx((0.1, 0.1))
    assert few.p == 0.5
    assert many.p is not None
    assert many.p < 1e-50
    assert few.reason == many.reason == NO_SPREAD


def test_one_persona_gets_no_verdict() -> None:
    found = compare(pairing_of([0.3]))
    assert found.delta == 0.3
    assert found.wins == 1
    assert (found.ci_low, found.ci_high, found.p, found.p_wilcoxon, found.p_sign) == (None,) * 5
    assert found.reason == ONE_PERSONA


def test_scores_of_other_examples_can_be_paired_by_persona() -> None:
    ours = index([("a/1", "p", 1.0), ("a/2", "p", None), ("b/1", "q", None)])
    theirs = index([("c/1", "p", 0.4), ("c/2", "p", 0.6), ("d/1", "q", 0.2)])
    assert pair(ours, theirs).n_paired == 0
    found = pair(by_persona(ours), by_persona(theirs))
    assert found.personas == ("p",)
    assert found.differences.tolist() == [0.5]
    assert found.n_null_candidate == 1


def test_nothing_shared_gets_no_number() -> None:
    found = compare(pair([("a#1", "p", 1.0)], [("b#1", "p", 1.0)]))
    assert (found.mean, found.delta, found.p, found.share_improved) == (None,) * 4
    assert (found.n_paired, found.n_only_candidate, found.n_only_reference) == (0, 1, 1)
    assert found.reason == NO_PERSONA
    json.dumps(found.as_json(), allow_nan=False)


def test_a_margin_makes_ties_and_a_lower_value_can_win() -> None:
    pairing = pairing_of([0.05, 0.02, -0.02, -0.2, -0.1])
    found = compare(pairing, margin=0.02)
    assert (found.wins, found.ties, found.losses, found.catastrophic) == (1, 2, 2, 1)
    errors = compare(pairing, higher_is_better=False)
    assert (errors.wins, errors.losses, errors.catastrophic) == (3, 2, 0)
    assert errors.delta == compare(pairing).delta


@pytest.mark.parametrize("kind", KINDS)
def test_many_studies_at_once_are_the_single_ones(kind: str) -> None:
    studies = np.random.default_rng(8).exponential(0.1, (20, 900)) - 0.1  # more than one part
    options = {"confidence": 0.95, "resamples": 5_000, "seed": 2}
    low, high = intervals(studies, kind, **options)  # type: ignore[arg-type]
    for column in (0, 799, 800, 899):
        alone = interval(studies[:, column], kind, **options)  # type: ignore[arg-type]
        assert (low[column], high[column]) == pytest.approx(alone, rel=1e-9)


def test_where_nearly_nobody_differs_the_interval_is_still_finite() -> None:
    found = compare(pairing_of([0.0] * 19 + [0.4]))
    assert found.ci_low is not None
    assert found.ci_high is not None
    assert -1 < found.ci_low <= 0.02 <= found.ci_high < np.inf


def test_the_share_improved_has_its_own_interval() -> None:
    found = compare(pairing_of([0.1] * 12 + [-0.1] * 8))
    assert (found.share_low, found.share_high) == pytest.approx(wilson(12, 20))
    assert compare(pair([], [])).share_low is None


def test_few_personas_get_students_interval() -> None:
    assert compare(pairing_of([0.1, 0.2, -0.1])).ci_kind == "t"
    assert compare(pairing_of(np.linspace(-1, 1, 8))).ci_kind == DEFAULT_KIND


def test_the_default_interval_covers_the_truth_as_often_as_it_says() -> None:
    draw = np.random.default_rng(7)
    truth, studies, covered = 0.02, 400, 0
    for _ in range(studies):
        differences = draw.normal(truth, 0.1, 200)
        low, high = interval(differences, DEFAULT_KIND, confidence=0.95, resamples=2_000, seed=0)
        covered += low <= truth <= high
    assert 0.92 <= covered / studies <= 0.98


def boards(variants: int, personas: int) -> dict[str, list[Row]]:
    draw = np.random.default_rng(11)
    base = draw.normal(0.8, 0.1, personas)
    names = ["unified", *(f"variant-{k}" for k in range(variants - 1))]
    return {
        name: table(base + draw.normal(0.002 * k, 0.05, personas), per_persona=10)
        for k, name in enumerate(names)
    }


def test_a_leaderboard_corrects_over_its_family() -> None:
    tables = boards(5, 40)
    rows = leaderboard(tables, reference="unified", outside_family=["variant-3"], resamples=500)
    found: dict[str, Comparison] = {row.variant: row for row in rows}
    assert list(found) == list(tables)
    assert found["unified"].delta == 0.0
    assert found["unified"].p_holm is None
    assert found["variant-3"].p is not None
    assert found["variant-3"].p_holm is None
    family = sorted((found[name].p, name) for name in ("variant-0", "variant-1", "variant-2"))
    smallest, name = family[0]
    assert found[name].p_holm == pytest.approx(min(1.0, 3 * smallest))  # type: ignore[operator]
    assert all(row.reference == "unified" for row in rows)


def test_a_leaderboard_equals_single_comparisons() -> None:
    tables = boards(4, 30)
    rows = leaderboard(tables, reference="unified", margin=0.01, seed=3, resamples=500)
    for row in rows:
        alone = compare(pair(tables[row.variant], tables["unified"]), margin=0.01, seed=3, resamples=500)
        assert (row.delta, row.ci_low, row.p, row.wins) == (alone.delta, alone.ci_low, alone.p, alone.wins)


def test_an_unknown_reference_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(EngineError, match="'unified'"):
        leaderboard(boards(2, 3), reference="unifed")


@pytest.mark.parametrize(
    "options",
    [{"margin": -0.1}, {"confidence": 1.0}, {"resamples": 5}, {"interval_kind": "bcaa"}],
    ids=str,
)
def test_options_out_of_range_are_refused(options: Options) -> None:
    with pytest.raises(EngineError):
        compare(pairing_of([0.1, 0.2]), **options)


def test_twenty_variants_of_two_hundred_personas_take_less_than_a_second() -> None:
    tables = boards(20, 200)
    start = time.process_time()
    leaderboard(tables, reference="unified", seed=123)
    assert time.process_time() - start < 1.0
