"""A run that several processes do in parts: which part this process does. Owns the words for it only.

Parts leave in the run's folder what a run that was stopped leaves there: trained waves, kept replies. In the
end one process does the ordinary step from what it finds, so a divided run ends as one that was resumed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Part:
    """What this process does of a run. `of` is the number of parts alike, `number` counts them from 0.

    "divide": all until training can be divided, and its division into waves. "wave": the training of one.
    "join": all that is left of the training. "replies": its share of the batches that are to be answered.
    """

    kind: Literal["divide", "wave", "join", "replies"]
    number: int = 0
    of: int = 1


class PartDone(Exception):
    """Raised where this process's part ends. `waves` says into how many waves the training was divided."""

    def __init__(self, waves: int = 0) -> None:
        super().__init__(waves)
        self.waves = waves


def wave_size(part: Part | None, lessons: int, *, most: int) -> int:
    """Return how many of the lessons are trained together, at most `most`."""
    return min(most, -(-lessons // part.of)) if part is not None and part.kind == "divide" else most


def waves_here(part: Part | None, waves: int) -> Sequence[int]:
    """Return which waves this process trains. Raises PartDone when it was only to divide them."""
    if part is not None and part.kind == "divide":
        raise PartDone(waves)
    return [part.number] if part is not None and part.kind == "wave" else range(waves)


def end_of_waves(part: Part | None) -> None:
    """Raise PartDone when this process was only to train a wave."""
    if part is not None and part.kind == "wave":
        raise PartDone


def rows_of_others(part: Part | None, batches: Sequence[Sequence[int]]) -> frozenset[int]:
    """Return the rows that other processes answer: whole batches, in turn.

    Raises PartDone when this process has no part in the answering.
    """
    if part is None:
        return frozenset()
    if part.kind != "replies":
        raise PartDone
    others = (rows for number, rows in enumerate(batches) if number % part.of != part.number)
    return frozenset(row for rows in others for row in rows)
