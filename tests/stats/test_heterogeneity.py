"""For whom: variances against statsmodels, effects against simulated truths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from engine.stats.compare import compare, effects_of
from engine.stats.heterogeneity import effects
from engine.stats.pairing import Pairing, Valued, pair


def study(truth: np.ndarray, *, examples: int = 10, seed: int = 0, noise: float = 0.1) -> Pairing:
    """A pairing in which persona i truly gains truth[i], seen through a few noisy examples."""
    draw = np.random.default_rng(seed)
    ours: list[Valued] = []
    theirs: list[Valued] = []
    for persona, gain in enumerate(truth):
        for k in range(examples):
            name = f"d{persona:03}/{k}"
            ours.append((name, f"p{persona:03}", 0.5 + gain + draw.normal(0, noise)))
            theirs.append((name, f"p{persona:03}", 0.5))
    return pair(ours, theirs)


def test_the_spread_that_luck_alone_makes_is_told_apart() -> None:
    """16 better and 4 worse of 20 who all gain alike: no spread, and no persona worse."""
    pairing = study(np.full(20, 0.03), seed=1)
    found = compare(pairing)
    assert found.losses >= 2
    assert found.share_improved is not None
    assert found.share_improved < 0.95
    assert found.between is not None
    assert found.between < 0.02
    assert found.p_between is not None
    assert found.p_between > 0.05
    single = effects_of(pairing)
    assert single is not None
    assert not (single.high < 0).any()
    assert found.true_share is not None
    assert found.true_share > found.share_improved
    assert found.true_share_high == pytest.approx(1.0, abs=0.005)


def test_a_spread_that_is_true_is_found() -> None:
    truth = np.random.default_rng(14).normal(0.03, 0.1, 60)
    pairing = study(truth, seed=4)
    found = compare(pairing)
    assert found.between == pytest.approx(0.1, abs=0.03)
    assert found.p_between is not None
    assert found.p_between < 0.001
    assert found.reliability is not None
    assert found.reliability > 0.8
    assert found.true_share == pytest.approx((truth > 0).mean(), abs=0.08)
    single = effects_of(pairing)
    assert single is not None
    inside = (single.low <= truth) & (truth <= single.high)
    assert inside.mean() >= 0.85
    # Drawn to the mean, they miss the truth by less than the raw means do.
    assert ((single.effect - truth) ** 2).mean() < ((pairing.differences - truth) ** 2).mean()


@pytest.mark.parametrize("equal", [True, False])
def test_the_variance_between_is_statsmodels_and_its_test_the_analysis_of_variance(equal: bool) -> None:
    from statsmodels.stats.meta_analysis import combine_effects

    draw = np.random.default_rng(5)
    sizes = np.full(30, 10) if equal else draw.integers(3, 25, 30)
    values = [draw.normal(draw.normal(0.02, 0.08), 0.1, size) for size in sizes]
    means = np.array([own.mean() for own in values])
    variances = np.array([own.var(ddof=1) for own in values])
    found = effects(means, sizes.astype(float), variances)
    assert found is not None
    expected = combine_effects(means, found.within**2 / sizes, method_re="dl")
    assert found.between**2 == pytest.approx(expected.tau2, rel=1e-9)
    assert found.p == pytest.approx(stats.f_oneway(*values).pvalue, rel=1e-6)


def test_the_reliability_is_that_of_split_halves() -> None:
    draw = np.random.default_rng(6)
    values = draw.normal(0, 0.1, (80, 1)) + draw.normal(0, 0.2, (80, 10))
    found = effects(values.mean(axis=1), np.full(80, 10.0), values.var(axis=1, ddof=1))
    assert found is not None
    halves = []
    for _ in range(400):
        mixed = draw.permuted(values, axis=1)
        r = np.corrcoef(mixed[:, :5].mean(axis=1), mixed[:, 5:].mean(axis=1))[0, 1]
        halves.append(2 * r / (1 + r))
    assert found.reliability == pytest.approx(float(np.mean(halves)), abs=0.02)


def test_where_most_personas_do_not_differ_no_share_of_them_truly_gains() -> None:
    """One of twenty gains: a normal spread would let two thirds of them gain."""
    truth = np.zeros(20)
    truth[3] = 0.4
    sparse = study(truth, noise=0.0)
    found = compare(replace(sparse, variances=np.full(20, 0.04)))
    assert (found.share_improved, found.true_share, found.true_share_low) == (0.05, None, None)
    assert found.between is not None


def test_one_who_is_far_out_does_not_speak_for_all() -> None:
    """Nineteen of twenty gain two points and one loses fifty: normal effects would let half of them lose."""
    truth = np.full(20, 0.02)
    truth[3] = -0.5
    found = compare(study(truth, noise=0.01))
    assert (found.share_improved, found.true_share) == (0.95, None)
    kept = [compare(study(draw.normal(0.03, 0.1, 20), seed=seed, noise=0.1)) for seed, draw in _draws(40)]
    assert sum(one.true_share is None for one in kept) <= 1


def _draws(n: int) -> list[tuple[int, np.random.Generator]]:
    return [(seed, np.random.default_rng(100 + seed)) for seed in range(n)]


def test_that_personas_do_not_differ_at_all_is_no_point_of_its_own() -> None:
    """Against the posterior integrated finely over spreads, in another way."""
    means, own = np.random.default_rng(8).normal(0.15, 0.3, 20), 0.1
    found = effects(means, np.full(20, 10.0), np.full(20, 10 * own))
    assert found is not None
    spreads = np.linspace(1e-4, 4 * max(means.std(), own**0.5), 5_000)
    chances = (own + spreads**2) ** -9.5 * np.exp(-20 * means.var() / (2 * (own + spreads**2)))
    drawn = (own * means.mean() + spreads**2 * means[:, None]) / (own + spreads**2)
    assert found.effect == pytest.approx(drawn @ chances / chances.sum(), abs=1e-4)


def test_where_less_is_better_a_fall_is_the_gain() -> None:
    pairing = study(np.full(30, -0.08))
    assert compare(pairing, higher_is_better=False).true_share > 0.9  # type: ignore[operator]
    assert compare(pairing).true_share < 0.1  # type: ignore[operator]


def test_one_example_a_persona_says_nothing_of_single_personas() -> None:
    found = compare(study(np.linspace(-0.1, 0.1, 20), examples=1))
    assert (found.between, found.p_between, found.reliability, found.true_share) == (None,) * 4
    assert compare(study(np.full(4, 0.1))).true_share is None
    assert effects(np.zeros(10), np.full(10, 5.0), np.zeros(10)) is None
