"""Chooses on val among answers that differ in one thing, a strength or a layer. Never reads test.

What was chosen on val looks better there by the choice alone, so val judges it by cross-fitting: each val
dialogue is answered as the other folds' dialogues choose. Leaves sweep.json in the run's folder: what was
tried, its val score, what is kept, and what each fold was answered with; and chosen.json, the kept recipe.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from engine.core.paths import read_json, write_json
from engine.core.types import Example
from engine.domains import metrics
from engine.lm.asking import Ask, Asker
from engine.lm.effects import Own, Recipe
from engine.lm.load import Base
from engine.lm.recipes import CHOSEN
from engine.lm.scorer import Scorer
from engine.runs.answers import by_answer
from engine.runs.context import RunContext
from engine.stats.routing import FOLDS, Scored, best_but, folds
from engine.strategies.spec import no_val
from engine.strategies.steps.crossing import Kept
from engine.strategies.steps.made import val_means
from engine.strategies.steps.scoring import (
    Answer,
    ExampleSet,
    Instead,
    answer,
    declare_protocol,
    example_set,
    score_table,
)

SWEEP = "sweep.json"
Asking = Callable[[Sequence[Example]], list[Ask]]
"""How one candidate is asked some examples."""
Choice = TypeVar("Choice")


class Tried:
    """Candidates answered on val so far, each once, and their scores in the study's primary metric."""

    def __init__(self, context: RunContext, base: Base, scorer: Scorer, val: ExampleSet, *, of: int) -> None:
        """`of` is how many candidates are expected, for the progress."""
        self._context, self._base, self._scorer, self._val, self._of = context, base, scorer, val, of
        self._tables: dict[str, list[Scored]] = {}
        self._dialogue = {one.example_id: one.dialogue_id for _, one in val.all}
        self.fold_of = folds((one.persona_id, one.dialogue_id) for _, one in val.all)
        self.scores: dict[str, float] = {}
        """Candidate -> the macro mean over personas, in the order of their answering."""

    def answer(self, candidates: Mapping[str, Asking]) -> None:
        """Answer and score the candidates that are not answered yet."""
        new = {name: asking for name, asking in candidates.items() if name not in self.scores}
        if not new:
            return
        context, examples, answers = self._context, [one for _, one in self._val.all], list[Answer]()
        total, before = len(examples) * max(self._of, len(self.scores) + len(new)), len(self.scores)

        def tell(done: int) -> None:
            context.progress("sweep", before * len(examples) + len(answers) + done, total, unit="replies")

        for name, asking in new.items():
            answers += answer(
                context, self._base, f"sweep-{name}", self._val, asking(examples), progress=tell
            )
        self.take(answers)

    def take(self, answers: Sequence[Answer]) -> None:
        """Score answers to the val examples; their variants are named "sweep-" and the candidate."""
        context, decides = self._context, metrics.primary(self._context.workspace)
        protocol = declare_protocol(context, example_set(context), self._base)
        rows = by_answer(score_table(context, answers, protocol, self._scorer, [decides]), decides)
        means = val_means(rows)
        for variant, of_it in rows.dropna(subset=["value"]).groupby("variant", sort=False):
            name = str(variant).removeprefix("sweep-")
            self._tables[name] = [
                (persona, self._dialogue[example], float(value))
                for persona, example, value in zip(
                    of_it["persona_id"], of_it["example_id"], of_it["value"], strict=True
                )
            ]
            self.scores[name] = means[str(variant)]
            context.event("weight", weight=name, val=self.scores[name])
            context.log(f"{name}: {decides.name} {self.scores[name]:.4f} on val")

    def best(self, candidates: Sequence[str], *, without: int | None = None) -> str:
        """Return the candidate that is best on val, or on all of it but a fold; of equal ones the earlier."""
        better = metrics.primary(self._context.workspace).higher_is_better is not False
        tables = {name: self._tables.get(name, []) for name in candidates}
        return best_but(tables, self.fold_of, without=without, higher_is_better=better)

    def crossed(self, choose: Callable[[int | None], Choice]) -> Kept:
        """Return what `choose` keeps of all val, and of all but each fold."""
        return Kept(choose(None), self.fold_of, tuple(choose(fold) for fold in range(FOLDS)))


def val_examples(context: RunContext, asker: Asker, *recipes: Recipe, parameter: str) -> ExampleSet:
    """Return the val examples that all of some recipes can answer, so that candidates are compared alike.

    Raises EngineError where val is not scored; `parameter` is what would be chosen on it.
    """
    whole = example_set(context)
    if not whole.by_split.get("val"):
        raise no_val(parameter)
    val = whole.in_splits(["val"])
    shared = val.where(lambda persona: all(asker.covers(recipe, persona) for recipe in recipes))
    asked = [example for _, example in shared.all]
    for recipe in recipes:
        asked = asker.fitting(recipe, asked)
    return shared.only(asked)


def write_sweep(
    context: RunContext, parameter: str, scores: Mapping[str, float], found: Kept, *, title: str
) -> None:
    """Write what was tried on val, what is kept, and what each fold of val is answered with."""
    decides = metrics.primary(context.workspace)
    points = [{"value": name, "mean": score} for name, score in scores.items()]
    told = {"parameter": parameter, "title": title, "metric": decides.name, "split": "val"}
    choice = {"best": found.best, "folds": dict(found.of), "by_fold": list(found.by_fold)}
    write_json(context.folder / SWEEP, {**told, "points": points, **choice})


def kept(context: RunContext) -> Kept | None:
    """Return what an earlier attempt chose, None when there was none."""
    path = context.folder / SWEEP
    if not path.exists():
        return None
    told = read_json(path)
    return Kept(told["best"], told["folds"], tuple(told["by_fold"]))


def variant_of(
    context: RunContext, found: Kept, recipe_of: Callable[[Any], Recipe]
) -> tuple[Recipe, Instead]:
    """Return the recipe of what is kept, and what answers each example in its place.

    A choice is a recipe of its own, whatever it chose: on val it answers as no single candidate does.
    """

    def instead(recipe: Recipe, split: str, example: Example) -> Recipe:
        return recipe_of(found.answering(split, example.dialogue_id)) if found.is_choice else recipe

    if not found.is_choice:
        return recipe_of(found.best), instead
    write_json(context.folder / CHOSEN, {"recipe": recipe_of(found.best).as_json()})
    return Recipe((Own(context.spec.run_id, chosen=True),)), instead
