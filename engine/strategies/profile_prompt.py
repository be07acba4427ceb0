"""The persona's character text in the system prompt of the frozen base model."""

from __future__ import annotations

from engine.lm.effects import Prompt, Recipe
from engine.runs.context import RunContext
from engine.strategies.spec import Experiment, Traits, character_needed


def step(context: RunContext) -> None:
    from engine.strategies.steps.scoring import score_variant

    score_variant(context, context.spec.experiment, Recipe((Prompt(profile=True),)), family="prompt")


STRATEGY = Experiment(
    name="profile-prompt",
    title="Profile in the prompt",
    family="prompt",
    group="Without training",
    question="Does the persona's character text in the system prompt help the frozen base model?",
    makes="profile-prompt",
    step=step,
    fixed={"profile": True},
    stages={"load": 3.0, "generate": 90.0, "score": 7.0},
    beside=("base",),
    applies=character_needed,
    traits=Traits(personal=True, mixable=True, serves_unseen=True, divides=("replies",)),
)
