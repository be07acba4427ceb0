"""Other words for the same: synonyms by a fixed lexicon, and the noise of speaking.

Owns what happens inside the sentences of a user's message. Never touches a word that names a device, a
parameter, a value or a number.
"""

from __future__ import annotations

import re
from random import Random

from engine.domains.rewording import noisy
from engine.domains.smart_home.augment.grammar import sentences
from engine.domains.smart_home.augment.lexicon import PHRASES, SENTENCES
from engine.domains.smart_home.replies.lexicon import WORDS

_CHANCE = 0.6


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
    """Return a message as it may really arrive; no word that any device could mean is damaged."""
    return noisy(text, rng, free=lambda word: word not in WORDS)
