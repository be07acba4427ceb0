"""What is known of a persona, as a network reads it: the mean embedding of her replies, her character's.

Each persona's numbers come from her own texts alone, so one who joins later changes nobody's; the middle and
the spread are those of the personas that the network is trained on. Reads train dialogues and the history of
personas kept unseen; never val or test.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from engine.core.types import Dataset, Splits
from engine.lm.scorer import Scorer

Which = Literal["character", "history", "both"]
Vector = NDArray[np.float32]
_REMEMBERED = ("train", "history")


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """The middle [parts, d] and the spread [parts] of what is known of the personas trained on."""

    middle: Vector
    spread: Vector

    @classmethod
    def of(cls, rows: Sequence[Vector]) -> Self:
        """Return that of some personas' rows [parts, d], where NaN is not known."""
        told = np.stack(rows)
        middle = np.zeros(told.shape[1:], np.float32)
        spread = np.ones(told.shape[1], np.float32)
        for part in range(told.shape[1]):
            known = told[~np.isnan(told[:, part, 0]), part]
            if len(known):
                middle[part] = known.mean(axis=0)
                spread[part] = max(float(np.sqrt(((known - middle[part]) ** 2).sum(axis=1).mean())), 1e-6)
        return cls(middle, spread)

    def read(self, row: Vector) -> Vector:
        """Return a row as the network reads it, [parts * d]: length about 1, 0 where nothing is known."""
        apart = (row - self.middle) / self.spread[:, None]
        whole: Vector = np.nan_to_num(apart, nan=0.0).reshape(-1) / np.sqrt(len(row))
        return whole.astype(np.float32)


class Known:
    """What is known of every persona of a dataset, from so many of her most recent dialogues."""

    def __init__(
        self, dataset: Dataset, splits: Splits, scorer: Scorer, *, which: Which, history: int | None = None
    ) -> None:
        self._which, self._history, self._size = which, history, scorer.dimensions
        self._characters: dict[str, Vector] = {}
        if which != "history":
            told = [one for one in dataset.personas if one.character]
            vectors = scorer.embed([one.character or "" for one in told])
            self._characters = {one.persona_id: row for one, row in zip(told, vectors, strict=True)}
        self._said: dict[str, dict[str, Vector]] = {}
        if which != "character" and history != 0:
            self._said = _replies(dataset, splits, scorer)

    def of(self, persona: str, *, without: str | None = None) -> Vector:
        """Return her row [parts, d], NaN where a part is not known; `without` leaves one dialogue out."""
        parts = []
        if self._which != "history":
            parts.append(self._characters.get(persona))
        if self._which != "character":
            own = self._said.get(persona, {})
            left = [rows for dialogue, rows in own.items() if dialogue != without]
            left = left if self._history is None else left[len(left) - min(self._history, len(left)) :]
            parts.append(np.concatenate(left).mean(axis=0) if left else None)
        nothing = np.full(self._size, np.nan, np.float32)
        return np.stack([nothing if part is None else part for part in parts])

    def knows(self, persona: str) -> bool:
        """Say whether anything at all is known of her."""
        return not bool(np.isnan(self.of(persona)).all())

    def scale(self, personas: Iterable[str]) -> Scale:
        """Return the middle and the spread of these personas."""
        return Scale.of([self.of(persona) for persona in personas])


def _replies(dataset: Dataset, splits: Splits, scorer: Scorer) -> dict[str, dict[str, Vector]]:
    """Return persona -> dialogue, the oldest first -> the embeddings of what was replied to her there."""
    kept = [
        (row, [one.text for one in row.messages if one.role == "assistant" and one.text.strip()])
        for row in dataset.dialogues
        if splits.assignment.get(row.dialogue_id) in _REMEMBERED
    ]
    vectors = scorer.embed([text for _, texts in kept for text in texts])
    found: dict[str, dict[str, Vector]] = {}
    at = 0
    for row, texts in kept:
        if texts:
            found.setdefault(row.persona_id, {})[row.dialogue_id] = vectors[at : at + len(texts)]
        at += len(texts)
    return found
