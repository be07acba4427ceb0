"""The words the action grammar knows: what each list of lexicon.yaml means. Owns their version, parses none.

Every phrase stands for one symbol, a pair (kind, value). The longest phrase wins, so "apple tv" is an input
source and "color temperature" is a color. A change to any list changes what replies score:
raise LEXICON_VERSION with it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from engine.domains.wordlists import read_words, split

LEXICON_VERSION = 4
_LISTS = read_words(__file__, "lexicon.yaml")

DEVICES = split(_LISTS["devices"])
OUTSIDE_DEVICES = frozenset(_LISTS["outside_words"])
OWNERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {parameter: split(devices) for parameter, devices in _LISTS["owners"].items()}
)
NUMERIC = frozenset(split(_LISTS["numeric"]))
MAIN_PARAMETER: Mapping[str, str] = MappingProxyType(_LISTS["main_parameter"])
MODE_OWNER: Mapping[str, str] = MappingProxyType(_LISTS["mode_owner"])
QUIET_PARAMETER_WORDS = frozenset(split(_LISTS["quiet_parameter_words"]))
MODALS = frozenset(split(_LISTS["modals"]))
PROMISES = frozenset(split(_LISTS["promises"]))
RAISING: tuple[str, ...] = split(_LISTS["raising"])
LOWERING: tuple[str, ...] = split(_LISTS["lowering"])
"""How words begin that say that a value goes up, and down."""
LEAVING = frozenset(split(_LISTS["leaving"]))
COMPARED: Mapping[str, tuple[int, str | None]] = MappingProxyType(
    {word: (1, parameter) for word, parameter in _LISTS["upwards"].items()}
    | {word: (-1, parameter) for word, parameter in _LISTS["downwards"].items()}
)
"""A word after a number -> which way the value changes, and the parameter where the word tells it."""
REPORTS = frozenset(split(_LISTS["reports"]))
QUESTION_OPENERS = frozenset(split(_LISTS["question_openers"]))
NUMBER_WORDS: Mapping[str, int] = MappingProxyType(
    {word: n for n, word in enumerate(split(_LISTS["ones"]))}
    | {word: 10 * n for n, word in enumerate(split(_LISTS["tens"]), start=2)}
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A word that may be the value of one of `parameters`.

    "strong" readings hold wherever they stand, "weak" ones need a parameter or a bound device beside them,
    a "preset" needs its parameter.
    """

    parameters: tuple[str, ...]
    value: str
    strength: Literal["strong", "weak", "preset"]


Meaning = tuple[str, Any]


def _entries() -> Iterator[tuple[str, Meaning]]:
    for kind, phrases in _LISTS["roles"].items():
        yield from ((phrase, (kind, None)) for phrase in split(phrases))
    for kind, table in (
        ("device", _LISTS["device_words"] | _LISTS["outside_words"]),
        ("param", _LISTS["parameter_words"]),
    ):
        for name, phrases in table.items():
            yield from ((phrase, (kind, name)) for phrase in split(phrases))
    for strength in ("strong", "weak"):
        for parameters, value, phrases in _LISTS[f"{strength}_values"]:
            reading = Reading(split(parameters, "|"), value, strength)
            yield from ((phrase, ("value", reading)) for phrase in split(phrases))
    for name in split(_LISTS["color_names"]):
        yield name, ("value", Reading(("color",), name, "weak"))
    for name in split(_LISTS["presets"]):
        yield name, ("value", Reading(("equalizer",), name, "preset"))
    yield from ((word, ("level", level)) for word, level in _LISTS["levels"].items())
    for kind in ("power", "arm"):
        for state, phrases in _LISTS[kind].items():
            yield from ((phrase, (kind, state)) for phrase in split(phrases))
    yield from (
        (word, (kind, None))
        for word, kind in (("on", "on"), ("lit", "on"), ("active", "on"), ("off", "off"), ("fan", "fan"))
    )


def _build() -> tuple[dict[str, Meaning], dict[str, tuple[tuple[tuple[str, ...], Meaning], ...]]]:
    words: dict[str, Meaning] = {}
    phrases: dict[str, list[tuple[tuple[str, ...], Meaning]]] = {}
    for phrase, meaning in _entries():
        parts = tuple(phrase.split())
        if len(parts) == 1:
            if phrase in words:
                raise ValueError(f"{phrase!r} has two meanings: {words[phrase]} and {meaning}")
            words[phrase] = meaning
        else:
            phrases.setdefault(parts[0], []).append((parts, meaning))
    longest_first = {
        first: tuple(sorted(options, key=lambda option: -len(option[0])))
        for first, options in phrases.items()
    }
    return words, longest_first


# WORDS: one word -> its meaning. PHRASES: first word -> (all words, meaning), longest first.
WORDS, PHRASES = _build()
