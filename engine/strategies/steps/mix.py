"""Mixes two variants on probabilities: tries some weights on val, keeps and scores the best. Trains nothing.

Test is read with the kept weight alone, and val judges the choice by cross-fitting (choosing.py).
"""

import json
from collections.abc import Mapping, Sequence

from engine.core.paths import read_rows
from engine.core.types import Example
from engine.lm.asking import Asker
from engine.lm.effects import Recipe, mixed
from engine.lm.generate import Reply
from engine.lm.kernels import kernels_for
from engine.lm.load import Base, load_base
from engine.lm.mixture_sweep import sweep, weighed
from engine.lm.recipes import Shelf
from engine.lm.scorer import Scorer
from engine.runs.context import Cancelled, RunContext
from engine.runs.runfolder import append_line
from engine.strategies.steps.choosing import Tried, kept, val_examples, variant_of, write_sweep
from engine.strategies.steps.crossing import Kept
from engine.strategies.steps.made import made_by
from engine.strategies.steps.scoring import Answer, asker_for, score_variants

_KEPT = "sweep-replies.jsonl"
_USUAL = ("unified", "cluster")


def run(context: RunContext) -> None:
    """Choose the weight on val where several are given, then score the mixture on all splits."""
    context.progress("load", 0, 1)
    first, second = made_by(context, "first"), made_by(context, "second")
    weights = sorted(set(context.spec.parameters["weights"]))
    base, shelf = load_base(context.spec.base), Shelf(context.workspace)
    found = kept(context)
    if found is None:
        found, scores = Kept(weights[0]), dict[str, float]()
        if len(weights) > 1:
            found, scores = _sweep(context, base, shelf, first.recipe, second.recipe, weights)
        title = f"Weight of {first.name}, the rest {second.name}"
        write_sweep(context, "weights", scores, found, title=title)
        (context.folder / _KEPT).unlink(missing_ok=True)
    recipe, instead = variant_of(
        context, found, lambda weight: mixed(first.recipe, second.recipe, float(weight))
    )
    variant = variant_name(first.name, second.name, None if found.is_choice else found.best)
    context.variant(variant, recipe.as_json(), family="mixture")
    context.summary(weight=found.best, first=first.name, second=second.name)
    score_variants(context, {variant: recipe}, base=base, shelf=shelf, instead=instead)


def variant_name(first: str, second: str, weight: float | None) -> str:
    """Return "mixture-0.6" for the usual two variants, "mixture-0.6-FIRST-SECOND" for others; without the
    number where the weight was chosen on val."""
    others = "" if (first, second) == _USUAL else f"-{first}-{second}"
    return "mixture" + ("" if weight is None else f"-{weight:g}") + others


def _sweep(
    context: RunContext, base: Base, shelf: Shelf, first: Recipe, second: Recipe, weights: Sequence[float]
) -> tuple[Kept, dict[str, float]]:
    """Return what is best on val, of equal ones the nearer to a half, and the val score of each weight."""
    scorer = Scorer(context.workspace)
    asker = asker_for(context, base, shelf, scorer)
    val = val_examples(context, asker, first, second, parameter="weights")
    replies = _replies(context, base, [one for _, one in val.all], asker, (first, second), weights)
    tried = Tried(context, base, scorer, val, of=len(weights))
    tried.take(
        [
            Answer(f"sweep-{weight:g}", split, example, Reply(texts[place], 0, 0, 0.0))
            for place, weight in enumerate(weights)
            for (split, example), texts in zip(val.all, replies, strict=True)
        ]
    )
    by_name = {f"{weight:g}": weight for weight in sorted(weights, key=lambda one: abs(one - 0.5))}
    return tried.crossed(lambda fold: by_name[tried.best(list(by_name), without=fold)]), tried.scores


def _replies(
    context: RunContext,
    base: Base,
    examples: Sequence[Example],
    asker: Asker,
    parts: tuple[Recipe, Recipe],
    weights: Sequence[float],
) -> list[list[str]]:
    """Return for each example the reply under each weight; the prompts are read once for all of them."""
    requests = [
        [
            *(weighed(row, weights) for row in first.rows),
            *(
                weighed(row, [1 - weight for weight in weights], beside=len(first.rows))
                for row in second.rows
            ),
        ]
        for first, second in zip(*(asker.asks(part, examples) for part in parts), strict=True)
    ]

    known = _kept(context, len(requests))

    def keep(made: Mapping[int, list[str]]) -> None:
        append_line(context.folder / _KEPT, json.dumps(list(made.items()), ensure_ascii=False))
        known.update(made)
        context.progress("sweep", len(known), len(requests), unit="examples")
        if context.stop_requested():
            raise Cancelled

    return sweep(
        base.model,
        base.tokenizer,
        requests,
        max_new_tokens=context.spec.protocol["max_new_tokens"],
        kernels=kernels_for(context.workspace, base),
        on_batch=keep,
        known=dict(known),
    )


def _kept(context: RunContext, expected: int) -> dict[int, list[str]]:
    """Return what an earlier attempt answered, example -> its texts; a line torn by a kill is left out."""
    kept: dict[int, list[str]] = {}
    for batch in read_rows(context.folder / _KEPT, list[tuple[int, list[str]]]):
        kept |= {place: texts for place, texts in batch if place < expected}
    return kept
