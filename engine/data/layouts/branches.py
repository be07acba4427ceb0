"""Turns that name the turn they answer: which dialogue each belongs to, and the one branch that is followed.

Owns the choice among several replies to one turn: the best ranked one, else the first that goes on, else the
first. Turns of people other than who began are where a branch ends. Reads no file.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar


class Placed(Protocol):
    """A turn with its own id, that of the turn it answers ("" for none), its rank and whose it is."""

    @property
    def own(self) -> str: ...
    @property
    def parent(self) -> str: ...
    @property
    def rank(self) -> float | None: ...
    @property
    def role(self) -> str: ...
    @property
    def person(self) -> str: ...


_Turn = TypeVar("_Turn", bound=Placed)


def beginnings(turns: Sequence[_Turn]) -> dict[str, str]:
    """Return the id of each turn's dialogue: that of the first turn above it that is there."""
    above = {turn.own: turn.parent for turn in turns}
    found: dict[str, str] = {}
    for own in above:
        way = [own]
        while above[way[-1]] in above and way[-1] not in found and len(way) <= len(above):
            way.append(above[way[-1]])
        found |= dict.fromkeys(way, found.get(way[-1], way[-1]))
    return found


def followed(turns: Sequence[_Turn]) -> list[_Turn]:
    """Return one branch of a dialogue's turns, from its beginning; none where they are no tree: several turns
    answer none that is there, as where people only quote one another now and then.
    """
    there = {turn.own for turn in turns}
    answers: dict[str, list[_Turn]] = {}
    for turn in turns:
        answers.setdefault(turn.parent if turn.parent in there else "", []).append(turn)
    if "" in there or len(there) < len(turns) or len(answers.get("", ())) != 1:
        return []
    branch: list[_Turn] = []
    above = ""
    while held := answers.pop(above, None):
        branch.append(_best(held, answers))
        above = branch[-1].own
    begun = next((turn.person for turn in branch if turn.role == "user"), "")
    others = (place for place, turn in enumerate(branch) if turn.role == "user" and turn.person != begun)
    return branch[: next(others, len(branch))]


def _best(turns: Sequence[_Turn], answers: Mapping[str, Sequence[_Turn]]) -> _Turn:
    def place(turn: _Turn) -> tuple[float, bool]:
        return math.inf if turn.rank is None else turn.rank, turn.own not in answers

    return min(turns, key=place)
