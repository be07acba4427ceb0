"""Changing the user's messages of a dialogue and nothing else: what methods of any domain are made of."""

import re
from collections.abc import Callable
from dataclasses import replace
from random import Random

from engine.core.types import Dialogue, Message

FILLERS = ("Um,", "Uh,", "Well,", "So,", "Hmm,", "Okay,")
"""What slips in when people speak."""

_PART = re.compile(r"[a-z]{6,}")


def reworded(
    dialogue: Dialogue, rng: Random, change: Callable[[str, Random], str], *, share: float
) -> Dialogue | None:
    """Return the dialogue with the user's messages changed, each with chance `share`; None when none did."""

    def said(message: Message) -> Message:
        chosen = message.role == "user" and rng.random() < share
        return replace(message, text=change(message.text, rng)) if chosen else message

    messages = tuple(said(message) for message in dialogue.messages)
    return replace(dialogue, messages=messages) if messages != dialogue.messages else None


def spoken(dialogue: Dialogue, rng: Random) -> Dialogue | None:
    """Return the dialogue as it may be spoken: a filler before, or without the last full stop."""
    return reworded(
        dialogue, rng, lambda text, chance: noisy(text, chance, free=lambda word: False), share=0.6
    )


def noisy(text: str, rng: Random, *, free: Callable[[str], bool]) -> str:
    """Return a message as it may really arrive: a filler, a slip of the keys, a word twice, no full stop.

    Only words that are `free` are damaged: plain small letters that mean nothing that counts.
    """
    kind = rng.choice(("filler", "typo", "twice", "plain"))
    if kind == "filler":
        return _filled(text, rng)
    if kind == "plain":
        return _lower_start(text).rstrip(".!")
    words = text.split(" ")
    places = [place for place, word in enumerate(words) if _PART.fullmatch(word) and free(word)]
    if not places:
        return _filled(text, rng)
    place = rng.choice(places)
    words[place] = f"{words[place]} {words[place]}" if kind == "twice" else _slipped(words[place], rng)
    return " ".join(words)


def _filled(text: str, rng: Random) -> str:
    return f"{rng.choice(FILLERS)} {_lower_start(text)}"


def _slipped(word: str, rng: Random) -> str:
    place = rng.randrange(1, len(word) - 2)
    return f"{word[:place]}{word[place + 1]}{word[place]}{word[place + 2 :]}"


def _lower_start(text: str) -> str:
    return text if text[:2] in ("I ", "I'") or text[1:2].isupper() else text[:1].lower() + text[1:]
