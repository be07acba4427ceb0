"""The frozen base model, knowing nothing of the persona."""

from __future__ import annotations

from engine.lm.effects import Recipe
from engine.runs.context import RunContext
from engine.strategies.spec import Experiment, Traits


def step(context: RunContext) -> None:
    from engine.strategies.steps.scoring import score_variant

    score_variant(context, context.spec.experiment, Recipe(), family="prompt")


STRATEGY = Experiment(
    name="base",
    title="Base model",
    family="prompt",
    group="Without training",
    question="How well does the frozen base model answer, knowing nothing of the persona?",
    makes="base",
    step=step,
    fixed={"profile": False},
    stages={"load": 3.0, "generate": 90.0, "score": 7.0},
    traits=Traits(readable=True, mixable=True, serves_unseen=True, divides=("replies",)),
)
