"""How much of whose adapter goes into a merge. Owns the weights; they always sum to 1.

Knows personas, their groups, likeness and validation scores, but no adapter. Test scores never come here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.core.errors import EngineError

Matrix = NDArray[np.float64]
Interaction = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Mix:
    """One merge: the weight of each persona's adapter (the largest first, no zeros), and whom it is for.

    Where the weights differ from module to module, `by_module` holds them by the members' order, and
    `weights` are their means.
    """

    name: str
    weights: Mapping[str, float]
    members: tuple[str, ...]
    by_module: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def effective(self) -> float:
        """How many adapters it amounts to: 1 over the sum of squared weights."""
        return 1.0 / sum(weight**2 for weight in self.weights.values())


def average(personas: Sequence[str]) -> list[Mix]:
    """Return one mix for everybody, each adapter with the same weight."""
    return [_mix("all", personas, np.ones(len(personas)), personas)]


def cluster_average(assignment: Mapping[str, int]) -> list[Mix]:
    """Return one mix a cluster, each member's adapter with the same weight."""
    return [
        _mix(f"cluster-{label}", members, np.ones(len(members)), members)
        for label, members in _groups(assignment).items()
    ]


def cluster_weighted(
    assignment: Mapping[str, int], score: Mapping[str, float], *, temperature: float
) -> list[Mix]:
    """Return one mix a cluster: softmax(score / temperature) over its members.

    `score` is validation score x likeness to the centroid, or with data quality as a third factor.
    """
    mixes = []
    for label, members in _groups(assignment).items():
        shares = softmax(np.array([score[persona] for persona in members]), temperature)
        mixes.append(_mix(f"cluster-{label}", members, shares, members))
    return mixes


def weighed(mix: Mix, shares: Sequence[float]) -> Mix:
    """Return a cluster's mix with other weights, one for each of its members in their order."""
    return _mix(mix.name, mix.members, np.array(shares), mix.members)


def signed(name: str, personas: Sequence[str], shares: Sequence[float]) -> Mix:
    """Return one persona's mix with weights as they are, below 0 too; those of the most effect first."""
    ordered = sorted(zip(personas, shares, strict=True), key=lambda pair: -abs(pair[1]))
    return Mix(name, {persona: share for persona, share in ordered if share}, (name,))


def nearest(
    personas: Sequence[str],
    likeness: Matrix,
    *,
    k: int | None,
    temperature: float,
    own: bool = True,
    assignment: Mapping[str, int] | None = None,
) -> list[Mix]:
    """Return one mix a persona: softmax(likeness / temperature) over the k most like her (None: all).

    `likeness` [n, n] holds cosines. With an `assignment`, only members of her own cluster take part.
    Without `own`, her own adapter takes no part, unless she is alone. Ties go to the earlier persona.
    """
    mixes = []
    for row, persona in enumerate(personas):
        others = [
            column
            for column, other in enumerate(personas)
            if (own or column != row) and (assignment is None or assignment[other] == assignment[persona])
        ] or [row]
        order = sorted(others, key=lambda column: (column != row, -likeness[row, column], column))
        picked = order if k is None else order[:k]
        shares = softmax(likeness[row, picked], temperature)
        mixes.append(_mix(persona, [personas[column] for column in picked], shares, (persona,)))
    return mixes


def quality(
    interactions: Mapping[str, Sequence[Interaction]], useful_reply: Callable[[str], bool]
) -> dict[str, float]:
    """Return how much useful training data each persona has, as a share of the best persona's, 0..1.

    Useful are distinct interactions whose reply is (where a domain judges replies: those that do something).
    """
    useful = {
        persona: len({pair for pair in pairs if useful_reply(pair[1])})
        for persona, pairs in interactions.items()
    }
    most = max(useful.values(), default=0)
    return {persona: count / most if most else 1.0 for persona, count in useful.items()}


def softmax(scores: Matrix, temperature: float) -> Matrix:
    """Return softmax(scores / temperature). Raises EngineError on a temperature that is not above 0."""
    if not temperature > 0:
        raise EngineError(
            f"The temperature is {temperature}.", "Give one above 0; 1 makes weights nearly equal."
        )
    raised = np.exp((scores - scores.max()) / temperature)
    return raised / raised.sum()


def _groups(assignment: Mapping[str, int]) -> dict[int, list[str]]:
    groups: dict[int, list[str]] = {}
    for persona, label in assignment.items():
        groups.setdefault(label, []).append(persona)
    return dict(sorted(groups.items()))


def _mix(name: str, personas: Sequence[str], shares: Matrix, members: Sequence[str]) -> Mix:
    total = float(shares.sum())
    ordered = sorted(zip(personas, shares, strict=True), key=lambda pair: -pair[1])
    weights = {persona: float(share) / total for persona, share in ordered if share > 0}
    return Mix(name, weights, tuple(members))
