"""What is asked and what is answered in the playground. Owns the records and their JSON; sends nothing."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from engine.core.errors import EngineError
from engine.core.types import Message

Progress = Literal["waiting", "loading", "answering", "scoring", "done", "cancelled", "failed"]
ENDED: frozenset[str] = frozenset({"done", "cancelled", "failed"})
MOST_SPEAKERS = 4
_ID_BYTES = 6


@dataclass(frozen=True, slots=True)
class Speaker:
    """One variant that answers, and its own thread: what was said before this message, its replies too."""

    variant: str
    variant_id: str
    recipe: Mapping[str, Any]
    history: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """One message to two to four variants (or one). `follows` names the question it goes on from.

    `reference` is the right reply where the message is an example's. `blind` hides who is who until a vote;
    the speakers' order is already the one that is shown. `attempts` counts how often it was given to a
    generator: more than once only when one has died over it. `consent` says that it was asked here
    (engine/core/consent.py). With a `temperature` above 0 replies are drawn, from the likeliest words that
    make up `top_p`, by `seed`; at 0 they are the likeliest words.
    """

    question_id: str
    persona_id: str
    message: str
    speakers: tuple[Speaker, ...]
    meta: Mapping[str, Any] = field(default_factory=dict)
    example_id: str | None = None
    reference: str | None = None
    follows: str | None = None
    blind: bool = False
    max_new_tokens: int = 64
    asked_at: str = ""
    attempts: int = 1
    consent: str = ""
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """One variant's reply, as far as it is. Times are in seconds since its question's turn came.

    `scores` maps metrics to values (None where undefined) and is empty without a reference; `lineage` is what
    engine/serve/lineage.py tells. What a reply does is read from its text by whoever shows it.
    """

    text: str = ""
    tokens: int = 0
    prompt_tokens: int = 0
    first_token_seconds: float | None = None
    seconds: float = 0.0
    finished: bool = False
    scores: Mapping[str, float | None] = field(default_factory=dict)
    lineage: Mapping[str, Any] | None = None
    error: str | None = None
    hint: str | None = None

    @property
    def tokens_per_second(self) -> float | None:
        """The speed after the first token; None before there are two tokens."""
        if self.first_token_seconds is None or self.tokens < 2:
            return None
        after = self.seconds - self.first_token_seconds
        return (self.tokens - 1) / after if after > 0 else None


@dataclass(frozen=True, slots=True)
class Answer:
    """How far a question is. `version` grows with every change; `ahead` counts questions before this one.

    `restarted` says that a generator died over it and another began it anew.
    """

    question_id: str
    state: Progress = "waiting"
    version: int = 0
    ahead: int = 0
    replies: tuple[Reply, ...] = ()
    restarted: bool = False
    error: str | None = None
    hint: str | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED


def new_id() -> str:
    """Return a fresh question id."""
    return secrets.token_hex(_ID_BYTES)


def is_id(text: str | None) -> bool:
    """Say whether a text (from an address) has the form of a question id."""
    return bool(text) and len(text or "") == 2 * _ID_BYTES and set(text or "") <= set("0123456789abcdef")


def refuse_empty(message: str) -> None:
    """Raise EngineError for a message that says nothing."""
    if not message.strip():
        raise EngineError("There is no message to answer.", "Write something a user would say.")


def failed(answer: Answer, error: str, hint: str = "") -> Answer:
    """Return the answer, ended by an error."""
    return replace(answer, state="failed", version=answer.version + 1, error=error, hint=hint or None)
