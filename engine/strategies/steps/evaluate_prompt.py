"""Scores the frozen base, with or without the persona's character text in the prompt."""

from __future__ import annotations

from engine.lm.load import load_base
from engine.lm.recipes import Recipe
from engine.runs.context import RunContext
from engine.strategies.steps.scoring import score_variant


def run(context: RunContext) -> None:
    """Score one variant: the experiment's own name, without adapters."""
    context.progress("load", 0, 1)
    recipe = Recipe(profile=bool(context.spec.parameters["profile"]))
    context.variant(context.spec.experiment, recipe.as_json(), family="prompt")
    score_variant(context, load_base(context.spec.base), context.spec.experiment, recipe)
