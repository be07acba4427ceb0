"""Comparisons: against scipy, by hand, by their symmetries, and by the coverage of their intervals."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from engine.core.errors import EngineError
from engine.stats.bootstrap import bootstrap_t
from engine.stats.compare import (
    CANCELS,
    FEW_DIFFER,
    NO_PERSONA,
    NO_SPREAD,
    ONE_PERSONA,
    Comparison,
    compare,
    corrected,
    over_metrics,
)
from engine.stats.forecast import detectable
from engine.stats.inference import infer
from engine.stats.pairing import Pairing, Valued, by_persona, index, pair
from engine.stats.shares import wilson
from engine.stats.verdicts import verdict
from tests.stats.leaderboards import Options, leaderboard

DIFFERENCES = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=40)


def table(values: list[float] | np.ndarray, *, per_persona: int = 1) -> list[Valued]:
    """Return a table whose persona i scores values[i] on each of its examples."""
    return [
        (f"d{persona:04}/{k}#1", f"p{persona:04}", float(value))
        for persona, value in enumerate(values)
        for k in range(per_persona)
    ]


def pairing_of(differences: list[float] | np.ndarray) -> Pairing:
    return pair(table(differences), table([0.0] * len(differences)))


def study(n: int = 200, *, shift: float = 0.02, seed: int = 0) -> tuple[list[Valued], list[Valued]]:
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
    low, high = expected.confidence_interval()
    assert (found.ci_low, found.ci_high) == pytest.approx((low, high), abs=0.05 * (high - low))


def test_bootstrap_t_agrees_with_its_definition() -> None:
    differences = np.random.default_rng(4).exponential(0.1, 40)
    draw = np.random.default_rng(9)
    resampled = draw.choice(differences, size=(20_000, 40))
    errors = resampled.std(axis=1, ddof=1) / np.sqrt(40)
    pivots = (resampled.mean(axis=1) - differences.mean()) / errors
    error = differences.std(ddof=1) / np.sqrt(40)
    expected = differences.mean() - np.quantile(pivots, [0.975, 0.025]) * error
    drawn = bootstrap_t(
        differences[:, None], confidence=0.95, resamples=20_000, seed=0, stretch=np.ones(1), margin=0.2
    )
    t = differences.mean() / error
    p = 2 * min(np.mean(pivots >= t), np.mean(pivots <= t))
    assert drawn.p[0] == pytest.approx(p, abs=0.002)
    equal = max(np.mean(pivots >= t + 0.2 / error), np.mean(pivots <= t - 0.2 / error))
    assert drawn.p_equal[0] == pytest.approx(equal, abs=0.005)
    found = float(drawn.low[0]), float(drawn.high[0])
    assert found == pytest.approx(tuple(expected), abs=0.03 * (expected[1] - expected[0]))


@pytest.mark.parametrize("n", [7, 60])
def test_intervals_repeat_and_widen_with_confidence(n: int) -> None:
    pairing = pair(*study(n))
    first, again = compare(pairing), compare(pairing)
    assert first == again
    wide = compare(pairing, confidence=0.99)
    assert wide.ci_low < first.ci_low < first.delta < first.ci_high < wide.ci_high  # type: ignore[operator]


@settings(max_examples=60, deadline=None)
@given(DIFFERENCES)
def test_swapping_the_two_flips_every_sign(differences: list[float]) -> None:
    options: Options = {"resamples": 500}
    ours, theirs = table(differences), table([0.0] * len(differences))
    forward, backward = compare(pair(ours, theirs), **options), compare(pair(theirs, ours), **options)
    assert forward.delta == -backward.delta  # type: ignore[operator]
    assert (forward.wins, forward.ties, forward.losses) == (backward.losses, backward.ties, backward.wins)
    assert (forward.p, forward.p_sign) == pytest.approx((backward.p, backward.p_sign))
    assert forward.p_wilcoxon == pytest.approx(backward.p_wilcoxon)
    assert forward.ci_kind == backward.ci_kind
    if forward.ci_low is not None:
        assert (forward.ci_low, forward.ci_high) == pytest.approx((-backward.ci_high, -backward.ci_low))  # type: ignore[operator]


@settings(max_examples=60, deadline=None)
@given(DIFFERENCES, st.floats(-0.5, 0.5).map(lambda x: round(x, 3)))
@example([0.5, 0.344, 0.0, 0.344, 0.344, 0.0, 0.0, 1.0], 0.5)  # some resamples are 0.344 alone
def test_adding_a_constant_shifts_delta_and_interval(differences: list[float], constant: float) -> None:
    plain = compare(pairing_of(differences), resamples=500)
    shifted = compare(pairing_of(np.array(differences) + constant), resamples=500)
    assert shifted.delta == pytest.approx(plain.delta + constant)  # type: ignore[operator]
    if len(set(differences)) > 1 and plain.ci_low is not None and shifted.ci_low is not None:
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
    few, five, six, many = (compare(pairing_of([0.1] * n)) for n in (2, 5, 6, 200))
    assert (few.ci_low, few.ci_high, few.p) == (None, None, 0.5)
    assert (five.ci_low, five.ci_high, five.p) == (None, None, 0.0625)
    assert verdict(five.as_json()) == "not clear"  # also of a control, which no family corrects
    assert (six.ci_low, six.ci_high, six.p) == pytest.approx((0.1, 0.1, 0.03125))
    assert many.p is not None
    assert many.p < 1e-50
    assert few.reason == many.reason == NO_SPREAD


@pytest.mark.parametrize(("gain", "p_equal"), [(0.001, 0.5**20), (0.05, 1.0)])
def test_the_same_difference_everywhere_is_equal_where_it_is_within_the_margin(
    gain: float, p_equal: float
) -> None:
    found = compare(pairing_of([gain] * 20), equal_margin=0.01)
    assert found.p_equal == pytest.approx(p_equal)
    assert found.min_detectable_effect is None  # without a spread there is nothing to foretell


def test_gains_that_cancel_within_every_persona_are_no_equality() -> None:
    ours = [(f"{who}/{k}", f"p{who}", float(k % 2)) for who in range(10) for k in range(60)]
    theirs = [(example, who, 1 - value) for example, who, value in ours]
    found = compare(pair(ours, theirs), equal_margin=0.01)
    assert (found.delta, found.ci_low, found.p_equal, found.reason) == (0.0, None, None, CANCELS)
    assert compare(pair(ours, ours), equal_margin=0.01).p_equal == pytest.approx(0.99**600)


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


def test_the_share_improved_has_its_own_interval() -> None:
    found = compare(pairing_of([0.1] * 12 + [-0.1] * 8))
    assert (found.share_low, found.share_high) == pytest.approx(wilson(12, 20))
    assert compare(pair([], [])).share_low is None


def boards(variants: int, personas: int) -> dict[str, list[Valued]]:
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
    family = sorted((found[name].p_strict or 1.0, name) for name in ("variant-0", "variant-1", "variant-2"))
    smallest, name = family[0]
    assert found[name].p_holm == pytest.approx(min(1.0, 3 * smallest))
    assert found[name].family_size == 3
    assert all(row.reference == "unified" for row in rows)


def test_that_personas_differ_is_corrected_over_the_family() -> None:
    """Of forty variants that help all alike, luck alone makes two seem to help some more than others."""
    draw, alone, among = np.random.default_rng(2), 0, 0
    for _ in range(20):
        rows = []
        for number in range(40):
            values = draw.normal(0.02, 0.1, (15, 6))
            ours = [(f"e{who}/{n}", f"p{who:02}", values[who, n]) for who in range(15) for n in range(6)]
            found = compare(pair(ours, [(at, who, 0.0) for at, who, _ in ours]), resamples=100)
            rows.append(replace(found, variant=f"v{number}"))
        alone += any(row.p_between < 0.05 for row in rows)  # type: ignore[operator]
        among += any(row.p_between < 0.05 for row in corrected(rows, outside_family=()))  # type: ignore[operator]
    assert alone > 12
    assert among <= 4


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
    [{"margin": -0.1}, {"confidence": 1.0}, {"resamples": 5}],
    ids=str,
)
def test_options_out_of_range_are_refused(options: Options) -> None:
    with pytest.raises(EngineError):
        compare(pairing_of([0.1, 0.2]), **options)


def test_twenty_variants_of_two_hundred_personas_take_less_than_a_second() -> None:
    tables = boards(20, 200)
    spent = []
    for _ in range(3):
        start = time.process_time()
        leaderboard(tables, reference="unified", seed=123)
        spent.append(time.process_time() - start)
    assert min(spent) < 1.0


# --- which interval, by what shape


def test_few_personas_and_ties_get_students_interval() -> None:
    assert compare(pairing_of(np.linspace(-1, 1, 7))).ci_kind == "t"
    assert compare(pairing_of(np.linspace(-1, 1, 9))).ci_kind == "bootstrap-t"
    sparse = [0.0] * 14 + [0.1, 0.2, -0.1, 0.3, 0.2, 0.4]
    found = compare(pairing_of(sparse))
    assert found.ci_kind == "t"
    half = stats.t(6 - 1).ppf(0.975) * stats.sem(sparse)  # six tell of the spread
    assert (found.ci_low, found.ci_high) == pytest.approx((np.mean(sparse) - half, np.mean(sparse) + half))


@pytest.mark.parametrize("differing", [1, 4])
def test_where_hardly_anybody_differs_there_is_no_interval_and_no_verdict(differing: int) -> None:
    found = compare(pairing_of([0.0] * 16 + [0.4] * differing), equal_margin=0.01)
    assert (found.ci_low, found.ci_high, found.ci_kind, found.p_equal) == (None,) * 4
    assert (found.p_strict, found.reason) == (1.0, FEW_DIFFER)
    assert found.delta == pytest.approx(0.4 * differing / (16 + differing))


def test_unequal_examples_get_the_hierarchical_interval() -> None:
    draw = np.random.default_rng(5)
    ours: list[Valued] = []
    theirs: list[Valued] = []
    for persona in range(20):
        for k in range(2 if persona % 2 else 20):
            ours.append((f"d{persona:04}/{k}#1", f"p{persona:04}", draw.normal(0.5, 0.2)))
            theirs.append((f"d{persona:04}/{k}#1", f"p{persona:04}", 0.5))
    pairing = pair(ours, theirs)
    found = compare(pairing)
    assert found.ci_kind == "hierarchical"
    plain = infer(pairing.differences[:, None], confidence=0.95, resamples=9_999, seed=0)
    assert plain.kinds == ("bootstrap-t",)
    assert found.ci_high - found.ci_low > 1.02 * (plain.high[0] - plain.low[0])  # type: ignore[operator]


def test_many_studies_at_once_are_the_single_ones() -> None:
    studies = np.random.default_rng(8).exponential(0.1, (20, 900)) - 0.1  # more than one part
    studies[:12, :5] = 0.0
    options = {"confidence": 0.95, "resamples": 5_000, "seed": 2, "margin": 0.02}
    many = infer(studies, **options)  # type: ignore[arg-type]
    for column in (0, 4, 799, 800, 899):
        alone = infer(studies[:, column : column + 1], **options)  # type: ignore[arg-type]
        assert many.kinds[column] == alone.kinds[0]
        for name in ("low", "high", "p", "p_strict", "p_equal"):
            assert getattr(many, name)[column] == pytest.approx(getattr(alone, name)[0], rel=1e-9), name


# --- what a family is corrected by


def test_a_lopsided_difference_is_corrected_by_the_stricter_p() -> None:
    """Nine personas a little worse: whoever would gain much was not among them."""
    lopsided = -np.exp(np.random.default_rng(3).normal(0, 0.3, 12)) / 10
    found = compare(pairing_of(lopsided))
    assert found.p is not None
    assert found.p_strict is not None
    assert found.p < 1e-3
    assert found.p_strict > 20 * found.p


def test_a_family_of_lopsided_differences_errs_as_seldom_as_it_says() -> None:
    draw = np.random.default_rng(2)
    families, size, n = 300, 25, 20
    normal = 0.5**0.5 * (draw.normal(size=(n, families, 1)) + draw.normal(size=(n, families, size)))
    drawn = (stats.gamma(4).ppf(stats.norm.cdf(normal)) - 4).reshape(n, -1)
    found = infer(drawn, confidence=0.95, resamples=2_000, seed=0)
    smallest = found.p_strict.reshape(families, size).min(axis=1) * size
    assert np.mean(smallest < 0.05) <= 0.055
    plain = found.p.reshape(families, size).min(axis=1) * size
    assert np.mean(plain < 0.05) > 0.06


def test_the_power_that_is_told_is_that_of_the_verdict_in_its_family() -> None:
    rows = leaderboard(boards(13, 40), reference="unified", resamples=500)
    alone = compare(pair(boards(13, 40)["variant-0"], boards(13, 40)["unified"]), resamples=500)
    one = next(row for row in rows if row.variant == "variant-0")
    assert one.min_detectable_effect > 1.2 * alone.min_detectable_effect  # type: ignore[operator]


# --- equality


def test_equality_is_shown_by_two_one_sided_tests() -> None:
    draw = np.random.default_rng(1)
    close = compare(pairing_of(draw.normal(0.0, 0.01, 200)), equal_margin=0.01)
    wide = compare(pairing_of(draw.normal(0.0, 0.2, 20)), equal_margin=0.01)
    assert close.p_equal is not None
    assert close.p_equal < 0.001
    assert wide.p_equal is not None
    assert wide.p_equal > 0.05
    assert compare(pairing_of(draw.normal(0.0, 0.01, 200))).p_equal is None


@pytest.mark.parametrize("n", [5, 7])
@pytest.mark.parametrize("shift", [0.0, 0.05, -0.4])
def test_the_two_one_sided_tests_are_statsmodels(n: int, shift: float) -> None:
    from statsmodels.stats.weightstats import ttost_paired

    differences = np.random.default_rng(n).normal(shift, 0.2, n)
    expected, _, _ = ttost_paired(differences, np.zeros(n), -0.1, 0.1)
    found = infer(differences[:, None], confidence=0.95, resamples=500, seed=0, margin=0.1)
    assert found.p_equal[0] == pytest.approx(expected, rel=1e-9)


def test_nobody_differing_is_equality_only_with_enough_examples() -> None:
    rows = [(f"p{who}-{turn}", f"p{who}", 0.5) for who in range(40) for turn in range(10)]
    assert compare(pair(rows, rows), equal_margin=0.01).p_equal == pytest.approx(0.99**400)
    few, many = (compare(pairing_of([0.0] * n), equal_margin=0.01) for n in (20, 400))
    assert few.p_equal == pytest.approx(0.99**20)
    assert many.p_equal < 0.05  # type: ignore[operator]


def test_equality_is_corrected_over_the_family_too() -> None:
    draw = np.random.default_rng(4)
    tables = {f"v{k}": table(draw.normal(0.5, 0.01, 60)) for k in range(4)} | {"r": table([0.5] * 60)}
    rows = {row.variant: row for row in leaderboard(tables, reference="r", equal_margin=0.01, resamples=500)}
    smallest = min((row.p_equal or 1.0 for name, row in rows.items() if name != "r"))
    found = [row.p_equal_holm for name, row in rows.items() if row.p_equal == smallest and name != "r"]
    assert found[0] == pytest.approx(4 * smallest)
    assert rows["r"].p_equal_holm is None


# --- clusters


def test_personas_that_share_an_adapter_are_no_independent_witnesses() -> None:
    draw = np.random.default_rng(6)
    luck = draw.normal(0, 0.05, 5)
    differences = np.repeat(luck, 40) + draw.normal(0.01, 0.05, 200)
    pairing = pairing_of(differences)
    labels = {persona: place // 40 for place, persona in enumerate(pairing.personas)}
    plain, found = compare(pairing), compare(pairing, clusters=labels)
    assert (found.ci_kind, found.n_clusters) == ("clusters", 5)
    assert found.ci_high - found.ci_low > 2 * (plain.ci_high - plain.ci_low)  # type: ignore[operator]
    assert found.p_strict > plain.p_strict  # type: ignore[operator]


def test_the_cluster_error_is_statsmodels() -> None:
    import statsmodels.api as sm

    draw = np.random.default_rng(7)
    labels = np.repeat(np.arange(6), 10)
    values = np.repeat(draw.normal(0, 1, 6), 10) + draw.normal(0, 0.5, 60)
    found = infer(values[:, None], confidence=0.95, resamples=500, seed=0, clusters=labels)
    model = sm.OLS(values, np.ones(60)).fit(
        cov_type="cluster", cov_kwds={"groups": labels, "use_correction": False}
    )
    # Of equal clusters the correction that Bell and McCaffrey make is (k / (k - 1)) ** 0.5.
    error = float(model.bse[0]) * (6 / 5) ** 0.5
    half = float(stats.t(5).ppf(0.975)) * error
    assert found.low[0] == pytest.approx(values.mean() - half)
    assert found.high[0] == pytest.approx(values.mean() + half)


def test_one_cluster_is_one_witness() -> None:
    pairing = pairing_of(np.linspace(0.1, 0.2, 20))
    found = compare(pairing, clusters=dict.fromkeys(pairing.personas, 0))
    assert (found.ci_low, found.p, found.p_strict) == (None, None, 1.0)
    json.dumps(found.as_json(), allow_nan=False)


def test_what_is_detectable_is_of_the_verdict_not_of_a_plainer_one() -> None:
    draw = np.random.default_rng(8)
    differences = draw.normal(0.02, 0.05, 24)
    personas = {f"p{place:03d}": place // 6 for place in range(24)}
    alone = compare(pairing_of(differences))
    names = dict(zip(pairing_of(differences).personas, personas.values(), strict=True))
    shared = compare(pairing_of(differences), clusters=names)
    widths = [row.ci_high - row.ci_low for row in (alone, shared)]  # type: ignore[operator]
    half = 2 * stats.t.ppf(0.975, 23) * np.std(differences, ddof=1) / np.sqrt(24)
    assert alone.min_detectable_effect is not None
    assert shared.min_detectable_effect == pytest.approx(alone.min_detectable_effect * widths[1] / half)
    rows = [replace(alone, variant=f"v{number}") for number in range(3)]
    first = corrected(rows, outside_family=())
    tenth = over_metrics(first, 10)
    assert tenth[0].p_holm == pytest.approx(min(1.0, 10 * first[0].p_holm))  # type: ignore[operator]
    (equal,) = over_metrics([replace(first[0], p_equal_holm=0.01)], 10)
    assert equal.p_equal_holm == pytest.approx(0.1)
    among = first[0].min_detectable_effect * detectable(24, 30) / detectable(24, 3)  # type: ignore[operator]
    assert tenth[0].min_detectable_effect == pytest.approx(among)
