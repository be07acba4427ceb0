"""Scores a variant that also reads the persona's own nearest training interactions, for several k."""

from __future__ import annotations

from engine.lm.load import load_base
from engine.lm.recipes import Recipe, Shelf
from engine.lm.retrieve import MemoryIndex
from engine.lm.scorer import Scorer
from engine.runfolder import RunContext, read_spec
from engine.steps.scoring import (
    Answer,
    answer,
    declare_protocol,
    embedding_progress,
    example_set,
    prompts_for,
    write_scores,
)


def run(context: RunContext) -> None:
    """Score "<over>+retrieval-k" for each k; k = 0 is the variant itself and scored only where it is not."""
    over = context.spec.parameters["over"]
    adapters = ((context.spec.upstream["over"], over),) if over != "base" else ()
    context.progress("load", 0, 1)
    base = load_base(context.spec.base)
    chosen = example_set(context)
    protocol = declare_protocol(context, chosen, base)
    shelf = Shelf(context.workspace)
    scorer = Scorer(context.workspace)
    asked = {example.persona_id for _, example in chosen.all}
    index = MemoryIndex(
        scorer,
        chosen.dataset,
        chosen.splits,
        personas=asked,
        on_progress=embedding_progress(context, "load", unit="memories"),
    )
    wanted = sorted(set(context.spec.parameters["k"]))
    if 0 in wanted and len(wanted) > 1 and _scored_upstream(context):
        context.variant(f"{over}+retrieval-0", Recipe(adapters).as_json(), family="retrieval")
        wanted.remove(0)
    total, answers = len(wanted) * len(chosen.all), list[Answer]()
    for k in wanted:
        recipe = Recipe(adapters, memories=k)
        variant = f"{over}+retrieval-{k}"
        context.variant(variant, recipe.as_json(), family="retrieval")
        prompts = prompts_for(
            base, chosen, recipe, max_new_tokens=context.spec.protocol["max_new_tokens"], index=index
        )

        def tell(done: int, before: int = len(answers)) -> None:
            context.progress("generate", before + done, total, unit="replies")

        answers += answer(
            context,
            base,
            variant,
            chosen,
            prompts,
            progress=tell,
            recipe=recipe,
            shelf=shelf,
        )
    write_scores(context, answers, protocol, scorer)


def _scored_upstream(context: RunContext) -> bool:
    """Say whether the run that made the variant scored it under this run's protocol."""
    run_id = context.spec.upstream["over"]
    return read_spec(context.workspace.run_folder(run_id)).protocol == context.spec.protocol
