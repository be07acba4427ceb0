"""The placebo of a variant: everybody is answered as somebody else.

Leaves placebo.json in the run's folder: who stands in for whom. Where the placebo is as good as the variant,
what helped was more training or a longer prompt, not the persona. Of a variant that came to answer all alike
(a strength of 0 was best on val) the placebo says just the same.
"""

from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from engine.core.errors import EngineError
from engine.core.parameters import Parameters
from engine.core.paths import write_json
from engine.lm.effects import Own, Prompt, Recipe, Swapped
from engine.runs.context import RunContext
from engine.strategies.retrieval import memories_of, refuse_open_choice
from engine.strategies.spec import Experiment, Having, Traits, Upstream, Wish, history_needed

if TYPE_CHECKING:
    from engine.lm.recipes import Shelf

SUFFIX = "~placebo"
_TWO = "A placebo needs at least two personas with adapters, memories or a profile of their own."


class PlaceboParameters(Parameters):
    """Whose placebo."""

    of: Annotated[str, Having("personal")] = Field(
        "per-persona", description="The experiment whose variant is answered as another."
    )
    k: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="With retrieval: the variant with so many memories; by default the best on val.",
    )
    over: Annotated[str | None, Having("readable")] = Field(
        None, description="With retrieval: the experiment it reads over; by default the usual run's."
    )


def _needs(parameters: PlaceboParameters) -> tuple[Upstream, ...]:
    which: Mapping[str, Any] = {"over": parameters.over} if parameters.over else {}
    return (Upstream(role="of", experiment=parameters.of, parameters=which, same_protocol=True),)


def _swaps(wish: Wish) -> None:
    """Raise EngineError where there is nobody to stand in, or no such variant of a retrieval."""
    of, k = wish.upstream["of"], wish.spec.parameters["k"]
    if wish.ground.personas - wish.ground.unseen < 2:
        raise EngineError("Not applicable here: with one persona nobody can stand in for her.", _TWO)
    if k is None:
        refuse_open_choice(of)
    elif k not in (known := memories_of(of)):
        raise EngineError(
            f"{of.run_id} has no variant with {k} memories.", f"It has: {', '.join(map(str, known))}."
        )


def step(context: RunContext) -> None:
    """Pair the personas whom the variant exists for, and score it with the pairs swapped.

    Whoever is kept out of training stands in for nobody, and has no stand-in.
    """
    from engine.lm.recipes import PLACEBO, Shelf
    from engine.stats.derangement import derange
    from engine.strategies.steps.made import made_by
    from engine.strategies.steps.scoring import example_set, score_variant

    context.progress("load", 0, 1)
    made = made_by(context, "of", memories=context.spec.parameters["k"])
    shelf = Shelf(context.workspace)
    whole = example_set(context)
    people = sorted({example.persona_id for _, example in whole.all} - whole.splits.unseen)
    known = [persona for persona in people if shelf.covers(made.recipe, persona)]
    kinds = kinds_of(shelf, made.recipe, known)
    if (
        len(known) > 1
        and len(set(kinds.values())) < 2
        and kinds == kinds_of(shelf, _shared(made.recipe), known)
    ):
        context.log(
            f"{made.name} came to answer all alike: nothing acts for one alone. Its placebo does the same"
        )
        kinds = {persona: persona for persona in known}
    pairing = derange(kinds, seed=context.spec.seed)
    if pairing is None:
        raise EngineError(
            f"Not applicable here: {made.name} answers these {len(known)} personas all alike.", _TWO
        )
    if not pairing.is_permutation:
        context.log(
            "one group holds more than half of the personas: its members share the others as stand-ins"
        )
    told = {"of": made.name, "is_permutation": pairing.is_permutation, "donors": dict(pairing.donors)}
    write_json(context.folder / PLACEBO, told)
    context.summary(personas=len(pairing.donors), is_permutation=pairing.is_permutation)
    recipe = Recipe((Swapped(made.recipe, context.spec.run_id),))
    score_variant(context, made.name + SUFFIX, recipe, family="placebo", shelf=shelf)


def _shared(recipe: Recipe) -> Recipe:
    """What of a recipe acts for everybody, whoever is answered."""
    return Recipe(tuple(one for one in recipe.effects if not isinstance(one, Own)))


def kinds_of(shelf: "Shelf", recipe: Recipe, personas: Iterable[str]) -> dict[str, Hashable]:
    """Return what each persona is answered with; those of one kind would be no placebo for each other.

    It is what acts in the model, so a cluster is one kind, and where all share it each her own memories and
    profile. A choice is made for each persona: there each is a kind of her own.
    """
    people = list(personas)
    each = {persona: persona for persona in people}
    if any(one.told for persona in people for one in shelf.followed(recipe, persona)):
        return dict(each)
    answering = {persona: shelf.sides(recipe, persona) for persona in people}
    kinds: dict[str, Hashable] = {
        persona: tuple(side.effects for side in found) for persona, found in answering.items()
    }
    is_told = any(side.prompt != Prompt() for found in answering.values() for side in found)
    return dict(each) if is_told and len(set(kinds.values())) < 2 else kinds


STRATEGY = Experiment(
    name="placebo",
    title="Placebo: answered as another",
    family="placebo",
    group="Bounds and controls",
    question="Does a personalised variant beat itself with another persona's adapter or memories?",
    makes="per-persona~placebo",
    step=step,
    parameters=PlaceboParameters,
    needs=_needs,
    stages={"load": 3.0, "generate": 92.0, "score": 5.0},
    beside=("base", "unified"),
    applies=history_needed,
    fits=_swaps,
    traits=Traits(routable=False),
)
