"""The outlook: how many personas a difference takes, and what a study can see."""

from __future__ import annotations

import numpy as np
import pytest

from engine.stats.paired_tests import paired_t_of
from engine.stats.power import outlook


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
    studies = draw.normal(found.effect, found.deviation, size=(found.needed, 4_000))
    assert float(np.mean(paired_t_of(studies) < 0.05)) == pytest.approx(0.8, abs=0.02)


def test_what_is_out_of_reach_is_said() -> None:
    assert outlook(n_personas=20, smallest=0.5, effect=1e-5).needed is None
