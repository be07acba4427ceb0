"""The simulated studies are what they are called: the proof rests on it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench import simulated

SKEWNESS = {"normal": 0.0, "lopsided": 1.0, "exponential": 2.0}


def test_every_shape_has_mean_0_and_deviation_1() -> None:
    for shape in simulated.SHAPES:
        drawn = shape.of(np.random.default_rng(1).standard_normal(400_000))
        assert drawn.mean() == pytest.approx(0, abs=0.01), shape.name
        assert drawn.std() == pytest.approx(1, abs=0.05), shape.name


@pytest.mark.parametrize("name", SKEWNESS)
def test_a_family_keeps_the_skewness_of_its_shape(name: str) -> None:
    """The difference of two scores of one shape has none left, whatever the shape."""
    shape = next(one for one in simulated.SHAPES if one.name == name)
    drawn = simulated.draw(np.random.default_rng(2), shape, 50, 400, simulated.FAMILY)
    assert drawn.shape == (50, 400, simulated.FAMILY)
    assert stats.skew(drawn.ravel()) == pytest.approx(SKEWNESS[name], abs=0.15)
    together = np.corrcoef(drawn[..., 0].ravel(), drawn[..., 1].ravel())[0, 1]
    assert 0.35 < together < 0.6


def test_a_family_of_the_t_test_alone_errs_and_the_rule_does_not() -> None:
    shape = next(one for one in simulated.SHAPES if one.name == "exponential")
    found = simulated.family_error(shape, 20, real=0, studies=150, seed=3)
    assert found.holm > 0.1
    assert found.rule < found.holm / 2
