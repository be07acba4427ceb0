"""What a budget buys, and which settings are drawn."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import EngineError
from engine.strategies import registry
from engine.strategies.spec import Experiment, validate
from engine.strategies.tuning import LEAST_PERSONAS, Budget, Rung, cost, draw, rungs, that_fit

WITH_SPACE = [entry for entry in registry.EXPERIMENTS.values() if entry.space]


@given(
    budget=st.floats(2, 60) | st.floats(2, 1e12),
    personas=st.integers(2, 500),
    is_cut=st.booleans(),
    most=st.integers(2, 100),
)
def test_rounds_stay_within_the_budget_and_end_on_everybody(
    budget: float, personas: int, is_cut: bool, most: int
) -> None:
    found = rungs(budget, personas, is_cut=is_cut, most=most)
    assert all(one.settings <= most for one in found)
    assert budget < most + 1e-6 or found[-1].settings == most  # it pays for all of them on everybody
    assert cost(found, personas) <= budget
    assert found[-1].personas is None
    assert found[-1].settings >= 2
    for before, after in itertools.pairwise(found):
        assert before.settings >= after.settings
        assert before.personas is not None
        assert LEAST_PERSONAS <= before.personas < (after.personas or personas)
    assert is_cut or len(found) == 1


def test_a_budget_tries_more_where_personas_can_be_left_out() -> None:
    assert [(one.settings, one.personas) for one in rungs(6, 200, is_cut=False, most=80)] == [(6, None)]
    cut = rungs(6, 200, is_cut=True, most=80)
    assert [one.personas for one in cut] == [50, 100, None]
    assert cut[0].settings >= 11
    assert cost(cut, 200) > 5
    with pytest.raises(EngineError, match="compares nothing"):
        rungs(1.5, 200, is_cut=True, most=80)


def test_a_budget_of_time_buys_runs_by_what_one_costs_and_makes_room_where_they_take_longer() -> None:
    assert Budget.read("6") == Budget(runs=6.0)
    assert Budget.read("1.5h") == Budget(seconds=5400.0) == Budget.read("90m")
    assert Budget.read("10m").in_runs(60.0) == 10.0
    with pytest.raises(EngineError, match="do not pay for two runs"):
        Budget.read("90s").in_runs(60.0)
    ten, few = Budget(seconds=600.0), Rung(8, 50)
    assert that_fit(few, spent=0.0, budget=ten, seconds_each=50.0) == few
    assert that_fit(few, spent=400.0, budget=ten, seconds_each=50.0) == Rung(4, 50)
    assert that_fit(few, spent=590.0, budget=ten, seconds_each=50.0) == Rung(2, 50)
    assert that_fit(few, spent=590.0, budget=Budget(runs=6.0), seconds_each=50.0) == few


@pytest.mark.parametrize("entry", WITH_SPACE, ids=lambda entry: entry.name)
def test_settings_are_valid_different_and_begin_with_the_defaults(entry: Experiment) -> None:
    found = draw(entry, 6, seed=3)
    assert found[0] == {}
    made = [validate(entry, one).parameters.model_dump_json() for one in found]
    assert len(set(made)) == len(made) > 1
    assert draw(entry, 3, seed=3) == found[:3]


def test_seeds_draw_other_settings_and_without_a_space_there_is_nothing_to_tune() -> None:
    hybrid = registry.get("hybrid")
    assert draw(hybrid, 6, seed=1) != draw(hybrid, 6, seed=2)
    with pytest.raises(EngineError, match="nothing to tune"):
        draw(registry.get("base"), 4, seed=0)


def test_what_trains_can_be_tuned() -> None:
    trained = {"unified", "per-persona", "hybrid", "cluster", "prefix", "constrained", "mta", "staged"}
    assert trained <= {entry.name for entry in WITH_SPACE}
