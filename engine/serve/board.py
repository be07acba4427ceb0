"""What the blind votes say: ratings, who met whom, and whether the automatic metrics agree with people.

Computes from votes handed in; reads and writes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.domains.metric import Metric
from engine.results.votes import Ballot, Choice, Vote
from engine.stats.bradley_terry import Game, Rating, ratings
from engine.stats.shares import wilson

FEW_VOTES = 30
_SCORES: Mapping[Choice, float] = {"left": 1.0, "right": 0.0, "tie": 0.5, "both bad": 0.5}


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often the side with the better score won, of the decided votes in which the scores differ.

    `low` and `high` are Wilson's 95 % interval of the share; None where there is no such vote.
    """

    metric: Metric
    agreed: int
    decided: int
    low: float | None
    high: float | None

    @property
    def share(self) -> float | None:
        return self.agreed / self.decided if self.decided else None


@dataclass(frozen=True, slots=True)
class Pairing:
    """Two variants against each other: votes for either, ties, and votes that both are bad."""

    first: str
    second: str
    first_won: int
    second_won: int
    ties: int
    both_bad: int


@dataclass(frozen=True, slots=True)
class Board:
    """All that the votes say."""

    ratings: tuple[Rating, ...]
    pairings: tuple[Pairing, ...]
    agreement: tuple[Agreement, ...]
    votes: int
    left_won: int
    right_won: int


def board(votes: Sequence[Vote], names: Mapping[str, str], metrics: Iterable[Metric]) -> Board:
    """Return what the votes say, and how often each of `metrics` that has a direction agrees with them.

    `names` maps variant ids to today's names, others keep those of the vote.
    """
    games = [Game(_name(vote.left, names), _name(vote.right, names), _SCORES[vote.choice]) for vote in votes]
    return Board(
        ratings=tuple(ratings([game for game in games if game.first != game.second])),
        pairings=_pairings(votes, names),
        agreement=tuple(_agreement(votes, one) for one in metrics if one.higher_is_better is not None),
        votes=len(votes),
        left_won=sum(vote.choice == "left" for vote in votes),
        right_won=sum(vote.choice == "right" for vote in votes),
    )


def _agreement(votes: Sequence[Vote], metric: Metric) -> Agreement:
    higher_wins = metric.higher_is_better is not False
    agreed = decided = 0
    for vote in votes:
        left, right = vote.left.scores.get(metric.name), vote.right.scores.get(metric.name)
        if vote.choice not in ("left", "right") or left is None or right is None or left == right:
            continue
        decided += 1
        agreed += ((left > right) == higher_wins) == (vote.choice == "left")
    low, high = wilson(agreed, decided) if decided else (None, None)
    return Agreement(metric, agreed, decided, low, high)


def _pairings(votes: Sequence[Vote], names: Mapping[str, str]) -> tuple[Pairing, ...]:
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for vote in votes:
        left, right = _name(vote.left, names), _name(vote.right, names)
        pair = (left, right) if left <= right else (right, left)
        sides = {"left": left, "right": right}
        told = sides.get(vote.choice, vote.choice)
        found = counts.setdefault(pair, {})
        found[told] = found.get(told, 0) + 1
    return tuple(
        Pairing(
            *pair, found.get(pair[0], 0), found.get(pair[1], 0), found.get("tie", 0), found.get("both bad", 0)
        )
        for pair, found in sorted(counts.items())
    )


def _name(ballot: Ballot, names: Mapping[str, str]) -> str:
    return names.get(ballot.variant_id, ballot.variant)
