"""The frozen base model: knowing nothing of the persona, or with her character text in the system prompt."""

from typing import Any

from engine.lm.effects import Prompt, Recipe
from engine.runs.context import RunContext
from engine.strategies.spec import Experiment, Traits, character_needed


def step(context: RunContext) -> None:
    """Score the base model as it is, its prompt with the profile where that is asked for."""
    from engine.strategies.steps.scoring import score_variant

    recipe = Recipe((Prompt(profile=True),)) if context.spec.parameters["profile"] else Recipe()
    score_variant(context, context.spec.experiment, recipe, family="prompt")


def _untrained(name: str, *, profile: bool, **more: Any) -> Experiment:
    return Experiment(
        name=name,
        family="prompt",
        group="Without training",
        makes=name,
        step=step,
        fixed={"profile": profile},
        stages={"load": 3.0, "generate": 90.0, "score": 7.0},
        **more,
    )


STRATEGIES = (
    _untrained(
        "base",
        profile=False,
        title="Base model",
        question="How well does the frozen base model answer, knowing nothing of the persona?",
        traits=Traits(readable=True, mixable=True, serves_unseen=True, divides=("replies",)),
    ),
    _untrained(
        "profile-prompt",
        profile=True,
        title="Profile in the prompt",
        question="Does the persona's character text in the system prompt help the frozen base model?",
        beside=("base",),
        applies=character_needed,
        traits=Traits(personal=True, mixable=True, serves_unseen=True, divides=("replies",)),
    ),
)
