"""The sentences of a request: their opener, the values they give, their order, and other words for the same.

Owns paraphrase by grammar of what a user says, synonyms by a fixed lexicon and the noise of speaking (they
never touch a word that names a device, a parameter, a value or a number), and `as_order`: a message read as
plain orders, so that "Could you set it to 40?" and "Set it to 40." are seen to do the same.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from engine.domains.rewording import noisy
from engine.domains.smart_home.augment.lexicon import (
    ALSO_ASKING,
    ALSO_GIVING,
    ALSO_TELLING,
    ASKING,
    GIVING,
    LINKS,
    LOWERED,
    PHRASES,
    SENTENCES,
    STATE_QUESTIONS,
    TELLING,
    VERBS,
)
from engine.domains.smart_home.replies.lexicon import WORDS

_CHANCE = 0.8
_BREAK = re.compile(r"(?<=[.!?])\s+(?=\S)")
_LEANS_BACK = re.compile(r"\b(it|its|that|this|them|they|then|there|instead|too|without)\b", re.IGNORECASE)


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, each with its mark."""
    return [part for part in _BREAK.split(text.strip()) if part]


@dataclass(frozen=True, slots=True)
class Request:
    """One sentence that asks for something: "Also, could you | dim the lights | ?"."""

    link: str
    opener: str
    rest: str


def read_request(sentence: str) -> Request | None:
    """Return the parts of a sentence that asks for something; None for any other."""
    found = _REQUEST.match(sentence)
    if found is None:
        return None
    opener, rest = (found["opener"] or "").strip(), found["rest"].strip()
    word = rest.split()[0].lower() if rest else ""
    if word not in VERBS or (not opener and not found["link"] and not rest[0].isupper()):
        return None
    return Request(found["link"] or "", opener, _lower_start(rest))


def read_given(sentence: str) -> str | None:
    """Return the values that a sentence gives ("Make it 22 degrees." -> "22 degrees"); None for any other."""
    for pattern in _GIVEN:
        found = pattern.match(sentence)
        if found is not None and re.search(r"\d", found["s"]) and not _NO_VALUE.match(found["s"]):
            request = read_request(found["s"])
            if request is not None and request.opener:
                return None  # "Could you set it to 40, please?" asks, with a value
            return _value_start(found["s"].strip())
    bare = sentence.rstrip(".!")
    starts_so = bool(bare) and (bare[0].isdigit() or bare.split()[0].lower() in LOWERED)
    return _value_start(bare) if starts_so and re.search(r"\d", bare) and "?" not in sentence else None


@lru_cache(maxsize=65_536)
def as_order(text: str) -> str:
    """Return a user's message as plain orders: no polite question, no "how about"."""
    return " ".join(_as_order(sentence) for sentence in sentences(text))


def _as_order(sentence: str) -> str:
    given = read_given(sentence)
    if given is not None:
        return f"Set it to {given}."
    request = read_request(sentence)
    if request is not None:
        return f"{_upper_start(request.rest)}."
    return re.sub(r"\?+$", ".", sentence)


def paraphrase(text: str, rng: Random) -> str:
    """Return a message with other openers, other ways to give values and, at times, its reason first."""
    spoken = [
        _reworded(part, rng, first=place == 0) if rng.random() < _CHANCE else part
        for place, part in enumerate(sentences(text))
    ]
    if len(spoken) > 1 and rng.random() < 0.5:
        spoken = _reason_first(spoken)
    return " ".join(spoken)


def _reworded(sentence: str, rng: Random, *, first: bool) -> str:
    given = read_given(sentence)
    if given is not None:
        return rng.choice(GIVING).format(s=given, S=_upper_start(given))
    state = _STATE.match(sentence)
    if state is not None:
        return rng.choice(STATE_QUESTIONS).format(p=state["p"], d=state["d"])
    request = read_request(sentence)
    if request is None:
        return sentence
    opener = rng.choice((*ASKING, *TELLING))
    link = request.link
    if first and link:
        link = rng.choice(("", *LINKS))
    words = f"{opener} {request.rest}".strip()
    words = f"{link} {_lower_start(words)}" if link else _upper_start(words)
    return f"{words}{'?' if opener in ASKING else '.'}"


def _reason_first(spoken: Sequence[str]) -> list[str]:
    """Put a last sentence that stands alone before the request it follows."""
    *before, request, reason = spoken
    linked = read_request(request)
    movable = linked is not None and not linked.link and read_request(reason) is None
    if not movable or read_given(reason) is not None or "?" in reason or _LEANS_BACK.search(reason):
        return list(spoken)
    return [*before, reason, request]


def _any_of(phrases: Sequence[str]) -> str:
    longest_first = sorted((phrase for phrase in phrases if phrase), key=len, reverse=True)
    return "|".join(re.escape(phrase) for phrase in longest_first)


def _given(pattern: str) -> re.Pattern[str]:
    words = re.escape(pattern.rstrip(".?!")).replace(r"\{s\}", "(?P<s>.+?)").replace(r"\{S\}", "(?P<s>.+?)")
    return re.compile(rf"(?:(?:{_any_of(LINKS)}) )?{words}[.?!]*$", re.IGNORECASE)


_REQUEST = re.compile(
    rf"(?:(?P<link>{_any_of(LINKS)}) )?"
    rf"(?P<opener>(?:{_any_of((*ASKING, *TELLING, *ALSO_ASKING, *ALSO_TELLING))}) )?(?P<rest>\S.*?)[.?!]*$",
    re.IGNORECASE,
)
# The longest pattern first: "Please set it to {s}." before "{S}, please.".
_GIVEN = tuple(_given(pattern) for pattern in sorted((*GIVING, *ALSO_GIVING), key=len, reverse=True))
# "I'd like you to ..." gives no value; "with alarm volume 50" cannot stand behind every opener.
_NO_VALUE = re.compile(r"(?:you|with|at)\b", re.IGNORECASE)
_STATE = re.compile(
    r"(?:what(?:'s| is) the (?:current )?|remind me, what did i set as the |(?:can you )?tell me the )"
    r"(?P<p>[a-z ]+?) of (?P<d>the [a-z ]+?)(?: right now)?[.?]$",
    re.IGNORECASE,
)


def _upper_start(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower_start(text: str) -> str:
    """Return the text with a small letter first; "I" and names in capitals keep theirs."""
    first = text.split(" ", 1)[0]
    keeps = first in ("I", "I'd", "I'm", "I've") or first[1:].lower() != first[1:]
    return text if keeps else text[:1].lower() + text[1:]


def _value_start(values: str) -> str:
    first = values.split(" ", 1)[0].rstrip(",:")
    return values[:1].lower() + values[1:] if first.lower() in LOWERED else values


_EXCHANGED = 0.6


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
        if rng.random() > _EXCHANGED:
            return found
        other = rng.choice(_BY_PHRASE[found.lower()])
        return other[:1].upper() + other[1:] if found[:1].isupper() and found[1:].islower() else other

    spoken = []
    for sentence in sentences(text):
        whole = _BY_SENTENCE.get(sentence.lower())
        if whole and rng.random() < _EXCHANGED:
            spoken.append(rng.choice(whole))
        else:
            changed = _ANY.sub(exchanged, sentence)
            spoken.append(changed[:1].upper() + changed[1:] if sentence[:1].isupper() else changed)
    return " ".join(spoken)


def spoken_noise(text: str, rng: Random) -> str:
    """Return a message as it may really arrive; no word that any device could mean is damaged."""
    return noisy(text, rng, free=lambda word: word not in WORDS)
