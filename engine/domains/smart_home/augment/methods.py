"""The ways by rule to change a dialogue about a home, and what every one of them must keep."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random

from engine.core.types import Dialogue, Message, Persona
from engine.domains.domain import Method
from engine.domains.rewording import reworded
from engine.domains.smart_home.actions import extract
from engine.domains.smart_home.augment.context import lose_facts, seen_contexts, vary_context
from engine.domains.smart_home.augment.grammar import as_order, paraphrase, spoken_noise, synonyms


def make_rules(sources: Sequence[Dialogue]) -> Callable[[Persona], Mapping[str, Method]]:
    """Return what makes a persona's methods; `sources` are all training dialogues, to combine their facts."""
    seen = seen_contexts(sources)

    def of(persona: Persona) -> dict[str, Method]:
        routines = persona.routines

        def noisy(dialogue: Dialogue, rng: Random) -> Dialogue:
            said = reworded(dialogue, rng, spoken_noise, share=0.6) or dialogue
            return replace(said, meta=lose_facts(dialogue, rng, routines=routines))

        return {
            "paraphrase": lambda dialogue, rng: reworded(dialogue, rng, paraphrase, share=1.0),
            "synonyms": lambda dialogue, rng: reworded(dialogue, rng, synonyms, share=1.0),
            "context-variation": lambda dialogue, rng: vary_context(
                dialogue, rng, routines=routines, seen=seen
            ),
            "context-noise": noisy,
        }

    return of


def does_the_same(before: Message, after: Message) -> bool:
    """Whether a changed message names and sets the same; a user's is read as plain orders."""
    read = as_order if before.role == "user" else str
    return extract(read(before.text)) == extract(read(after.text))
