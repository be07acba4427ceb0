"""Scores the frozen base, with or without the persona's character text in the prompt."""

from __future__ import annotations

from engine.lm.load import load_base
from engine.lm.recipes import Recipe
from engine.lm.scorer import Scorer
from engine.runfolder import RunContext
from engine.steps.scoring import answer, declare_protocol, example_set, prompts_for, write_scores


def run(context: RunContext) -> None:
    """Score one variant: the experiment's own name, without adapters."""
    profile = bool(context.spec.parameters["profile"])
    variant = context.spec.experiment
    context.progress("load", 0, 1)
    base = load_base(context.spec.base)
    chosen = example_set(context)
    protocol = declare_protocol(context, chosen, base)
    recipe = Recipe(profile=profile)
    context.variant(variant, recipe.as_json(), family="prompt")
    prompts = prompts_for(base, chosen, recipe, max_new_tokens=context.spec.protocol["max_new_tokens"])
    answers = answer(
        context,
        base,
        variant,
        chosen,
        prompts,
        progress=lambda done: context.progress("generate", done, len(prompts), unit="replies"),
    )
    write_scores(context, answers, protocol, Scorer())
