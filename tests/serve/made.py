"""Questions and answers made by hand, for tests that need no generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.core.questions import Answer, Question, Reply, Speaker, new_id
from engine.core.types import Message
from engine.results.variants import Variant

PLAIN: dict[str, Any] = {"adapters": [], "profile": False, "memories": 0}


def variant(name: str, recipe: dict[str, Any] | None = None) -> Variant:
    """A variant of that name; its id is made from it."""
    made = PLAIN if recipe is None else recipe
    return Variant(f"id-{name}", name, "prompt", made, 0, None, (), "run-1", "2026-01-01", True, name)


def question(*names: str, blind: bool = False, **more: Any) -> Question:
    """A question to those variants about a message in a dialogue."""
    history = (Message("user", "It is late."), Message("assistant", "Shall I dim the lights?"))
    speakers = tuple(Speaker(name, f"id-{name}", PLAIN, history) for name in names)
    fields = {"persona_id": "ana", "message": "Yes.", "meta": {"weather": "rainy"}, **more}
    return Question(new_id(), speakers=speakers, blind=blind, **fields)


def answered(asked: Question, *texts: str, scores: Sequence[float | None] = ()) -> Answer:
    """A finished answer with those replies, and their similarity where it is given."""
    given = list(scores) or [None] * len(texts)
    replies = tuple(
        Reply(
            text,
            tokens=3,
            prompt_tokens=9,
            first_token_seconds=0.1,
            seconds=0.3,
            finished=True,
            scores={} if value is None else {"embedding_similarity": value},
        )
        for text, value in zip(texts, given, strict=True)
    )
    return Answer(asked.question_id, "done", replies=replies)
