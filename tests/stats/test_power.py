"""The outlook: how many personas a difference takes, and what a study can see."""

from __future__ import annotations

import numpy as np
import pytest

from engine.stats.forecast import detectable
from engine.stats.paired_tests import paired_t_of
from engine.stats.power import outlook, seeds_part


def test_what_a_study_can_see_is_what_it_needs_its_personas_for() -> None:
    found = outlook(n_personas=40, smallest=0.02, effect=0.02)
    assert found.needed == 40
    assert found.power == pytest.approx(0.8, abs=0.01)


def test_half_the_difference_takes_some_four_times_the_personas() -> None:
    found = outlook(n_personas=100, smallest=0.02, effect=0.01)
    assert found.needed is not None
    assert 380 <= found.needed <= 410


def test_the_forecast_comes_true() -> None:
    found = outlook(n_personas=20, smallest=0.03, effect=0.02)
    assert found.needed is not None
    draw = np.random.default_rng(3)
    spread = found.detectable / detectable(20)
    studies = draw.normal(found.effect, spread, size=(found.needed, 4_000))
    assert float(np.mean(paired_t_of(studies) < 0.05)) == pytest.approx(0.8, abs=0.02)


def test_what_is_out_of_reach_is_said() -> None:
    assert outlook(n_personas=20, smallest=0.5, effect=1e-5).needed is None


def test_more_personas_make_up_for_no_seed() -> None:
    """Half of the variance is of three seeds: with any number of personas the other half is left."""
    found = outlook(n_personas=40, smallest=0.02, effect=0.016, of_seeds=0.5)
    assert found.floor == pytest.approx(0.02 * 0.5**0.5)
    assert found.needed is not None
    alone = outlook(n_personas=40, smallest=0.02, effect=0.016)
    assert alone.needed is not None
    assert found.needed > 2 * alone.needed
    # of what the personas alone leave: (0.016² - 0.0141²) / (0.02² - 0.0141²) of the variance of forty
    assert found.needed == pytest.approx(40 * 0.0002 / (0.016**2 - 0.0002), rel=0.05)
    assert outlook(n_personas=40, smallest=0.02, effect=0.01, of_seeds=0.5).needed is None
    assert min(size for _, size in found.curve) > found.floor
    assert outlook(n_personas=40, smallest=0.02, effect=0.02, of_seeds=0.5).power == pytest.approx(
        0.8, abs=0.01
    )


def test_fewer_than_a_verdict_takes_are_never_enough() -> None:
    found = outlook(n_personas=20, smallest=0.01, effect=0.5)
    assert found.needed == 5
    assert found.curve[0][0] >= 5


def test_how_much_of_a_mean_over_seeds_is_the_seeds() -> None:
    """Four seeds that deviate by 0.02 give their mean a standard error of 0.01: a quarter of 0.02 squared."""
    assert seeds_part({"standard_error": 0.02, "deviation": 0.02, "n": 4}) == pytest.approx(0.25)
    assert seeds_part({"standard_error": 0.001, "deviation": 0.02, "n": 4}) == 1.0
    assert seeds_part({"standard_error": None, "deviation": 0.02, "n": 2}) == seeds_part(None) == 0.0
