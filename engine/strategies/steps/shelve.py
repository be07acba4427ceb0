"""Puts a run's adapters into one library that every token chooses from, and scores it. Trains nothing."""

import time

from engine.lm.arrow import library_of, save_library
from engine.lm.effects import Library
from engine.lm.load import load_base
from engine.lm.recipes import Shelf, read_personas
from engine.runs.context import RunContext
from engine.strategies import registry
from engine.strategies.steps.merge import recipe_with
from engine.strategies.steps.scoring import score_variants
from engine.strategies.steps.sources import Sources

_NAME = "library"


def run(context: RunContext) -> None:
    """Make the library unless an earlier attempt did, then score the variant on everybody."""
    context.progress("load", 0, 1)
    shelf, base = Shelf(context.workspace), load_base(context.spec.base)
    recipe = recipe_with(context, Library(context.spec.run_id, _NAME))
    name = registry.variant_of(context.spec, context.workspace)
    if not (context.adapters / _NAME).is_dir():
        began = time.perf_counter()
        sources = Sources.of(read_personas(context.workspace, context.spec.upstream["adapters"]))
        asked = context.spec.parameters
        loras = [shelf.lora(run, adapter) for run, adapter in sources.adapters]
        library = library_of(loras, top_k=asked["top_k"], temperature=asked["temperature"])
        seconds = time.perf_counter() - began
        context.progress("merge", 1, 1, unit="libraries")
        context.variant(name, recipe.as_json(), family="merge", train_seconds=seconds)
        context.summary(adapters=len(loras), merge_seconds=seconds)
        context.log(f"A library of {len(loras)} adapters in {seconds:.1f} s; a token takes {asked['top_k']}")
        # Last: where it lies, all the rest is told.
        save_library(library, context.adapters / _NAME, base=context.spec.base)
    score_variants(context, {name: recipe}, base=base, shelf=shelf)
