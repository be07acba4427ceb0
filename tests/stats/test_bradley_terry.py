"""Ratings from votes: right where the answer is known, fair to sides and names, careful with few votes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.stats.bradley_terry import AVERAGE, Game, ratings, strengths

GAMES = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd"), st.sampled_from([0.0, 0.5, 1.0])).filter(
        lambda game: game[0] != game[1]
    ),
    min_size=1,
    max_size=40,
).map(lambda games: [Game(*game) for game in games])


def rated(games: list[Game]) -> dict[str, float]:
    return {one.name: one.rating for one in ratings(games, resamples=20)}


def test_two_contenders_have_a_closed_form() -> None:
    """With s and 1/s by symmetry: 30 = 40 s^2 / (1 + s^2) less the imaginary draws' pull."""
    games = [Game("a", "b", 1.0)] * 3000 + [Game("b", "a", 1.0)] * 1000
    found = rated(games)
    assert found["a"] - found["b"] == pytest.approx(400 * math.log10(3), abs=0.5)
    assert found["a"] + found["b"] == pytest.approx(2 * AVERAGE)


def test_the_fit_satisfies_the_likelihood_equation() -> None:
    wins = np.array([[[0, 7, 3], [2, 0, 5], [4, 1, 0]]], dtype=float)
    s = strengths(wins)[0]
    played = wins[0] + wins[0].T
    expected = [
        sum(played[i, j] * s[i] / (s[i] + s[j]) for j in range(3)) + s[i] / (s[i] + 1) for i in range(3)
    ]
    assert expected == pytest.approx((wins[0].sum(axis=1) + 0.5).tolist(), abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(GAMES)
def test_sides_order_and_names_do_not_matter(games: list[Game]) -> None:
    found = rated(games)
    assert rated([Game(one.second, one.first, 1 - one.score) for one in games]) == pytest.approx(found)
    assert rated(games[::-1]) == pytest.approx(found)
    renamed = rated([Game(one.first.upper(), one.second.upper(), one.score) for one in games])
    assert {name.lower(): value for name, value in renamed.items()} == pytest.approx(found)
    assert np.mean(list(found.values())) == pytest.approx(AVERAGE)


@settings(max_examples=40, deadline=None)
@given(GAMES)
def test_a_win_more_never_lowers_a_rating(games: list[Game]) -> None:
    before = rated([*games, Game("a", "b", 0.5)])
    after = rated([*games, Game("a", "b", 1.0)])
    assert after["a"] - after["b"] > before["a"] - before["b"]


@settings(max_examples=20, deadline=None)
@given(GAMES)
def test_intervals_hold_the_order_and_outcomes_add_up(games: list[Game]) -> None:
    found = ratings(games, resamples=50)
    assert [one.rating for one in found] == sorted((one.rating for one in found), reverse=True)
    assert sum(one.games for one in found) == 2 * len(games)
    assert all(one.low <= one.high and math.isfinite(one.low + one.high) for one in found)


def test_a_clean_sweep_is_no_certainty_and_more_votes_narrow_the_interval() -> None:
    few, many = (ratings([Game("a", "b", 1.0)] * n)[0] for n in (4, 100))
    assert few.rating < many.rating
    assert few.high - few.low > 100
    mixed = [Game("a", "b", 1.0), Game("a", "b", 0.0)]
    width = [ratings(mixed * n)[0].high - ratings(mixed * n)[0].low for n in (5, 100)]
    assert width[1] < width[0] / 2


def test_ties_alone_make_all_equal() -> None:
    assert set(rated([Game("a", "b", 0.5), Game("b", "c", 0.5)]).values()) == {AVERAGE}


def test_the_seed_decides_and_nothing_is_made_of_nothing() -> None:
    games = [Game("a", "b", 1.0), Game("b", "c", 1.0), Game("c", "a", 0.5)] * 4
    assert ratings(games, seed=3) == ratings(games, seed=3)
    assert ratings([]) == []


@pytest.mark.parametrize("game", [Game("a", "a", 1.0), Game("a", "b", 0.7)])
def test_what_is_no_game_is_refused(game: Game) -> None:
    with pytest.raises(ValueError, match="not a game"):
        ratings([game])
