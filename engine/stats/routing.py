"""Routing: each persona gets the variant that won for her on validation. Owns the choice and its judgement.

`choose` never sees test scores. What was chosen on val looks better there by the choice alone, so val judges
it by `cross_fit`: each fold of it by the choice made on the others. Where there is one set of scores only
(persona means published elsewhere), `hindsight` says what choosing and judging on the same scores gives, a
bound, and what stays honest: one variant for all, chosen on other personas.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.core.errors import EngineError, unknown_name
from engine.stats.levels import NOISE
from engine.stats.pairing import Table, Valued, index, pair

FOLDS = 5
Scored = tuple[str, str, float]
"""A persona, a dialogue, and the score of an example there."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where one persona goes. `gain` is the variant's gain over the fallback on val (0 for the fallback)."""

    persona_id: str
    variant: str
    gain: float


@dataclass(frozen=True, slots=True)
class Routes:
    """The choice for every persona that the fallback answers, in the order of their ids.

    `best_single` is the variant with the highest mean gain on val: what one would choose for everybody.
    """

    fallback: str
    margin: float
    routes: tuple[Route, ...]
    best_single: str

    @property
    def by_persona(self) -> dict[str, str]:
        return {route.persona_id: route.variant for route in self.routes}

    @property
    def shares(self) -> dict[str, float]:
        """Return the share of personas that each variant got, the largest first."""
        counts = Counter(route.variant for route in self.routes)
        return {name: count / len(self.routes) for name, count in counts.most_common()}

    @property
    def gain(self) -> float:
        """The mean gain on val over all personas, on what was chosen on: it promises too much."""
        return float(np.mean([route.gain for route in self.routes])) if self.routes else 0.0


@dataclass(frozen=True, slots=True)
class Hindsight:
    """What one set of scores allows to say of routing; gains are over the fallback, in the metric's unit.

    `best` maps each persona to (her best variant, its gain): chosen on the scores that judge it, so its mean
    is a bound. `crossed` maps each persona to (variant, gain) of the one variant for all that was best for
    the personas of the other folds: that is a result. Gains are higher for better, whatever the metric.
    """

    fallback: str
    best: Mapping[str, tuple[str, float]]
    crossed: Mapping[str, tuple[str, float]]

    @property
    def bound(self) -> float:
        """The mean gain of each persona's best variant."""
        return float(np.mean([gain for _, gain in self.best.values()])) if self.best else 0.0

    @property
    def share_moved(self) -> float:
        """The share of personas whose best variant is not the fallback."""
        moved = [name != self.fallback for name, _ in self.best.values()]
        return float(np.mean(moved)) if moved else 0.0

    @property
    def shares(self) -> dict[str, float]:
        """Return the share of personas that each variant is best for, the largest first."""
        counts = Counter(name for name, _ in self.best.values())
        return {name: number / len(self.best) for name, number in counts.most_common()}


def hindsight(
    gains: Mapping[str, Mapping[str, float]],
    *,
    fallback: str,
    personas: Iterable[str],
    margin: float = 0.0,
    folds: int = 10,
    seed: int = 0,
) -> Hindsight:
    """Return what routing `personas` gives on the scores that chose it, and one variant for all beside.

    `gains` maps each variant but the fallback to persona -> gain over the fallback, higher for better; a
    persona without one stays with the fallback. A variant must gain more than `margin`.
    """
    names = sorted(personas)
    best = {name: _best_of(name, gains, fallback, margin) for name in names}
    order = list(names)
    random.Random(seed).shuffle(order)
    fold_of = {name: place % folds for place, name in enumerate(order)}
    crossed = {}
    for fold in range(folds):
        others = [name for name in names if fold_of[name] != fold]
        one = _best_single(others, gains, fallback, margin)
        for name in (name for name in names if fold_of[name] == fold):
            found = gains.get(one, {}).get(name)
            crossed[name] = (fallback, 0.0) if found is None else (one, found)
    return Hindsight(fallback, best, {name: crossed[name] for name in names})


def _best_of(
    persona: str, gains: Mapping[str, Mapping[str, float]], fallback: str, margin: float
) -> tuple[str, float]:
    own = [(found[persona], name) for name, found in gains.items() if persona in found]
    gain, name = max(own, key=lambda pair_: pair_[0], default=(0.0, fallback))
    return (name, gain) if gain > margin + NOISE else (fallback, 0.0)


def _best_single(
    personas: Sequence[str], gains: Mapping[str, Mapping[str, float]], fallback: str, margin: float
) -> str:
    means = {
        name: sum(found.get(persona, 0.0) for persona in personas) / max(1, len(personas))
        for name, found in gains.items()
    }
    name = max(means, key=lambda one: means[one], default=fallback)
    return name if means.get(name, 0.0) > margin + NOISE else fallback


def choose(
    val: Mapping[str, Iterable[Valued]],
    *,
    fallback: str,
    margin: float = 0.0,
    higher_is_better: bool = True,
) -> Routes:
    """Return each persona's route by the validation scores of each variant.

    A variant must beat the fallback by more than `margin` (in the metric's unit) on the persona's examples
    that both have; otherwise she stays. Ties between variants go to the first in `val`. Raises EngineError
    when the fallback is not among the variants or has no scores.
    """
    if fallback not in val:
        raise unknown_name("variant", fallback, val)
    gains = _gains(val, fallback, higher_is_better)
    personas = sorted(gains[fallback])
    if not personas:
        raise EngineError(f"{fallback} has no validation scores to compare with.", "Score it on val first.")
    routes = []
    for persona in personas:
        own = [
            (found[persona], name) for name, found in gains.items() if persona in found and name != fallback
        ]
        gain, name = max(own, key=lambda pair_: pair_[0], default=(0.0, fallback))
        wins = gain > margin + NOISE
        routes.append(Route(persona, name if wins else fallback, gain if wins else 0.0))
    means = {name: float(np.mean([found.get(p, 0.0) for p in personas])) for name, found in gains.items()}
    best = max(means, key=lambda name: (means[name], name == fallback))
    return Routes(fallback, margin, tuple(routes), best)


def folds(dialogues: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return dialogue_id -> its fold, of pairs (persona_id, dialogue_id): each persona's are dealt out in
    order, hers beginning where the one's before left off, so that every fold has its share of people with
    few."""
    found: dict[str, int] = {}
    for place, pair_ in enumerate(sorted(set(dialogues))):
        found[pair_[1]] = place % FOLDS
    return found


def best_but(
    tables: Mapping[str, Sequence[Scored]],
    fold_of: Mapping[str, int],
    *,
    without: int | None = None,
    higher_is_better: bool = True,
) -> str:
    """Return the candidate with the best macro mean over personas, without the dialogues of a fold.

    Of equal ones the first; a candidate without scores there is the last choice.
    """
    sign = 1.0 if higher_is_better else -1.0

    def level(name: str) -> float:
        own: dict[str, list[float]] = {}
        for persona, dialogue, score in tables[name]:
            if without is None or fold_of[dialogue] != without:
                own.setdefault(persona, []).append(score)
        return sign * float(np.mean([np.mean(of_her) for of_her in own.values()])) if own else -np.inf

    return max(tables, key=level)


def cross_fit(
    without: Callable[[int], Mapping[str, Iterable[Valued]]],
    *,
    fallback: str,
    margin: float = 0.0,
    higher_is_better: bool = True,
) -> list[dict[str, str]]:
    """Return for each fold persona -> the variant chosen for her by the validation scores of the other folds.

    `without` gives the scores of each variant but for a fold. A persona with none there stays with the
    fallback and is left out.
    """
    chosen: list[dict[str, str]] = []
    for fold in range(FOLDS):
        val = {name: list(rows) for name, rows in without(fold).items()}
        if not val.get(fallback):
            chosen.append({})
            continue
        found = choose(val, fallback=fallback, margin=margin, higher_is_better=higher_is_better)
        chosen.append(found.by_persona)
    return chosen


def _gains(
    tables: Mapping[str, Iterable[Valued]], fallback: str, higher_is_better: bool
) -> dict[str, dict[str, float]]:
    """Return variant -> persona -> mean gain over the fallback on the examples that both have."""
    indexed = {name: index(rows, name=name) for name, rows in tables.items()}
    reference = indexed.get(fallback, Table({}))
    sign = 1.0 if higher_is_better else -1.0
    found = {}
    for name, table in indexed.items():
        pairing = pair(table, reference)
        gains = sign * pairing.differences
        found[name] = dict(zip(pairing.personas, gains.tolist(), strict=True))
    found.setdefault(fallback, {})
    return found
