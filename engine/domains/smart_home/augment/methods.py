"""The methods of augmentation by name. Owns which there are and how each walks over a dialogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Literal, get_args

from engine.core.errors import EngineError
from engine.core.types import Dialogue, Message
from engine.domains.smart_home.augment.context import SeenContexts, lose_facts, vary_context
from engine.domains.smart_home.augment.grammar import paraphrase
from engine.domains.smart_home.augment.records import Method
from engine.domains.smart_home.augment.wording import spoken_noise, synonyms

RuleName = Literal["paraphrase", "synonyms", "context-variation", "context-noise"]
ModelName = Literal["lm-paraphrase", "back-translation"]
RULES: tuple[RuleName, ...] = get_args(RuleName)
MODEL_METHODS: tuple[ModelName, ...] = get_args(ModelName)

Alternatives = Mapping[str, Sequence[str]]
"""What a model would say instead of each text."""

_Rewording = Callable[[str, Random], str]


def make_methods(
    names: Sequence[str],
    *,
    routines: Sequence[Mapping[str, Any]],
    seen: SeenContexts,
    rewritten: Mapping[str, Alternatives] | None = None,
) -> dict[str, Method]:
    """Return the methods named, for a persona with these routines, in the order of `names`.

    `rewritten` holds, for each method that needs a model, the alternatives the model gave. Raises EngineError
    where they are missing.
    """
    rules: dict[str, Method] = {
        "paraphrase": lambda dialogue, rng: _reword(dialogue, rng, paraphrase, share=1.0),
        "synonyms": lambda dialogue, rng: _reword(dialogue, rng, synonyms, share=1.0),
        "context-variation": lambda dialogue, rng: vary_context(dialogue, rng, routines=routines, seen=seen),
        "context-noise": lambda dialogue, rng: _noisy(dialogue, rng, routines),
    }
    tables = rewritten or {}
    made = {}
    for name in names:
        if name not in rules and name not in tables:
            raise EngineError(
                f"The method {name} needs a model's rewriting.", f"By rules: {', '.join(RULES)}."
            )
        made[name] = rules.get(name) or _from_table(tables[name])
    return made


def user_texts(sources: Sequence[Dialogue]) -> list[str]:
    """Return the distinct texts that users say, in order: what a model is asked to rewrite."""
    said = (message for dialogue in sources for message in dialogue.messages if message.role == "user")
    return list(dict.fromkeys(message.text for message in said))


def _reword(dialogue: Dialogue, rng: Random, change: _Rewording, *, share: float) -> Dialogue | None:
    """Change the user's messages, each with chance `share`; None when none of them changed."""

    def said(message: Message) -> Message:
        chosen = message.role == "user" and rng.random() < share
        return replace(message, text=change(message.text, rng)) if chosen else message

    messages = tuple(said(message) for message in dialogue.messages)
    return replace(dialogue, messages=messages) if messages != dialogue.messages else None


def _noisy(dialogue: Dialogue, rng: Random, routines: Sequence[Mapping[str, Any]]) -> Dialogue | None:
    noisy = _reword(dialogue, rng, spoken_noise, share=0.6) or dialogue
    return replace(noisy, meta=lose_facts(dialogue, rng, routines=routines))


def _from_table(alternatives: Alternatives) -> Method:
    def change(text: str, rng: Random) -> str:
        found = alternatives.get(text)
        return rng.choice(found) if found else text

    return lambda dialogue, rng: _reword(dialogue, rng, change, share=0.8)
