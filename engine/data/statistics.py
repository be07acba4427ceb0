"""Numbers that describe a set of dialogues: how much, how long, about what.

Owns the one definition of them, used for a dataset's card and for holding synthetic text against real
text. What replies act on is read by the domain's judge.
"""

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from engine.core.scripts import apart
from engine.core.types import Dataset, Dialogue, Message
from engine.domains.domain import Domain

WORD = re.compile(r"\w+(?:['\u2019]\w+)*")
_TENS = "ten|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred"
NUMBER = re.compile(rf"\d|\b(?:{_TENS})\b", re.IGNORECASE)


def text_statistics(dialogues: Sequence[Dialogue]) -> dict[str, Any]:
    """Return what `dialogues` look like: counts, lengths in words and messages, shares (0 to 1).

    Lengths are {"mean", "p10", "p50", "p90"}, None where there is nothing to measure. A reply is any
    assistant message.
    """
    messages = [message for dialogue in dialogues for message in dialogue.messages]
    words = [[word.lower() for word in WORD.findall(apart(message.text))] for message in messages]
    replies = [message.text for message in messages if message.role == "assistant"]
    vocabulary = Counter(word for found in words for word in found)
    return {
        "dialogues": len(dialogues),
        "messages": len(messages),
        "assistant_turns": len(replies),
        "words": vocabulary.total(),
        "vocabulary": len(vocabulary),
        "vocabulary_used_once": sum(count == 1 for count in vocabulary.values()),
        "turns": _lengths(len(dialogue.messages) for dialogue in dialogues),
        "message_words": _lengths(map(len, words)),
        "user_words": _lengths(_words_of("user", messages, words)),
        "reply_words": _lengths(_words_of("assistant", messages, words)),
        "share_replies_with_number": _share(NUMBER.search(text) is not None for text in replies),
        "share_replies_with_question": _share("?" in text for text in replies),
    }


def dataset_statistics(dataset: Dataset) -> dict[str, Any]:
    """Return the statistics of a dataset's card: text_statistics, and what is known beside the text."""
    per_persona = Counter(dialogue.persona_id for dialogue in dataset.dialogues)
    return {
        **text_statistics(dataset.dialogues),
        "dialogues_per_persona": _lengths(per_persona.values()),
        "personas_with_character": sum(persona.character is not None for persona in dataset.personas),
        "personas_with_routines": sum(bool(persona.routines) for persona in dataset.personas),
        "dialogues_with_meta": sum(bool(dialogue.meta) for dialogue in dataset.dialogues),
        "meta_coverage": meta_coverage(dataset.dialogues),
    }


def meta_coverage(dialogues: Sequence[Dialogue]) -> dict[str, float]:
    """Return key -> share of dialogues whose meta holds a value for it."""
    held = Counter(
        key for dialogue in dialogues for key, value in dialogue.meta.items() if value not in (None, "")
    )
    return {key: count / len(dialogues) for key, count in sorted(held.items())}


def subject_shares(dialogues: Iterable[Dialogue], domain: Domain) -> dict[str, float]:
    """Return subject -> share of the replies that act on it or name it, the most frequent first.

    {} where the domain cannot tell what a reply does, or there is none.
    """
    if not domain.judges:
        return {}
    replies = Counter(
        one.text for dialogue in dialogues for one in dialogue.messages if one.role == "assistant"
    )
    found = Counter[str]()
    for text, times in replies.items():  # many replies are word for word the same
        for subject in domain.subjects(text):
            found[subject] += times
    return {name: number / replies.total() for name, number in found.most_common()}


def _words_of(role: str, messages: Sequence[Message], words: Sequence[Sequence[str]]) -> list[int]:
    return [len(found) for message, found in zip(messages, words, strict=True) if message.role == role]


def _lengths(values: Iterable[int]) -> dict[str, float] | None:
    found = list(values)
    if not found:
        return None
    if len(found) == 1:
        found = found * 2
    tenths = statistics.quantiles(found, n=10, method="inclusive")
    mean = sum(found) / len(found)
    return {"mean": round(mean, 3), "p10": tenths[0], "p50": tenths[4], "p90": tenths[8]}


def _share(holds: Iterable[bool]) -> float | None:
    found = list(holds)
    return sum(found) / len(found) if found else None
