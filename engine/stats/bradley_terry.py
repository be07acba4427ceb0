"""Ratings from votes on pairs: the Bradley-Terry model, fitted by minorisation-maximisation.

P(i beats j) = s_i / (s_i + s_j). Strengths follow from Hunter's iteration (MM algorithms for generalized
Bradley-Terry models, 2004): s_i <- wins_i / sum_j n_ij / (s_i + s_j), which raises the likelihood with every
step. A tie, "both bad" included, is half a win for each, as Chatbot Arena counts it (Chiang et al., 2024).

Without more, somebody who never lost would be infinitely strong and strangers who never met incomparable. So
everybody has also drawn once against an imaginary opponent of average strength: the weight of one vote,
which fades as votes come in. Intervals are percentiles over resampled votes; the resampling knows half a vote
more for either side of every pair that met, so that a clean sweep is not taken for a certainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

AVERAGE: Final = 1000.0
SCALE: Final = 400.0  # rating points for a factor of ten in the odds, as in chess
RESAMPLES: Final = 1000
_DRAWS_WITH_AVERAGE = 1.0
_TOLERANCE = 1e-6  # of a step, relative: 0.0002 rating points
_MOST_STEPS = 10_000
_SCORES = (0.0, 0.5, 1.0)

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Game:
    """One vote: `score` is 1 when `first` won, 0 when `second` did, 0.5 for a tie."""

    first: str
    second: str
    score: float


@dataclass(frozen=True, slots=True)
class Rating:
    """A contender's rating, 1000 being the mean of all, with its 95 % interval, and what it rests on."""

    name: str
    rating: float
    low: float
    high: float
    wins: int
    ties: int
    losses: int

    @property
    def games(self) -> int:
        return self.wins + self.ties + self.losses


def ratings(games: Sequence[Game], *, seed: int = 0, resamples: int = RESAMPLES) -> list[Rating]:
    """Return everybody's rating, best first; empty without games.

    Raises ValueError for a game of somebody against herself or a score that is none.
    """
    for game in games:
        if game.first == game.second or game.score not in _SCORES:
            raise ValueError(f"not a game: {game}")
    if not games:
        return []
    names = sorted({name for game in games for name in (game.first, game.second)})
    counts = _counted(games, names)
    own = _rated(_wins(counts[None], len(names)))[0]
    chances = (counts + _smoothing(counts)).ravel()
    generator = np.random.default_rng([seed, len(games)])
    drawn = generator.multinomial(len(games), chances / chances.sum(), size=resamples)
    again = _rated(_wins(drawn.reshape(resamples, *counts.shape), len(names)))
    low, high = np.quantile(again, [0.025, 0.975], axis=0)
    made = [
        Rating(name, float(own[place]), float(low[place]), float(high[place]), *_outcomes(games, name))
        for place, name in enumerate(names)
    ]
    return sorted(made, key=lambda one: (-one.rating, one.name))


def strengths(wins: Array) -> Array:
    """Return the strengths [B, K] for tables of wins [B, K, K]: how often the row beat the column.

    They are on the scale of the imaginary opponent, whose strength is 1.
    """
    played = wins + wins.swapaxes(1, 2)
    won = wins.sum(axis=2) + _DRAWS_WITH_AVERAGE / 2
    found = np.ones(won.shape)
    for _ in range(_MOST_STEPS):
        expected = (played / (found[:, :, None] + found[:, None, :])).sum(axis=2)
        expected += _DRAWS_WITH_AVERAGE / (found + 1)
        new = won / expected
        moved = np.abs(np.log(new / found)).max()
        found = new
        if moved < _TOLERANCE:
            break
    return found


def _rated(wins: Array) -> Array:
    """Return ratings [B, K], each row's mean being AVERAGE."""
    points = SCALE * np.log10(strengths(wins))
    return np.asarray(AVERAGE + points - points.mean(axis=1, keepdims=True))


def _counted(games: Sequence[Game], names: Sequence[str]) -> Array:
    """Return how often each pair met with each score of the first, [pairs, 3], in the order of _SCORES."""
    place = {name: number for number, name in enumerate(names)}
    counts = np.zeros((len(names), len(names), len(_SCORES)))
    for game in games:
        first, second = place[game.first], place[game.second]
        score = game.score if first < second else 1 - game.score
        counts[min(first, second), max(first, second), _SCORES.index(score)] += 1
    return np.asarray(counts[np.triu_indices(len(names), 1)])


def _smoothing(counts: Array) -> Array:
    """Return half a vote for either side of every pair that met."""
    met = counts.sum(axis=1, keepdims=True) > 0
    return np.asarray(np.where(met, [[0.5, 0.0, 0.5]], 0.0))


def _wins(counts: NDArray[Any], size: int) -> Array:
    """Return the tables of wins [B, K, K] for counts [B, pairs, 3]; ties are half a win for each."""
    wins = np.zeros((len(counts), size, size))
    first, second = np.triu_indices(size, 1)
    wins[:, first, second] = counts @ np.array(_SCORES)
    wins[:, second, first] = counts @ (1 - np.array(_SCORES))
    return wins


def _outcomes(games: Sequence[Game], name: str) -> tuple[int, int, int]:
    scores = [game.score for game in games if game.first == name]
    scores += [1 - game.score for game in games if game.second == name]
    return scores.count(1.0), scores.count(0.5), scores.count(0.0)
