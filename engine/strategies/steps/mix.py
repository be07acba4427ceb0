"""Mixes two variants on probabilities: tries some weights on val, keeps and scores the best. Trains nothing.

Leaves sweep.json in the run's folder: the val score of every weight. Test is read with the kept weight alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine.core.errors import EngineError
from engine.core.paths import read_json, read_rows, write_json
from engine.core.types import Example
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.lm.asking import Asker
from engine.lm.effects import Recipe, mixed
from engine.lm.generate import Reply
from engine.lm.kernels import kernels_for
from engine.lm.load import Base, load_base
from engine.lm.mixture_sweep import sweep, weighed
from engine.lm.recipes import Shelf
from engine.lm.scorer import Scorer
from engine.runs.answers import by_answer
from engine.runs.context import Cancelled, RunContext
from engine.runs.runfolder import append_line
from engine.strategies.steps.made import Made, made_by, val_means
from engine.strategies.steps.scoring import (
    Answer,
    ExampleSet,
    asker_for,
    declare_protocol,
    example_set,
    score_table,
    score_variants,
)

SWEEP, _KEPT = "sweep.json", "sweep-replies.jsonl"
_USUAL = ("unified", "cluster")


def run(context: RunContext) -> None:
    """Choose the weight on val where several are given, then score the mixture on all splits."""
    context.progress("load", 0, 1)
    first, second = made_by(context, "first"), made_by(context, "second")
    weights = sorted(set(context.spec.parameters["weights"]))
    base, shelf = load_base(context.spec.base), Shelf(context.workspace)
    done = context.folder / SWEEP
    if not done.exists():
        is_sweep = len(weights) > 1
        scores = _sweep(context, base, shelf, first.recipe, second.recipe, weights) if is_sweep else {}
        decides = metrics.primary(context.workspace)
        write_json(done, _as_json(first, second, scores, weights, decides))
        (context.folder / _KEPT).unlink(missing_ok=True)
    weight = read_json(done)["best"]
    variant = variant_name(first.name, second.name, weight)
    recipe = mixed(first.recipe, second.recipe, weight)
    context.variant(variant, recipe.as_json(), family="mixture")
    context.summary(weight=weight, first=first.name, second=second.name)
    score_variants(context, {variant: recipe}, base=base, shelf=shelf)


def variant_name(first: str, second: str, weight: float) -> str:
    """Return "mixture-0.6" for the usual two variants, "mixture-0.6-FIRST-SECOND" for others."""
    others = "" if (first, second) == _USUAL else f"-{first}-{second}"
    return f"mixture-{weight:g}{others}"


def _sweep(
    context: RunContext, base: Base, shelf: Shelf, first: Recipe, second: Recipe, weights: Sequence[float]
) -> dict[float, float]:
    """Return the val score of each weight: the macro mean of the primary metric over personas."""
    whole = example_set(context)
    if not whole.by_split.get("val"):
        raise EngineError(
            "The weight is chosen on val, which is not scored here.",
            "Give one weight (--set weights=0.6), or score val too: --set splits=val,test",
        )
    scorer = Scorer(context.workspace)
    asker = asker_for(context, base, shelf, scorer)
    val = _val(whole, asker, first, second)
    replies = _replies(context, base, [one for _, one in val.all], asker, (first, second), weights)
    answers = [
        Answer(f"{weight:g}", split, example, Reply(texts[place], 0, 0, 0.0))
        for place, weight in enumerate(weights)
        for (split, example), texts in zip(val.all, replies, strict=True)
    ]
    decides, protocol = metrics.primary(context.workspace), declare_protocol(context, whole, base)
    means = val_means(by_answer(score_table(context, answers, protocol, scorer, [decides]), decides))
    scores = {weight: means[f"{weight:g}"] for weight in weights}
    for weight, score in scores.items():
        context.event("weight", weight=weight, val=score)
        context.log(f"weight {weight:g}: {decides.name} {score:.4f} on val")
    return scores


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
    for row in read_rows(context.folder / _KEPT):
        try:
            kept |= {place: texts for place, texts in row if place < expected}
        except (ValueError, TypeError):
            continue  # the batch is answered again
    return kept


def _val(whole: ExampleSet, asker: Asker, first: Recipe, second: Recipe) -> ExampleSet:
    """The val examples of the personas whom both sides exist for, so that weights are compared alike."""
    val = ExampleSet(whole.dataset, whole.splits, {"val": whole.by_split["val"]})
    both = val.where(lambda persona: asker.covers(first, persona) and asker.covers(second, persona))
    asked = [example for _, example in both.all]
    return both.only(asker.fitting(second, asker.fitting(first, asked)))


def _as_json(
    first: Made,
    second: Made,
    scores: Mapping[float, float],
    weights: Sequence[float],
    decides: Metric,
) -> dict[str, Any]:
    """The sweep as a JSON object; of equal scores the weight nearer to a half is the best one."""
    best = max(weights, key=lambda weight: (decides.sign * scores.get(weight, 0.0), -abs(weight - 0.5)))
    return {
        "parameter": "weights",
        "title": f"Weight of {first.name}, the rest {second.name}",
        "metric": decides.name,
        "split": "val",
        "points": [{"value": weight, "mean": score} for weight, score in scores.items()],
        "best": best,
    }
