"""Which blind pairs have something to choose: where two variants were heard to say different things.

Tells it from the replies that runs have left; a message that two were never heard on
may be drawn as well.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.results.variants import Variant
from pages.shared import reads

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Heard:
    """Pairs of variants, by message: `differing` holds those that differ, of `pairs` heard together."""

    differing: Mapping[str, Sequence[Pair]]
    pairs: int
    messages: int

    @property
    def same(self) -> float | None:
        """The share of pairs that said the same, None where none was heard."""
        return 1 - sum(map(len, self.differing.values())) / self.pairs if self.pairs else None

    def draw(self, example_id: str | None = None) -> tuple[str, Pair] | None:
        """Return a message (this one, where named) with two that differ on it, or None, at random."""
        known = [name for name in self.differing if example_id in (None, name)]
        if not known:
            return None
        name = random.choice(known)
        return name, random.choice(self.differing[name])


def heard(ws: Workspace, variants: Sequence[Variant]) -> Heard:
    """Return where those variants were heard to differ, on the test messages that they are scored on."""
    names = [one.variant for one in variants]
    differing: dict[str, list[Pair]] = {}
    pairs = messages = 0
    for example_id, said in _replies(ws).items():
        together = list(combinations([name for name in names if name in said], 2))
        pairs, messages = pairs + len(together), messages + bool(together)
        if found := [(a, b) for a, b in together if said[a] != said[b]]:
            differing[example_id] = found
    return Heard(differing, pairs, messages)


@reads.shared
def _replies(ws: Workspace) -> dict[str, dict[str, int]]:
    """What each variant said to each test message, as a number for each distinct text."""
    try:
        rows = reads.example_rows(ws, split="test")
    except EngineError:  # nothing is scored yet
        return {}
    found: dict[str, dict[str, int]] = {}
    numbers: dict[str, int] = {}
    for example_id, name, text in zip(rows["example_id"], rows["variant"], rows["reply"], strict=True):
        found.setdefault(example_id, {})[name] = numbers.setdefault(str(text), len(numbers))
    return found
