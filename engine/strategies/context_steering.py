"""What a persona's context changes in the next token's logits, taken more or less strongly (CoS)."""

from typing import Annotated, Literal

from pydantic import Field

from engine.core.parameters import Parameters, SetOf
from engine.lm.effects import Recipe, steered
from engine.runs.context import RunContext
from engine.strategies.ground import Ground
from engine.strategies.spec import (
    ChosenOnVal,
    Experiment,
    Having,
    Traits,
    character_needed,
    history_needed,
    named_by,
)

Strength = Annotated[float, Field(ge=0, le=10)]


class ContextSteeringParameters(Parameters):
    """What is added to whose logits, and how strongly."""

    over: Annotated[str, Having("readable")] = Field(
        "unified", description="The experiment whose variant is steered."
    )
    shown: Literal["profile", "memories", "both"] = Field(
        "memories", description="The context: her character text, her most similar interactions, or both."
    )
    k: int = Field(3, ge=1, le=100, description="How many past interactions the context holds.")
    history: int | None = Field(
        None,
        ge=0,
        le=100_000,
        description="Choose from so many of her train dialogues only, the most recent ones.",
    )
    strengths: Annotated[SetOf[Strength], ChosenOnVal()] = Field(
        [0.0, 0.5, 1.0, 1.5, 2.0],
        min_length=1,
        description="How much of what the context changes is added: 0 nothing, 1 as in a prompt, above 1 "
        "more; of several the best on val is kept.",
    )


def _applies(parameters: ContextSteeringParameters, ground: Ground) -> None:
    if parameters.shown != "memories":
        character_needed(parameters, ground)
    if parameters.shown != "profile":
        history_needed(parameters, ground)


def by_context(over: Recipe, *, shown: str, k: int, strength: float, history: int | None = None) -> Recipe:
    """Return logits + strength x (logits with the context - logits): `over` at 0, with its context at 1."""
    memories = 0 if shown == "profile" else k
    told = over.with_prompt(profile=shown != "memories", memories=memories, history=history)
    return over if strength == 0 else steered(told, over, strength - 1)


def variant_name(over: str, *, shown: str, k: int, strength: float | None, history: int | None = None) -> str:
    """Return "unified+steered-retrieval-3-x1.5"; without the number where the strength was chosen on val."""
    read = f"retrieval-{k}" if history is None else f"retrieval-history-{history}-{k}"
    context = {"profile": "profile", "memories": read, "both": f"profile-{read}"}[shown]
    return f"{over}+steered-{context}" + ("" if strength is None else f"-x{strength:g}")


def step(context: RunContext) -> None:
    """Choose the strength on val where several are given, then score it on all splits."""
    from engine.lm.load import load_base
    from engine.lm.recipes import Shelf
    from engine.lm.scorer import Scorer
    from engine.strategies.steps.choosing import Asking, Tried, kept, val_examples, variant_of, write_sweep
    from engine.strategies.steps.crossing import Kept
    from engine.strategies.steps.made import made_by
    from engine.strategies.steps.scoring import asker_for, score_variants

    context.progress("load", 0, 1)
    over, asked = made_by(context, "over"), context.spec.parameters
    shown, k, history = asked["shown"], asked["k"], asked["history"]
    recipes = {
        strength: by_context(over.recipe, shown=shown, k=k, strength=strength, history=history)
        for strength in sorted(set(asked["strengths"]))
    }
    base, shelf = load_base(context.spec.base), Shelf(context.workspace)
    found = kept(context)
    if found is None:
        scores, by_name = dict[str, float](), {f"{strength:g}": strength for strength in recipes}
        found = Kept(next(iter(recipes)))
        if len(recipes) > 1:
            scorer = Scorer(context.workspace)
            asker = asker_for(context, base, shelf, scorer)
            widest = recipes[max(recipes)]
            val = val_examples(context, asker, over.recipe, widest, parameter="strengths")
            candidates: dict[str, Asking] = {
                name: lambda examples, recipe=recipes[strength]: asker.asks(recipe, examples)  # type: ignore[misc]
                for name, strength in by_name.items()
            }
            tried = Tried(context, base, scorer, val, of=len(candidates))
            tried.answer(candidates)
            found = tried.crossed(lambda fold: by_name[tried.best(list(by_name), without=fold)])
            scores = tried.scores
        write_sweep(context, "strengths", scores, found, title=f"Strength of what {shown} changes")
    recipe, instead = variant_of(context, found, lambda strength: recipes[strength])
    strength = None if found.is_choice else found.best
    name = variant_name(over.name, shown=shown, k=k, strength=strength, history=history)
    context.variant(name, recipe.as_json(), family="steering")
    context.summary(strength=found.best, over=over.name)
    score_variants(context, {name: recipe}, base=base, shelf=shelf, instead=instead)


STRATEGY = Experiment(
    name="context-steering",
    title="Context steering",
    family="steering",
    group="Steering",
    question="Does it help to take what a persona's profile or memories change in an answer more strongly?",
    makes="unified+steered-retrieval-3",
    version=2,  # since then val is answered as its other dialogues choose
    val_since=2,
    step=step,
    parameters=ContextSteeringParameters,
    needs=named_by(over="over"),
    stages={"load": 3.0, "memories": 10.0, "sweep": 50.0, "generate": 32.0, "score": 5.0},
    beside=("base", "unified"),
    applies=_applies,
    traits=Traits(personal=True, mixable=True, newcomers=True, serves_unseen=True),
    space={"shown": ("profile", "memories", "both"), "k": (1, 3, 5), "over": ("unified", "hybrid")},
)
