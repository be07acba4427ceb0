"""The records of augmentation: what a method gives, what became of it, and why others were refused.

Owns shapes and the difference between a dialogue and its source; changes nothing itself.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.core.types import Dialogue, Message

Nearness = Callable[[Sequence[tuple[str, str]]], Sequence[float]]
"""The likeness (-1 to 1) of each pair of texts: of the scorer in a run."""

NOTHING = "nothing to change"
ACTIONS = "does something else"
NUMBERS = "numbers differ"
EMPTY = "nothing left of a message"
FAR = "too far from its source"
DUPLICATE = "near-duplicate"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs from the source: a message ("message 3") or a fact of the context."""

    where: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Augmented:
    """A dialogue made from another. `nearness` is its most changed message's; None when not measured."""

    dialogue: Dialogue
    source_id: str
    method: str
    nearness: float | None

    def as_json(self) -> dict[str, Any]:
        """Return one line of augmented.jsonl."""
        one = self.dialogue
        return {
            "persona_id": one.persona_id,
            "dialogue_id": one.dialogue_id,
            "source_id": self.source_id,
            "method": self.method,
            "nearness": None if self.nearness is None else round(self.nearness, 4),
            "order": one.order,
            "meta": one.meta,
            "messages": [{"role": message.role, "text": message.text} for message in one.messages],
        }


def read_augmented(row: Mapping[str, Any]) -> Augmented:
    """Return the record of one line of augmented.jsonl."""
    messages = tuple(Message(message["role"], message["text"]) for message in row["messages"])
    dialogue = Dialogue(row["persona_id"], row["dialogue_id"], row["order"], messages, row["meta"])
    return Augmented(dialogue, row["source_id"], row["method"], row["nearness"])


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a method made of a source; `reason` is why it was not taken, "" where it may be."""

    source: Dialogue
    dialogue: Dialogue
    method: str
    reason: str = ""
    nearness: float | None = None

    @property
    def changes(self) -> list[Change]:
        """What differs from the source."""
        return changes(self.source, self.dialogue)


@dataclass(slots=True)
class Grown:
    """What became of one persona: the dialogues made, and (method, outcome) counts; "taken" is an outcome.

    `refused` holds the first few of each reason, to look at. `wanted` is how many were to be made.
    """

    wanted: int
    made: list[Augmented] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: list[Attempt] = field(default_factory=list)


def changes(source: Dialogue, made: Dialogue) -> list[Change]:
    """Return what differs, facts of the context first; a fact left out reads as ""."""
    keys = dict.fromkeys([*source.meta, *made.meta])
    facts = [(str(key), _fact(source.meta.get(key)), _fact(made.meta.get(key))) for key in keys]
    texts = [
        (f"message {place}", before.text, after.text)
        for place, (before, after) in enumerate(zip(source.messages, made.messages, strict=True), start=1)
    ]
    return [Change(*one) for one in (*facts, *texts) if one[1] != one[2]]


def _fact(value: Any) -> str:
    return "" if value is None else str(value)
