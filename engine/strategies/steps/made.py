"""What an upstream run has made: the variant that another step builds on. Chooses on val alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.domains import metrics
from engine.lm.effects import Recipe, answers, read_recipe
from engine.runs import answers as answer_files
from engine.runs import manifest
from engine.runs.context import RunContext


@dataclass(frozen=True, slots=True)
class Made:
    """One variant of an upstream run."""

    name: str
    recipe: Recipe


def made_by(context: RunContext, role: str, *, memories: int | None = None) -> Made:
    """Return the variant of the upstream run in this role, of several the best one on val.

    `memories` asks for the one that shows so many. Raises EngineError when the run has made none that a model
    answers, or none of several is scored on val.
    """
    run_id = context.spec.upstream[role]
    declared = manifest.read(context.workspace.run_folder(run_id))["variants"]
    found = [
        Made(entry["name"], read_recipe(entry["recipe"])) for entry in declared if answers(entry["recipe"])
    ]
    found = [made for made in found if made.recipe.remote is None]
    if memories is not None:
        found = _with_memories(found, memories, run_id)
    if not found:
        raise EngineError(
            f"{run_id} has made no variant that answers.", "Choose an experiment that makes variants."
        )
    return found[0] if len(found) == 1 else _best_on_val(context.workspace, run_id, found)


def _with_memories(found: Sequence[Made], memories: int, run_id: str) -> list[Made]:
    shown = {made.recipe.prompt.memories: made for made in found}
    if memories not in shown:
        known = ", ".join(str(number) for number in sorted(shown))
        raise EngineError(f"{run_id} has no variant with {memories} memories.", f"It has: {known}.")
    return [shown[memories]]


def _best_on_val(ws: Workspace, run_id: str, found: Sequence[Made]) -> Made:
    first = metrics.primary(ws)
    means = val_means(answer_files.read(ws, run_id).values(first))
    scored = [made for made in found if made.name in means]
    if not scored:
        raise EngineError(
            f"{run_id} has several variants and no scores on val to choose by.",
            "Score them on val as well: --set splits=val,test",
        )
    return max(scored, key=lambda made: first.sign * means[made.name])


def val_means(scores: pd.DataFrame) -> dict[str, float]:
    """Return variant -> macro mean over personas of one metric's `value` on val, where it is scored."""
    val = scores[scores["split"] == "val"]
    personas = val.groupby(["variant", "persona_id"], sort=False)["value"].mean()
    return {str(name): float(mean) for name, mean in personas.groupby("variant").mean().items()}
