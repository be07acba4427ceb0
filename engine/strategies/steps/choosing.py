"""Chooses on val among answers that differ in one thing, a strength or a layer. Never reads test.

Leaves sweep.json in the run's folder: what was tried, its val score, and what is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.core.errors import EngineError
from engine.core.paths import read_json, write_json
from engine.core.types import Example
from engine.domains import metrics
from engine.lm.asking import Ask, Asker
from engine.lm.effects import Recipe
from engine.lm.load import Base
from engine.lm.scorer import Scorer
from engine.runs.answers import by_answer
from engine.runs.context import RunContext
from engine.strategies.steps.made import val_means
from engine.strategies.steps.scoring import (
    Answer,
    ExampleSet,
    answer,
    declare_protocol,
    example_set,
    score_table,
)

SWEEP = "sweep.json"
Asking = Callable[[Sequence[Example]], list[Ask]]
"""How one candidate is asked some examples."""


def val_examples(context: RunContext, asker: Asker, *recipes: Recipe, parameter: str) -> ExampleSet:
    """Return the val examples that all of some recipes can answer, so that candidates are compared alike.

    Raises EngineError where val is not scored; `parameter` is what would be chosen on it.
    """
    whole = example_set(context)
    if not whole.by_split.get("val"):
        raise EngineError(
            f"What is best of {parameter} is chosen on val, which is not scored here.",
            f"Give one value (--set {parameter}=1), or score val too: --set splits=val,test",
        )
    val = ExampleSet(whole.dataset, whole.splits, {"val": whole.by_split["val"]})
    shared = val.where(lambda persona: all(asker.covers(recipe, persona) for recipe in recipes))
    asked = [example for _, example in shared.all]
    for recipe in recipes:
        asked = asker.fitting(recipe, asked)
    return shared.only(asked)


def val_scores(
    context: RunContext, base: Base, scorer: Scorer, val: ExampleSet, candidates: Mapping[str, Asking]
) -> dict[str, float]:
    """Return each candidate's val score: the macro mean of the primary metric over personas."""
    decides = metrics.primary(context.workspace)
    examples, answers = [example for _, example in val.all], list[Answer]()
    total = len(examples) * len(candidates)
    for name, asking in candidates.items():

        def tell(done: int, before: int = len(answers)) -> None:
            context.progress("sweep", before + done, total, unit="replies")

        answers += answer(context, base, f"sweep-{name}", val, asking(examples), progress=tell)
    protocol = declare_protocol(context, example_set(context), base)
    means = val_means(by_answer(score_table(context, answers, protocol, scorer, [decides]), decides))
    scores = {name: means[f"sweep-{name}"] for name in candidates}
    for name, score in scores.items():
        context.event("weight", weight=name, val=score)
        context.log(f"{name}: {decides.name} {score:.4f} on val")
    return scores


def best_of(context: RunContext, scores: Mapping[str, float], candidates: Sequence[str]) -> str:
    """Return the candidate that is best on val; of equal ones the earlier."""
    sign = metrics.primary(context.workspace).sign
    return max(candidates, key=lambda name: sign * scores.get(name, 0.0))


def write_sweep(
    context: RunContext, parameter: str, scores: Mapping[str, float], best: Any, *, title: str
) -> None:
    """Write what was tried on val and what is kept."""
    decides = metrics.primary(context.workspace)
    points = [{"value": name, "mean": score} for name, score in scores.items()]
    told = {"parameter": parameter, "title": title, "metric": decides.name, "split": "val"}
    write_json(context.folder / SWEEP, {**told, "points": points, "best": best})


def kept(context: RunContext) -> Any:
    """Return what an earlier attempt chose, None when there was none."""
    path = context.folder / SWEEP
    return read_json(path)["best"] if path.exists() else None
