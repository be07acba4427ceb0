"""The forecast of a full study from a pilot: against scipy's power, simulation, and what it may not say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from engine.core.errors import EngineError
from engine.stats.forecast import MOST_PERSONAS, Forecast, needed, power_of_verdict, upper_limit
from engine.stats.forecast import forecast as forecast_for
from engine.stats.paired_tests import paired_t_of, power_of_t

CRITERION = 0.0286


def forecast(differences: np.ndarray, *, n_full: int) -> Forecast:
    return forecast_for(differences, n_full=n_full, criterion=CRITERION)


def pilot(mean: float, deviation: float, n: int) -> np.ndarray:
    """Differences of exactly this mean and deviation."""
    draw = np.random.default_rng(n).normal(size=n)
    return mean + deviation * (draw - draw.mean()) / draw.std(ddof=1)


def scipys_power(n: int, effect: float, deviation: float) -> float:
    edge = stats.t.ppf(0.975, n - 1)
    shift = effect / deviation * n**0.5
    return float(1 - stats.nct.cdf(edge, n - 1, shift) + stats.nct.cdf(-edge, n - 1, shift))


def test_power_and_personas_needed_are_those_of_the_noncentral_t() -> None:
    found = forecast(pilot(0.01, 0.05, 20), n_full=200)
    assert (found.n, found.n_full) == (20, 200)
    assert found.mean == pytest.approx(0.01)
    assert found.deviation == pytest.approx(0.05)
    assert found.observed.power == pytest.approx(scipys_power(200, 0.01, 0.05), abs=1e-3)
    assert found.criterion.power == pytest.approx(scipys_power(200, CRITERION, 0.05), abs=1e-3)
    for prospect in (found.observed, found.criterion):
        assert prospect.needed is not None
        assert scipys_power(prospect.needed, prospect.effect, 0.05) >= 0.8 - 1e-3
        assert scipys_power(prospect.needed - 1, prospect.effect, 0.05) < 0.8 + 1e-3
    assert scipys_power(200, found.detectable, 0.05) == pytest.approx(0.8, abs=1e-3)
    interval = stats.t.interval(0.95, 19, loc=0.01, scale=0.05 / 20**0.5)
    assert (found.mean_low, found.mean_high) == pytest.approx(interval)


def test_the_upper_limit_of_the_deviation_holds_as_often_as_it_says() -> None:
    spreads = np.random.default_rng(1).normal(0, 0.05, size=(10, 4_000)).std(axis=0, ddof=1)
    over = [upper_limit(float(spread), 10) >= 0.05 for spread in spreads]
    assert 0.78 < np.mean(over) < 0.82


def test_the_forecast_power_is_how_often_full_studies_find_the_effect() -> None:
    studies = np.random.default_rng(2).normal(0.012, 0.05, size=(150, 2_000))
    found = (paired_t_of(studies) < 0.05).mean()
    assert power_of_t(150, 0.012 / 0.05) == pytest.approx(found, abs=0.03)
    assert forecast(pilot(0.012, 0.05, 12), n_full=150).observed.power == pytest.approx(found, abs=0.03)


def test_caution_only_lowers_power_and_raises_the_personas_needed() -> None:
    found = forecast(pilot(0.004, 0.08, 8), n_full=60)
    for prospect in (found.observed, found.criterion):
        assert prospect.power_low <= prospect.power
        assert (
            prospect.needed is None or prospect.needed_high is None or prospect.needed_high >= prospect.needed
        )


def test_no_effect_can_not_be_planned_for() -> None:
    assert needed(0.0, 0.05) is None
    assert needed(1e-6, 0.05) is None
    largest = needed(0.0006, 0.05)
    assert largest is not None
    assert largest <= MOST_PERSONAS


def test_so_few_that_there_is_no_verdict_find_nothing() -> None:
    assert needed(0.5, 0.01) == 5
    assert power_of_verdict(4, 50.0) == 0.0
    with pytest.raises(EngineError, match="A study of 4 personas finds nothing"):
        forecast(np.array([0.3, 0.31, 0.29, 0.32]), n_full=4)


def test_the_words_promise_nothing_the_pilot_does_not_show() -> None:
    unclear = forecast(pilot(0.004, 0.05, 10), n_full=200)
    assert any("does not say whether there is a gain" in line for line in unclear.words)
    clear = forecast(pilot(0.06, 0.05, 20), n_full=200)
    assert any("expect less" in line for line in clear.words)
    hopeless = forecast(pilot(-0.02, 0.02, 20), n_full=200)
    assert any("unlikely" in line for line in hopeless.words)


@pytest.mark.parametrize("differences", [[0.1, 0.2], [0.0, 0.0, 0.0, 0.0], [0.3] * 5])
def test_a_pilot_without_spread_is_refused(differences: list[float]) -> None:
    with pytest.raises(EngineError, match="says nothing about power"):
        forecast(np.array(differences), n_full=200)
