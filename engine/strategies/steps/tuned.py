"""Chooses the best of several runs' variants on val, and writes its answers as those of one variant.

Generates nothing: answers and scores are taken over. On val each dialogue has the answers of the variant that
the other folds' dialogues choose, so that the choice does not look better there by having chosen there.
"""

import pandas as pd

from engine.core.errors import EngineError
from engine.core.paths import write_json
from engine.domains import metrics
from engine.lm.effects import Own, Recipe
from engine.lm.recipes import CHOSEN
from engine.runs import answers
from engine.runs.context import RunContext
from engine.stats.routing import FOLDS, Scored, best_but, folds
from engine.strategies.steps.crossing import Kept
from engine.strategies.steps.route import Candidate, read_candidates
from engine.strategies.tuned import NAME


def run(context: RunContext) -> None:
    """Choose, and write what is kept."""
    context.progress("choose", 0, 1)
    decides = metrics.primary(context.workspace)
    _, fields, found = read_candidates(context.workspace, context.spec.upstream, by_run=True)
    if len(found) < 2:
        raise EngineError("There is one setting only, so nothing was tuned.", "Run: python -m engine tune")
    tables: dict[str, list[Scored]] = {name: [] for name in found}
    for name, one in found.items():
        val = one.answers[one.answers["split"] == "val"]
        dialogue = dict(zip(val["example_id"], val["dialogue_id"], strict=True))
        rows = one.scored.values(decides, among=val).dropna(subset=["value"])
        tables[name] = [
            (persona, dialogue[example], float(value))
            for persona, example, value in zip(
                rows["persona_id"], rows["example_id"], rows["value"], strict=True
            )
        ]
    fold_of = folds((persona, dialogue) for rows in tables.values() for persona, dialogue, _ in rows)
    if not fold_of:
        raise EngineError("Nothing of it is scored on val, so nothing can be chosen there.")
    better = decides.higher_is_better is not False
    best = best_but(tables, fold_of, higher_is_better=better)
    by_fold = [best_but(tables, fold_of, without=fold, higher_is_better=better) for fold in range(FOLDS)]
    variant = f"{context.spec.parameters['of']}-{NAME}"
    write_json(
        context.folder / CHOSEN, {"recipe": dict(found[best].recipe), "by_fold": by_fold, "best": best}
    )
    context.protocol(fields)
    context.variant(variant, Recipe((Own(context.spec.run_id, chosen=True),)).as_json(), family=NAME)
    given, scores = _rows(found, Kept(best, fold_of, by_fold))
    answers.write(context.folder, given.assign(variant=variant), scores.assign(variant=variant))
    context.summary(settings=len(found), best=best, run=found[best].run_id)
    context.log(
        f"{best} is best of {len(found)} on val; each fold of it is judged by the choice of the others"
    )
    context.progress("choose", 1, 1)


def _rows(found: dict[str, Candidate], kept: Kept) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the answers and scores: on test those of what is kept, on val those of what each fold gets."""
    parts = []
    for name, one in found.items():
        asked = zip(one.answers["split"], one.answers["dialogue_id"], strict=True)
        taken = one.answers[[name == kept.answering(*where) for where in asked]]
        if len(taken):
            parts.append((taken, answers.only(one.scored, taken)))
    return (
        pd.concat([given for given, _ in parts]).reset_index(drop=True),
        pd.concat([scores for _, scores in parts]).reset_index(drop=True),
    )
