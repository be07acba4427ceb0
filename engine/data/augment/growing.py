"""Grows one persona's training dialogues to a number, round by round, through every guard.

Owns the order in which candidates are made and judged; the same sources, settings and seed give the same
dialogues. Owns the refusals that need no model, too: `fault` compares message by message (the numbers must
be the same, and what else must be is the domain's to say), `is_repeat` tells what is too much alike.
Knows nothing of val and test: it is handed train dialogues only (`training_sources`).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from engine.core.types import Dataset, Dialogue, Message, Splits
from engine.data.augment.records import (
    ACTIONS,
    DUPLICATE,
    EMPTY,
    FAR,
    NOTHING,
    NUMBERS,
    Attempt,
    Augmented,
    Grown,
    Nearness,
)
from engine.domains.domain import Method
from engine.domains.numbers import NUMBER, value_of

Keeps = Callable[[Message, Message], bool]

THRESHOLD, RESEMBLANCE = 0.7, 0.95
TAKEN = "taken"
_MOST_ROUNDS, _BARREN_ROUNDS, _SHOWN_OF_A_REASON = 60, 8, 3


@dataclass(frozen=True, slots=True)
class Growing:
    """How far dialogues grow and how they are judged.

    A persona gets `target` dialogues, her own included, or `multiple` times what she has where that is given.
    `threshold` is the least likeness (cosine) of the most changed message to its source; `resemblance` the
    share of common word pairs (Jaccard) from which two dialogues are near-duplicates.
    """

    target: int = 100
    multiple: float | None = None
    threshold: float = THRESHOLD
    resemblance: float = RESEMBLANCE
    seed: int = 0

    def wanted(self, sources: int) -> int:
        """Return how many dialogues to make beside `sources` that are there."""
        total = self.target if self.multiple is None else round(self.multiple * sources)
        return max(0, total - sources)


def training_sources(dataset: Dataset, splits: Splits) -> dict[str, list[Dialogue]]:
    """Return persona_id -> train dialogues, for personas that have any: the one door for text to come in."""
    found: dict[str, list[Dialogue]] = {}
    for dialogue in dataset.dialogues:
        if splits.assignment.get(dialogue.dialogue_id) == "train":
            found.setdefault(dialogue.persona_id, []).append(dialogue)
    return found


def grow(
    sources: Sequence[Dialogue],
    methods: Mapping[str, Method],
    growing: Growing,
    *,
    keeps: Keeps,
    nearness: Nearness | None = None,
) -> Grown:
    """Return the dialogues made from one persona's train dialogues, with counts and refusals.

    `keeps` is the domain's word on whether a message still does the same.

    Every round makes one candidate of each source, by the methods in turn. It ends when enough are made, or
    when some rounds in a row gave nothing. Without `nearness` likeness is not judged.
    """
    grown = Grown(growing.wanted(len(sources)))
    known = [shingles(dialogue) for dialogue in sources]
    barren = 0
    for number in range(_MOST_ROUNDS * len(methods)):
        if len(grown.made) >= grown.wanted or barren >= max(_BARREN_ROUNDS, 2 * len(methods)):
            break
        before = len(grown.made)
        _judge(_round(sources, methods, growing, number, grown, keeps), known, growing, nearness, grown)
        barren = 0 if len(grown.made) > before else barren + 1
    return grown


def _round(
    sources: Sequence[Dialogue],
    methods: Mapping[str, Method],
    growing: Growing,
    number: int,
    grown: Grown,
    keeps: Keeps,
) -> list[Attempt]:
    """Make one candidate of each source, in an order of the round's own."""
    names = list(methods)
    order = list(range(len(sources)))
    Random(f"augment/{growing.seed}/{sources[0].persona_id}/{number}").shuffle(order)
    found = []
    for place in order:
        source, name = sources[place], names[(place + number) % len(names)]
        made = methods[name](source, Random(f"augment/{growing.seed}/{source.dialogue_id}/{name}/{number}"))
        why = NOTHING if made is None else fault(source, made, keeps)
        if made is not None and why is None:
            found.append(Attempt(source, made, name))
        elif why is not None:
            _refuse(grown, Attempt(source, made or source, name, why))
    return found


def _judge(
    candidates: Sequence[Attempt],
    known: "list[Shingles]",
    growing: Growing,
    nearness: Nearness | None,
    grown: Grown,
) -> None:
    """Take the candidates that repeat nothing and stay near their source, as long as some are wanted.

    Likeness needs a model, so it is asked of no more candidates than are wanted.
    """
    queue = list(candidates)
    while queue and len(grown.made) < grown.wanted:
        batch: list[Attempt] = []
        marks: list[Shingles] = []
        while queue and len(grown.made) + len(batch) < grown.wanted:
            one = queue.pop(0)
            mark = shingles(one.dialogue)
            if is_repeat(mark, (*known, *marks), limit=growing.resemblance):
                _refuse(grown, replace(one, reason=DUPLICATE))
            else:
                batch.append(one)
                marks.append(mark)
        for one, mark, near in zip(batch, marks, _nearness(batch, nearness), strict=True):
            if near is not None and near < growing.threshold:
                _refuse(grown, replace(one, reason=FAR, nearness=near))
                continue
            known.append(mark)
            named = replace(one.dialogue, dialogue_id=f"{one.source.dialogue_id}~{len(grown.made):04d}")
            grown.made.append(Augmented(named, one.source.dialogue_id, one.method, near))
            grown.counts[one.method, TAKEN] += 1


def _nearness(batch: Sequence[Attempt], nearness: Nearness | None) -> list[float | None]:
    """Return the likeness of each candidate's most changed message; 1 where only the context changed."""
    if nearness is None:
        return [None] * len(batch)
    pairs = [most_changed(one.source, one.dialogue) for one in batch]
    found = iter(nearness([pair for pair in pairs if pair is not None]))
    return [1.0 if pair is None else float(next(found)) for pair in pairs]


def _refuse(grown: Grown, refused: Attempt) -> None:
    grown.counts[refused.method, refused.reason] += 1
    shown = sum(1 for one in grown.refused if one.reason == refused.reason)
    if refused.reason != NOTHING and shown < _SHOWN_OF_A_REASON:
        grown.refused.append(refused)


_NUMBER = re.compile(rf"[0-9]+(?::[0-9]+)+|{NUMBER}")
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
    """Return the numbers written in digits, and times of day, sorted; -5 is not 5, and 21,5 is 21.5."""
    found = _NUMBER.findall(text.lower())
    return sorted(one if ":" in one else f"{value_of(one):g}" for one in found)


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
