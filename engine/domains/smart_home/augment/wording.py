"""Other words for the same: synonyms by a fixed lexicon, and the noise of speaking.

Owns what happens inside the sentences of a user's message. Never touches a word that names a device, a
parameter, a value or a number.
"""

from __future__ import annotations

import re
from random import Random

from engine.domains.smart_home.augment.grammar import sentences
from engine.domains.smart_home.augment.lexicon import FILLERS, PHRASES, SENTENCES
from engine.domains.smart_home.replies.lexicon import WORDS

_CHANCE = 0.6
_PART = re.compile(r"[a-z]{6,}")


def _others(sets: tuple[tuple[str, ...], ...]) -> dict[str, tuple[str, ...]]:
    """Map each phrase, in small letters, to those it may be exchanged for."""
    found: dict[str, dict[str, None]] = {}
    for phrases in sets:
        for phrase in phrases:
            others = dict.fromkeys(other for other in phrases if other != phrase)
            found.setdefault(phrase.lower(), {}).update(others)
    return {phrase: tuple(others) for phrase, others in found.items()}


_BY_PHRASE, _BY_SENTENCE = _others(PHRASES), _others(SENTENCES)
_ANY = re.compile(
    rf"(?<![\w'])(?:{'|'.join(re.escape(phrase) for phrase in sorted(_BY_PHRASE, key=len, reverse=True))})"
    r"(?![\w'])",
    re.IGNORECASE,
)


def synonyms(text: str, rng: Random) -> str:
    """Return a message with some of its phrases and whole sentences exchanged for others of their set."""

    def exchanged(match: re.Match[str]) -> str:
        found = match.group()
        if rng.random() > _CHANCE:
            return found
        other = rng.choice(_BY_PHRASE[found.lower()])
        return other[:1].upper() + other[1:] if found[:1].isupper() and found[1:].islower() else other

    spoken = []
    for sentence in sentences(text):
        whole = _BY_SENTENCE.get(sentence.lower())
        if whole and rng.random() < _CHANCE:
            spoken.append(rng.choice(whole))
        else:
            changed = _ANY.sub(exchanged, sentence)
            spoken.append(changed[:1].upper() + changed[1:] if sentence[:1].isupper() else changed)
    return " ".join(spoken)


def spoken_noise(text: str, rng: Random) -> str:
    """Return a message as it may really arrive: a filler, a slip of the keys, a word twice, no full stop."""
    kind = rng.choice(("filler", "typo", "twice", "plain"))
    if kind == "filler":
        return f"{rng.choice(FILLERS)} {_lower_start(text)}"
    if kind == "plain":
        return _lower_start(text).rstrip(".!")
    words = text.split(" ")
    free = [place for place, word in enumerate(words) if _is_free(word)]
    if not free:
        return f"{rng.choice(FILLERS)} {_lower_start(text)}"
    place = rng.choice(free)
    words[place] = f"{words[place]} {words[place]}" if kind == "twice" else _slipped(words[place], rng)
    return " ".join(words)


def _is_free(word: str) -> bool:
    """Whether a word may be damaged: plain small letters, and nothing that any device could mean."""
    return _PART.fullmatch(word) is not None and word not in WORDS


def _slipped(word: str, rng: Random) -> str:
    place = rng.randrange(1, len(word) - 2)
    return f"{word[:place]}{word[place + 1]}{word[place]}{word[place + 2 :]}"


def _lower_start(text: str) -> str:
    return text if text[:2] in ("I ", "I'") or text[1:2].isupper() else text[:1].lower() + text[1:]
