"""Merges the adapters that a run trained for single personas, and scores the result. Trains nothing.

Exact merges leave weights only (models/<run>/personas.json); the lossy ones by name (svd, ties, dare,
linear) leave adapters in PEFT's format. Either way weights.json in the run's folder says how much of whose
adapter went into what. Weights come from training and validation, never from test.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from engine.core.errors import EngineError
from engine.core.paths import folder_name, write_json
from engine.data.dataset import load_splits
from engine.lm.adapters import Lora, save_lora
from engine.lm.effects import Effect, Own, Recipe, Stored, Weights, read_recipe
from engine.lm.load import Base, load_base
from engine.lm.merge import Stack, concatenated, dare, linear, low_rank, stacked, ties, truncated
from engine.lm.merge_weights import Mix
from engine.lm.recipes import PERSONAS, Shelf, read_personas, write_personas
from engine.lm.shape import LoraShape
from engine.runs.context import RunContext
from engine.runs.runfolder import declared
from engine.strategies import registry
from engine.strategies.merges import WEIGHTS
from engine.strategies.steps.crossing import Crossed, write_crossed
from engine.strategies.steps.merge_learned import members_loras
from engine.strategies.steps.merge_mixes import mixes_of
from engine.strategies.steps.scoring import score_variants
from engine.strategies.steps.sources import Sources, shares_of


def run(context: RunContext) -> None:
    """Merge unless an earlier attempt did, then score the variant on the personas it exists for."""
    context.progress("load", 0, 1)
    shelf = Shelf(context.workspace)
    base = load_base(context.spec.base)
    recipe = recipe_with(context, Own(context.spec.run_id))
    if not (context.adapters / PERSONAS).exists():
        _merge(context, shelf, base, recipe)
    crossed = Crossed(context.workspace, context.spec.run_id)
    name = registry.variant_of(context.spec, context.workspace)
    score_variants(context, {name: recipe}, base=base, shelf=shelf, instead=crossed)


def _merge(context: RunContext, shelf: Shelf, base: Base, recipe: Recipe) -> None:
    began = time.perf_counter()
    parameters = context.spec.parameters
    sums = read_personas(context.workspace, context.spec.upstream["adapters"])
    sources = Sources.of(sums)
    below = tuple(effect for effect in recipe.effects if isinstance(effect, Stored))
    made = mixes_of(context, sources, shelf, base, below)
    mixes = made.final
    if parameters["combine"] == "exact":
        adapters = {mix.name: sources.parts(mix) for mix in made.all}
        for mix in made.all:
            if mix.by_module:
                _write_by_module(context, sources, mix, shelf, architecture=base.model.config.model_type)
                adapters[mix.name] = (Weights(context.spec.run_id, folder_name(mix.name)),)
    else:
        _write_lossy(context, sources, made.all, shelf, architecture=base.model.config.model_type)
        adapters = {mix.name: (Weights(context.spec.run_id, folder_name(mix.name)),) for mix in made.all}
    by_fold = [{one: adapters[mix.name] for mix in part for one in mix.members} for part in made.crossed]
    write_crossed(context.workspace, context.spec.run_id, by_fold, made.fold_of)
    write_json(context.folder / WEIGHTS, weights_json(mixes, parameters))
    seconds = time.perf_counter() - began
    name = registry.variant_of(context.spec, context.workspace)
    context.variant(name, recipe.as_json(), family="merge", train_seconds=seconds)
    effective = [mix.effective for mix in mixes]
    context.summary(merges=len(mixes), merge_seconds=seconds, effective_adapters=float(np.mean(effective)))
    context.log(
        f"{len(mixes)} merges ({parameters['combine']}) of {len(sources.adapters)} adapters in "
        f"{seconds:.1f} s; a merge amounts to {np.mean(effective):.1f} adapters"
    )
    # What is merged for everybody alike serves who is kept out of training, too.
    alike = parameters["method"] == "average"
    strangers = sorted(load_splits(context.workspace).unseen) if alike else []
    write_personas(
        context.workspace,
        context.spec.run_id,
        {persona: adapters[mix.name] for mix in mixes for persona in (*mix.members, *strangers)},
    )


def weights_json(mixes: Sequence[Mix], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the weights of every merge, and which merge each persona gets, as a JSON object."""
    return {
        "method": parameters["method"],
        "combine": parameters["combine"],
        "merges": {
            mix.name: {
                "effective_adapters": mix.effective,
                "weights": dict(mix.weights),
                **({"members": mix.members, "by_module": dict(mix.by_module)} if mix.by_module else {}),
            }
            for mix in mixes
        },
        "assignment": {persona: mix.name for mix in mixes for persona in mix.members},
    }


def recipe_with(context: RunContext, own: Effect) -> Recipe:
    """Return the recipe of the run whose adapters are taken, an effect of this run's in place of its own."""
    upstream = context.spec.upstream["adapters"]
    for entry in declared(context.workspace.run_folder(upstream), "variants", []):
        recipe = read_recipe(entry["recipe"])
        if Own(upstream) in recipe.effects:
            return Recipe(tuple(own if one == Own(upstream) else one for one in recipe.effects))
    raise EngineError(
        f"{upstream} has no variant with an adapter for each persona.", "Take the adapters of another run."
    )


def _write_lossy(
    context: RunContext, sources: Sources, mixes: Sequence[Mix], shelf: Shelf, *, architecture: str
) -> None:
    """Write each mix as an adapter of its own in PEFT's format."""
    loras = [shelf.lora(run, name) for run, name in sources.adapters]
    stacks = stacked(loras)
    combine = context.spec.parameters["combine"]
    most = max(stack.a.shape[1] for stack in stacks.values())
    rank = most if combine == "linear" else context.spec.parameters["rank"] or most
    shape = LoraShape.whole(rank, stacks)
    random = torch.Generator().manual_seed(context.spec.seed)
    for done, mix in enumerate(mixes):
        weights = shares_of(sources, sources.parts(mix))
        factors = {
            path: _combined(stack, weights, context.spec.parameters, rank=rank, random=random)
            for path, stack in stacks.items()
        }
        folder = context.adapters / folder_name(mix.name)
        lora = Lora(factors, shape.scale)
        save_lora(lora, shape, folder, base=context.spec.base, architecture=architecture)
        context.progress("merge", done + 1, len(mixes), unit="merges")


def _write_by_module(
    context: RunContext, sources: Sources, mix: Mix, shelf: Shelf, *, architecture: str
) -> None:
    """Write a mix whose weights differ from module to module: the exact sum, of all its adapters' rank."""
    stacks = stacked(members_loras(sources, shelf, mix))
    factors = {path: concatenated(stack, torch.tensor(mix.by_module[path])) for path, stack in stacks.items()}
    shape = LoraShape.whole(max(a.shape[0] for a, _ in factors.values()), factors)
    folder, lora = context.adapters / folder_name(mix.name), Lora(factors, shape.scale)
    save_lora(lora, shape, folder, base=context.spec.base, architecture=architecture)


def _combined(
    stack: Stack, weights: torch.Tensor, parameters: Mapping[str, Any], *, rank: int, random: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    combine = parameters["combine"]
    if combine == "svd":
        return low_rank(stack, weights, rank)
    if combine == "linear":
        return linear(stack, weights)
    if combine == "ties":
        return truncated(ties(stack, weights, parameters["density"]), rank)
    return truncated(dare(stack, weights, parameters["density"], random=random), rank)
