"""Habits, read from a handful of interactions whose answer can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engine.domains.smart_home.behaviour import habits, standardised

TOLD = {
    "ada": [
        ("Please set the lights.", "The lights are set to 80% brightness."),
        ("Please set the lights.", "The lights are set to 40% brightness."),
        ("Turn on the TV.", "The TV is on."),
        ("Hello.", "Hello!"),
    ],
    "ben": [("Set the AC.", "The AC is set to 22 degrees in heat mode.")],
    "cleo": [],
}


def test_habits_are_shares_levels_and_choices() -> None:
    found = habits(TOLD)
    assert found.personas == ("ada", "ben")
    ada, ben = (dict(zip(found.columns, row, strict=True)) for row in found.values)
    assert ada["asks lights"] == 0.5
    assert ben["asks lights"] == 0.0
    assert ada["sets lights.brightness"] == 0.5
    assert ada["lights.brightness at 0.5"] == 60.0
    assert ada["lights.brightness at 0.1"] == pytest.approx(44.0)
    assert ben["ac.temperature at 0.9"] == 22.0
    assert ben["ac.mode = heat"] == 1.0
    assert np.isnan(ben["lights.brightness at 0.5"])
    assert np.isnan(ada["ac.mode = heat"])


def test_a_choice_not_made_is_none_of_the_times_and_one_never_offered_is_unknown() -> None:
    told = {
        "a": [("", "The AC is in heat mode.")],
        "b": [("", "The AC is in cool mode.")],
        "c": [("", "The TV is on.")],
    }
    found = habits(told)
    column = found.columns.index("ac.mode = heat")
    assert found.values[:2, column].tolist() == [1.0, 0.0]
    assert np.isnan(found.values[2, column])


def test_standardised_habits_have_mean_zero_and_unknown_is_the_mean() -> None:
    rng = np.random.default_rng(0)
    told = {
        f"p{i}": [("", f"The lights are set to {int(value)}% brightness.")]
        for i, value in enumerate(rng.integers(10, 90, size=20))
    } | {"quiet": [("", "The TV is on.")]}
    found = habits(told)
    values = standardised(found)
    assert np.allclose(values.mean(axis=0), 0.0)
    assert values.std(axis=0).max() <= 1.0 + 1e-9
    level = [name for name in found.columns if name.startswith("lights.brightness at")]
    assert level
    assert (values[found.personas.index("quiet")] == 0).any()


def test_what_tells_nobody_apart_is_left_out() -> None:
    same = {f"p{i}": [("", "The lights are on.")] for i in range(5)}
    assert standardised(habits(same)).shape == (5, 0)
    assert standardised(habits({})).shape == (0, 0)
