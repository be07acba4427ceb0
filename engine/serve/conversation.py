"""Conversations: who is asked, in which order, and how one goes on. Owns threads; asks nobody.

Every variant has its own thread: it sees its own earlier replies, never another's. A conversation is a chain
of questions, each naming the one it follows, so the last one's id is enough to show all of it.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.questions import MOST_SPEAKERS, Answer, Question, Speaker, new_id, refuse_empty
from engine.core.types import Example, Message
from engine.data.dataset import hash_of
from engine.lm.effects import answers
from engine.results.variants import Variant
from engine.runs.runfolder import now
from engine.serve.folder import find_question


@dataclass(frozen=True, slots=True)
class Manner:
    """How replies are made: how long they may be, and whether words are drawn. Raises EngineError."""

    max_new_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 2:
            raise EngineError(f"The temperature is {self.temperature}.", "Give 0 (the likeliest words) to 2.")
        if not 0 < self.top_p <= 1:
            raise EngineError(f"top-p is {self.top_p}.", "Give a share above 0, up to 1.")

    @classmethod
    def of(cls, question: Question) -> "Manner":
        """Return the manner in which a question was asked."""
        return cls(**{one.name: getattr(question, one.name) for one in fields(cls)})


def can_answer(variant: Variant) -> bool:
    """Say whether a variant is a model's answer: not a ceiling, nor scores that were only published."""
    return answers(variant.recipe) and not variant.is_bound


def default_cast(variants: Sequence[Variant], ranked: Sequence[str]) -> list[str]:
    """Return the two variants to begin with: unified (else base, else the first) and the best other.

    `ranked` names variants, best on val first. Fewer when there are fewer.
    """
    able = [one.variant for one in variants if can_answer(one)]
    first = next((name for name in ("unified", "base") if name in able), able[0] if able else None)
    others = [name for name in (*ranked, *reversed(able)) if name in able and name != first]
    return [name for name in (first, next(iter(others), None)) if name is not None]


def open_question(
    persona_id: str,
    message: str,
    variants: Sequence[Variant],
    *,
    meta: Mapping[str, Any],
    example: Example | None = None,
    blind: bool = False,
    manner: Manner | None = None,
) -> Question:
    """Return the first question of a conversation; with an example, of hers, in its place of the dialogue.

    In blind mode two of the variants answer, drawn and ordered by the question's id. Raises EngineError
    without a message, and for too few or too many variants.
    """
    refuse_empty(message)
    if not variants or (not blind and len(variants) > MOST_SPEAKERS):
        raise EngineError(
            f"{len(variants)} variants are chosen.", f"Choose one to {MOST_SPEAKERS}, better two."
        )
    if blind and len(variants) < 2:
        raise EngineError("A blind vote needs two variants.", "Choose two, or more to draw two from.")
    question_id = new_id()
    history = example.context[:-1] if example else ()
    chosen = drawn(variants, question_id) if blind else list(variants)
    return Question(
        question_id,
        persona_id,
        message,
        tuple(Speaker(one.variant, one.variant_id, dict(one.recipe), history) for one in chosen),
        dict(meta),
        example_id=example.example_id if example else None,
        reference=example.reference if example else None,
        blind=blind,
        asked_at=now(),
        **asdict(manner or Manner()),
    )


def again(question: Question) -> Question:
    """Return the same question to be answered anew: by the next seed, so that draws fall otherwise."""
    return replace(
        question, question_id=new_id(), seed=question.seed + 1, asked_at=now(), attempts=1, consent=""
    )


def drawn(variants: Sequence[Variant], seed: str) -> list[Variant]:
    """Return two of the variants in an order that only the seed decides."""
    ordered = sorted(variants, key=lambda one: one.variant_id)
    return random.Random(hash_of(f"blind/{seed}")).sample(ordered, 2)


def next_question(last: Question, answer: Answer, message: str) -> Question:
    """Return the question that goes on from an answered one: same persona, variants and circumstances.

    A variant that said nothing to the last message does not see that message either.
    """
    refuse_empty(message)
    speakers = []
    for place, speaker in enumerate(last.speakers):
        said = answer.replies[place].text if place < len(answer.replies) else ""
        exchange = (Message("user", last.message), Message("assistant", said)) if said else ()
        thread = (*speaker.history, *exchange)
        speakers.append(Speaker(speaker.variant, speaker.variant_id, dict(speaker.recipe), thread))
    return Question(
        new_id(),
        last.persona_id,
        message,
        tuple(speakers),
        dict(last.meta),
        follows=last.question_id,
        blind=last.blind,
        asked_at=now(),
        **asdict(Manner.of(last)),
    )


def conversation(ws: Workspace, question_id: str) -> list[Question]:
    """Return the questions of a conversation up to this one, first to last.

    Raises EngineError when the last is unknown; where an earlier one is gone, it begins after that.
    """
    found = [find_question(ws, question_id)]
    seen = {question_id}
    while (before := found[-1].follows) and before not in seen:
        seen.add(before)
        try:
            found.append(find_question(ws, before))
        except EngineError:
            break
    return found[::-1]


_MOST_CHOICES = 24


def choices(metas: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return what each circumstance can be, by name, in the order of first sight; numbers in their order.

    A circumstance with more than 24 values has none listed: it is written freely.
    """
    found: dict[str, dict[Any, None]] = {}
    for meta in metas:
        for name, value in meta.items():
            if isinstance(value, str | int | float | bool):
                found.setdefault(name, {}).setdefault(value)
    return {name: _in_order(list(values)) for name, values in found.items()}


def _in_order(values: list[Any]) -> list[Any]:
    if len(values) > _MOST_CHOICES:
        return []
    return sorted(values) if all(isinstance(value, int | float) for value in values) else values
