"""Dialogues that stand in two places: word for word, and nearly so.

Owns what is alike: the share of common word triples (Jaccard) of two dialogues' texts, from NEAR on. Pairs
are found by their rarest triples (prefix filtering, Chaudhuri et al. 2006): nothing is missed, few are
compared.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.core.scripts import apart
from engine.core.types import Dialogue

NEAR = 0.8
_LENGTH = 3
_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Pair:
    """A dialogue, the one that it repeats, and how much of their texts is common: 1 for word for word."""

    dialogue_id: str
    repeats: str
    likeness: float


def repeated(dialogues: Iterable[Dialogue], among: Sequence[Dialogue]) -> list[Pair]:
    """Return the dialogues that stand `among` others too, each with the one that is most alike."""
    others = {row.dialogue_id: _shingles(row) for row in among}
    asked = {row.dialogue_id: _shingles(row) for row in dialogues}
    found = Counter(one for shingles in (*others.values(), *asked.values()) for one in shingles)
    places = _index(others, found)
    pairs = []
    for dialogue_id, shingles in asked.items():
        best = max(_alike(shingles, others, places, found), key=lambda pair: pair[1], default=None)
        if best is not None:
            pairs.append(Pair(dialogue_id, *best))
    return pairs


def _alike(
    shingles: frozenset[str],
    others: Mapping[str, frozenset[str]],
    places: Mapping[str, Sequence[str]],
    found: Mapping[str, int],
) -> Iterator[tuple[str, float]]:
    seen = dict.fromkeys(name for one in _rarest(shingles, found) for name in places.get(one, ()))
    for name in seen:
        other = others[name]
        if min(len(other), len(shingles)) >= NEAR * max(len(other), len(shingles)):
            common = len(shingles & other)
            likeness = common / (len(shingles) + len(other) - common)
            if likeness >= NEAR:
                yield name, likeness


def _index(others: Mapping[str, frozenset[str]], found: Mapping[str, int]) -> Mapping[str, Sequence[str]]:
    places: dict[str, list[str]] = defaultdict(list)
    for name, shingles in others.items():
        for one in _rarest(shingles, found):
            places[one].append(name)
    return places


def _rarest(shingles: frozenset[str], found: Mapping[str, int]) -> list[str]:
    """Two sets that are alike share one of these: all but as many as they must have in common."""
    kept = len(shingles) - math.ceil(NEAR * len(shingles)) + 1
    return sorted(shingles, key=lambda one: (found[one], one))[:kept] if shingles else []


def _shingles(dialogue: Dialogue) -> frozenset[str]:
    words = [
        word for message in dialogue.messages for word in (*_TOKEN.findall(apart(message.text.lower())), "\n")
    ]
    last = max(1, len(words) - _LENGTH + 1)
    return frozenset(" ".join(words[place : place + _LENGTH]) for place in range(last))
