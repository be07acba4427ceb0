"""Scores the placebo of a variant: everybody is answered as somebody else. Trains nothing.

Leaves placebo.json in the run's folder: who stands in for whom. Where the placebo is as good as the variant,
what helped was more training or a longer prompt, not the persona.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from engine.core.errors import EngineError
from engine.core.paths import Workspace, write_json
from engine.lm.load import load_base
from engine.lm.recipes import Shelf
from engine.lm.routed import PLACEBO, Value, covers, follows_routes, sides
from engine.runs.context import RunContext
from engine.stats.derangement import Pairing, derange
from engine.strategies.steps.made import Made, made_by
from engine.strategies.steps.scoring import example_set, score_variant

SUFFIX, FAMILY = "~placebo", "placebo"


def run(context: RunContext) -> None:
    """Pair the personas whom the variant exists for, and score it with the pairs swapped."""
    context.progress("load", 0, 1)
    made = made_by(context, "of", memories=context.spec.parameters["k"])
    shelf, ws = Shelf(context.workspace), context.workspace
    people = sorted({example.persona_id for _, example in example_set(context).all})
    known = [persona for persona in people if covers(ws, shelf, made.recipe, persona)]
    pairing = _pairing(context, shelf, made, known)
    recipe = {"placebo": {"of": dict(made.recipe), "run": context.spec.run_id}}
    write_json(
        context.folder / PLACEBO,
        {"of": made.name, "is_permutation": pairing.is_permutation, "donors": dict(pairing.donors)},
    )
    context.variant(made.name + SUFFIX, recipe, family=FAMILY)
    context.summary(personas=len(pairing.donors), is_permutation=pairing.is_permutation)
    score_variant(context, load_base(context.spec.base), made.name + SUFFIX, recipe, shelf)


def _pairing(context: RunContext, shelf: Shelf, made: Made, personas: list[str]) -> Pairing:
    found = derange(kinds_of(context.workspace, shelf, made.recipe, personas), seed=context.spec.seed)
    if found is None:
        raise EngineError(
            f"Not applicable here: {made.name} answers these {len(personas)} personas all alike.",
            "A placebo needs at least two personas with adapters, memories or a profile of their own.",
        )
    if not found.is_permutation:
        context.log(
            "one group holds more than half of the personas: its members share the others as stand-ins"
        )
    return found


def kinds_of(ws: Workspace, shelf: Shelf, recipe: Value, personas: Iterable[str]) -> dict[str, Hashable]:
    """Return what each persona is answered with; those of one kind would be no placebo for each other.

    It is the adapters, so a cluster is one kind, and where all share them each her own memories and profile.
    Routes follow the persona: there each is a kind of her own.
    """
    people = list(personas)
    if follows_routes(recipe):
        return {persona: persona for persona in people}
    answering = {persona: sides(ws, recipe, persona) for persona in people}
    kinds: dict[str, Hashable] = {
        persona: tuple(shelf.parts(side.recipe, side.persona_id) for side in found)
        for persona, found in answering.items()
    }
    is_told = any(
        side.recipe.memories or side.recipe.profile for found in answering.values() for side in found
    )
    return {persona: persona for persona in people} if is_told and len(set(kinds.values())) < 2 else kinds
