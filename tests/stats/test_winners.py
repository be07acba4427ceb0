"""How far the best of several lies above the truth by luck: against known order statistics, and by itself."""

from __future__ import annotations

import numpy as np
import pytest

from engine.stats.winners import optimism

PEOPLE = [f"p{number}" for number in range(200)]


def gains(variants: int, *, shared: float = 0.0, sd: float = 0.1) -> dict[str, dict[str, float]]:
    draw = np.random.default_rng(7)
    common = draw.normal(size=len(PEOPLE)) * shared**0.5
    return {
        f"v{number}": dict(
            zip(PEOPLE, sd * (common + draw.normal(size=len(PEOPLE)) * (1 - shared) ** 0.5), strict=True)
        )
        for number in range(variants)
    }


@pytest.mark.parametrize(("variants", "expected"), [(2, 0.564), (5, 1.163), (25, 1.965)])
def test_independent_variants_give_the_normal_order_statistics(variants: int, expected: float) -> None:
    found = optimism(gains(variants))
    assert found is not None
    assert found.overshoot / (0.1 / 200**0.5) == pytest.approx(expected, rel=0.06)
    assert found.coverage == pytest.approx(0.975**variants, abs=0.03)


def test_variants_that_move_together_leave_less_to_choose() -> None:
    apart, together = optimism(gains(5)), optimism(gains(5, shared=0.9))
    assert apart is not None
    assert together is not None
    assert together.overshoot < 0.5 * apart.overshoot
    assert together.coverage > apart.coverage


def test_the_luck_of_training_is_luck_of_the_highest_too() -> None:
    """Of independent variants whose personas and seeds both vary, the two variances add up."""
    values = 0.02 * np.array([-1.0, 0.0, 1.0])  # a deviation of 0.02 over three seeds
    own = {f"v{n}": {f"v{n}/{seed}": value for seed, value in enumerate(values)} for n in range(5)}
    shared = {name: dict(zip("abc", values, strict=True)) for name in own}
    apart, together, once = optimism(gains(5), own), optimism(gains(5), shared), optimism(gains(5))
    assert apart is not None
    assert together is not None
    assert once is not None
    assert apart.overshoot == pytest.approx(1.163 * (0.1**2 / 200 + 0.02**2 / 3) ** 0.5, rel=0.06)
    assert apart.coverage == pytest.approx(0.975**5, abs=0.03)
    assert together.overshoot == pytest.approx(once.overshoot, rel=0.03)  # all are lifted alike


def test_equal_variants_and_too_few_have_none() -> None:
    one = gains(1)["v0"]
    same = optimism({"a": one, "b": dict(one)})
    assert same is not None
    assert same.overshoot == pytest.approx(0.0, abs=1e-3)
    assert optimism({"a": one}) is None
    assert optimism({"a": {"p0": 0.1, "p1": 0.2}, "b": {"p0": 0.1, "p1": 0.3}}) is None
    assert optimism({}) is None


def test_the_size_of_how_good_they_are_has_no_say() -> None:
    lifted = {name: {p: value + 5 for p, value in of.items()} for name, of in gains(5).items()}
    first, second = optimism(gains(5)), optimism(lifted)
    assert first is not None
    assert second is not None
    assert first.overshoot == pytest.approx(second.overshoot)
