"""Scores a variant that also reads the persona's own training interactions, for several numbers of them."""

from __future__ import annotations

from engine.lm.load import load_base
from engine.lm.recipes import Shelf
from engine.lm.routed import remembering
from engine.runs.context import RunContext
from engine.runs.runfolder import read_spec
from engine.strategies.steps.made import made_by
from engine.strategies.steps.scoring import score_variants


def run(context: RunContext) -> None:
    """Score "<over>+retrieval-k" for each k; k = 0 is the variant itself and scored only where it is not."""
    context.progress("load", 0, 1)
    over, parameters = made_by(context, "over"), context.spec.parameters
    named = f"{over.name}+retrieval" + (f"-recent-{parameters['recency']:g}" if parameters["recency"] else "")
    wanted = sorted(set(parameters["k"]))
    recipes = {f"{named}-{k}": remembering(over.recipe, k, parameters["recency"]) for k in wanted}
    for variant, recipe in recipes.items():
        context.variant(variant, recipe, family="retrieval")
    if 0 in wanted and len(wanted) > 1 and _scored_upstream(context):
        del recipes[f"{named}-0"]
    score_variants(context, load_base(context.spec.base), recipes, Shelf(context.workspace))


def _scored_upstream(context: RunContext) -> bool:
    """Say whether the run that made the variant scored it under this run's protocol."""
    run_id = context.spec.upstream["over"]
    return read_spec(context.workspace.run_folder(run_id)).protocol == context.spec.protocol
