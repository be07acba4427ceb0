"""The simulated studies are what they are called: the proof rests on it."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from engine.core.paths import REPOSITORY

SKEWNESS = {"normal": 0.0, "lopsided": 1.0, "exponential": 2.0}


@pytest.fixture(scope="module")
def simulate() -> ModuleType:
    path = list(sys.path)
    spec = importlib.util.spec_from_file_location("simulate_for_tests", REPOSITORY / "bench" / "simulate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    sys.path[:] = path
    return module


def test_every_shape_has_mean_0_and_deviation_1(simulate: ModuleType) -> None:
    for shape in simulate.SHAPES:
        drawn = shape.of(np.random.default_rng(1).standard_normal(400_000))
        assert drawn.mean() == pytest.approx(0, abs=0.01), shape.name
        assert drawn.std() == pytest.approx(1, abs=0.05), shape.name


@pytest.mark.parametrize("name", SKEWNESS)
def test_a_family_keeps_the_skewness_of_its_shape(simulate: ModuleType, name: str) -> None:
    """The difference of two scores of one shape has none left, whatever the shape."""
    shape = next(one for one in simulate.SHAPES if one.name == name)
    drawn = simulate.draw(np.random.default_rng(2), shape, 50, 400, simulate.FAMILY)
    assert drawn.shape == (50, 400, simulate.FAMILY)
    assert stats.skew(drawn.ravel()) == pytest.approx(SKEWNESS[name], abs=0.15)
    together = np.corrcoef(drawn[..., 0].ravel(), drawn[..., 1].ravel())[0, 1]
    assert 0.35 < together < 0.6


def test_a_family_of_the_t_test_alone_errs_and_the_rule_does_not(simulate: ModuleType) -> None:
    shape = next(one for one in simulate.SHAPES if one.name == "exponential")
    found = simulate.family_error(shape, 20, real=0, studies=150, seed=3)
    assert found.holm > 0.1
    assert found.rule < found.holm / 2
