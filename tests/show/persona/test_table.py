"""Scores of one persona: pairing by example, intervals, orders."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from engine.show.persona.table import ORDERS, ordered, persona_gains, persona_means, scored, wide

VALUES = {
    "unified": {"a": [0.5, 0.6, None], "b": [0.9, 0.9, 0.9]},
    "hybrid": {"a": [0.7, 0.5, 0.8], "b": [0.9, 0.9, 0.9]},
    "other": {"a": [None, None, 0.4], "b": [0.1, 0.2, 0.9]},
}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rows = [
        {"variant": variant, "persona_id": persona, "example_id": f"{persona}/{number}", "value": value}
        for variant, personas in VALUES.items()
        for persona, values in personas.items()
        for number, value in enumerate(values)
    ]
    return wide(pd.DataFrame(rows))


def test_a_difference_counts_only_where_both_are_defined(table: pd.DataFrame) -> None:
    found = {one.variant: one for one in scored(table, "a", "unified")}
    assert found["hybrid"].n == 2
    assert found["hybrid"].delta == pytest.approx((0.2 - 0.1) / 2)
    assert found["hybrid"].mean == pytest.approx((0.7 + 0.5 + 0.8) / 3)
    assert (found["hybrid"].higher, found["hybrid"].same, found["hybrid"].lower) == (1, 0, 1)


def test_the_interval_is_students(table: pd.DataFrame) -> None:
    found = next(one for one in scored(table, "b", "unified") if one.variant == "other")
    low, high = stats.t.interval(0.95, 2, loc=-0.5, scale=stats.sem([-0.8, -0.7, 0.0]))
    assert (found.ci_low, found.ci_high) == (pytest.approx(low), pytest.approx(high))


def test_without_a_shared_example_there_is_no_difference(table: pd.DataFrame) -> None:
    found = scored(table, "a", "unified")
    assert [one.variant for one in found] == ["hybrid", "unified", "other"]
    assert (found[-1].delta, found[-1].ci_low, found[-1].n) == (None, None, 0)


def test_equal_replies_have_an_interval_of_no_width(table: pd.DataFrame) -> None:
    found = next(one for one in scored(table, "b", "unified") if one.variant == "hybrid")
    assert (found.delta, found.ci_low, found.ci_high, found.same) == (0.0, 0.0, 0.0, 3)


def test_gains_and_means_are_the_scores_of_each_persona(table: pd.DataFrame) -> None:
    gains, means = persona_gains(table, "unified"), persona_means(table)
    for persona in ("a", "b"):
        for one in scored(table, persona, "unified"):
            assert means.at[persona, one.variant] == pytest.approx(one.mean)
            held = gains.at[persona, one.variant]
            assert math.isnan(held) if one.delta is None else held == pytest.approx(one.delta)


def test_a_persona_without_scores_has_none(table: pd.DataFrame) -> None:
    assert scored(table, "nobody", "unified") == []


def test_what_is_built_on_another_is_compared_with_that(table: pd.DataFrame) -> None:
    grounds = {"hybrid": "other", "other": "gone"}
    own = {one.variant: one for one in scored(table, "a", "unified", grounds)}
    usual = {one.variant: one for one in scored(table, "a", "unified")}
    against = {one.variant: one for one in scored(table, "a", "other")}
    assert own["hybrid"].delta == against["hybrid"].delta != usual["hybrid"].delta
    assert own["other"].delta == usual["other"].delta  # what is not there is nobody's ground
    gains = persona_gains(table, "unified", grounds)
    assert gains.loc["a", "hybrid"] == pytest.approx(persona_gains(table, "other").loc["a", "hybrid"])


@given(
    some.dictionaries(
        some.text("abc", min_size=1, max_size=3), some.floats(-1, 1) | some.just(math.nan), max_size=8
    ),
    some.sampled_from(ORDERS),
)
def test_every_order_holds_everybody_once_and_the_unknown_last(gains: dict[str, float], order: str) -> None:
    names = [*gains, "zz-unknown"]
    found = ordered(names, order, gain=gains, level=gains, cluster=dict.fromkeys(gains, 1))
    assert sorted(found) == sorted(names)
    if order in ("gain", "score", "loss"):
        known = [gains[name] for name in found if not math.isnan(gains.get(name, math.nan))]
        assert known == sorted(known, reverse=order != "loss")
        assert all(math.isnan(gains.get(name, math.nan)) for name in found[len(known) :])
    else:
        assert found[-1] == "zz-unknown"
