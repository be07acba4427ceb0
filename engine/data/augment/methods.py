"""The methods of augmentation by name: the domain's rules, and what models say instead."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from engine.core.errors import EngineError
from engine.core.types import Dialogue
from engine.domains.domain import Domain, Method
from engine.domains.rewording import reworded

MODEL_METHODS: Final[Mapping[str, str]] = {
    "lm-paraphrase": "Paraphrase by a model",
    "back-translation": "Back-translation",
}
ALL_RULES: Final = "rules"
"""In the place of a method: every rule of the domain."""

Alternatives = Mapping[str, Sequence[str]]
"""What a model would say instead of each text."""


def chosen_methods(domain: Domain, names: Sequence[str]) -> list[str]:
    """Return the methods meant, each once. Raises EngineError for what the domain does not know."""
    meant = [one for name in names for one in (domain.augmenting.rules if name == ALL_RULES else (name,))]
    known = (*domain.augmenting.rules, *MODEL_METHODS)
    for name in meant:
        if name not in known:
            raise EngineError(
                f"Dialogues of the domain {domain.name} cannot be changed by {name!r}.",
                f"Ways: {', '.join(known)}; or {ALL_RULES}, for all that need no model.",
            )
    return list(dict.fromkeys(meant))


def make_methods(
    names: Sequence[str], *, rules: Mapping[str, Method], rewritten: Mapping[str, Alternatives] | None = None
) -> dict[str, Method]:
    """Return the methods named, in that order: of a persona's `rules`, or of a model's alternatives.

    Raises EngineError where a method has neither.
    """
    tables = rewritten or {}
    made = {}
    for name in names:
        if name not in rules and name not in tables:
            raise EngineError(
                f"The method {name} needs a model's rewriting.", f"By rules: {', '.join(rules)}."
            )
        made[name] = rules[name] if name in rules else _from_table(tables[name])
    return made


def method_words(domain: Domain, name: str) -> str:
    """Word a method for people; one that is not known any more by its name."""
    return {**domain.augmenting.rules, **MODEL_METHODS}.get(name, name)


def user_texts(sources: Sequence[Dialogue]) -> list[str]:
    """Return the distinct texts that users say, in order: what a model is asked to rewrite."""
    said = (message for dialogue in sources for message in dialogue.messages if message.role == "user")
    return list(dict.fromkeys(message.text for message in said))


def _from_table(alternatives: Alternatives) -> Method:
    def change(text: str, rng: Random) -> str:
        found = alternatives.get(text)
        return rng.choice(found) if found else text

    return lambda dialogue, rng: reworded(dialogue, rng, change, share=0.8)
