"""What every augmented dialogue must keep, and when two dialogues are too much alike to keep both.

Owns the refusals that need no model. `fault` compares message by message: the numbers must be the same, and
what else must be is the domain's to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from engine.core.types import Dialogue, Message
from engine.data.augment.records import ACTIONS, EMPTY, NOTHING, NUMBERS

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_WORD = re.compile(r"[\w']+")


def fault(source: Dialogue, made: Dialogue, keeps: Callable[[Message, Message], bool]) -> str | None:
    """Return why `made` may not stand for `source`, None when it may; `keeps` is the domain's."""
    if [message.role for message in source.messages] != [message.role for message in made.messages]:
        return EMPTY
    if made.messages == source.messages and made.meta == source.meta:
        return NOTHING
    for before, after in zip(source.messages, made.messages, strict=True):
        if before.text != after.text and (found := _message_fault(before, after, keeps)):
            return found
    return None


def _message_fault(before: Message, after: Message, keeps: Callable[[Message, Message], bool]) -> str | None:
    if not _WORD.search(after.text):
        return EMPTY
    if numbers(before.text) != numbers(after.text):
        return NUMBERS
    return None if keeps(before, after) else ACTIONS


def numbers(text: str) -> list[str]:
    """Return the numbers written in digits, sorted."""
    return sorted(_NUMBER.findall(text))


def most_changed(source: Dialogue, made: Dialogue) -> tuple[str, str] | None:
    """Return the message, before and after, that keeps the fewest of its words; None where none differs.

    Likeness is asked of this one alone: it needs a model, and the others have changed less.
    """
    pairs = zip(source.messages, made.messages, strict=True)
    changed = [(before.text, after.text) for before, after in pairs if before.text != after.text]
    return min(changed, key=lambda pair: _shared(*pair)) if changed else None


def _shared(before: str, after: str) -> float:
    first, second = (set(_WORD.findall(text.lower())) for text in (before, after))
    return len(first & second) / max(1, len(first | second))


Shingles = frozenset[tuple[str, ...]]


def shingles(dialogue: Dialogue) -> Shingles:
    """Return the facts of the context and the pairs of neighbouring words of a dialogue."""
    found: set[tuple[str, ...]] = {("", str(fact), str(value)) for fact, value in dialogue.meta.items()}
    for message in dialogue.messages:
        words = ["", *_WORD.findall(message.text.lower()), ""]
        found.update(zip(words, words[1:], strict=False))
    return frozenset(found)


def is_repeat(candidate: Shingles, known: Iterable[Shingles], *, limit: float) -> bool:
    """Whether the resemblance (Jaccard; Broder 1997) to any known dialogue reaches `limit`."""
    size = len(candidate)
    for other in known:
        shared = len(candidate & other)
        if shared >= limit * (size + len(other) - shared):
            return True
    return False
