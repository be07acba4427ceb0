"""Steering vectors: read from each persona's training replies, their layer and scale chosen on val.

A vector is the mean difference, at one layer, between her own replies and the model's to the same prompts.
Trains nothing and reads nothing of test. Leaves one file of offsets a persona (models/<run>/), vectors.json
(which replies each was read from) and sweep.json (what was tried on val).
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from engine.core.errors import EngineError
from engine.core.paths import folder_name, write_json
from engine.core.types import Example
from engine.data.dataset import choose_examples, examples
from engine.lm.activations import Offsets, layer_of, save_offsets
from engine.lm.asking import Ask, Asker
from engine.lm.bank import Change, change_of, written
from engine.lm.effects import Activations, Own, Recipe, Weights
from engine.lm.load import Base, load_base
from engine.lm.recipes import PERSONAS, Shelf, write_personas
from engine.lm.reply_states import behind, reply_states
from engine.lm.scorer import Scorer
from engine.lm.window import window_of
from engine.runs.context import Cancelled, RunContext
from engine.strategies import registry
from engine.strategies.steps.choosing import Tried, kept, val_examples, write_sweep
from engine.strategies.steps.crossing import Crossed, Kept, write_crossed
from engine.strategies.steps.lessons import train_ids
from engine.strategies.steps.made import made_by
from engine.strategies.steps.scoring import ExampleSet, answer, asker_for, example_set, score_variants

VECTORS = "vectors.json"
Vectors = Mapping[str, Mapping[int, Tensor]]
"""Persona -> layer -> what is added there, [d]."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    layer: int
    scale: float

    @property
    def name(self) -> str:
        return f"layer {self.layer} x {self.scale:g}"


def run(context: RunContext) -> None:
    """Read the vectors and choose layer and scale unless an earlier attempt did, then score the variant."""
    context.progress("load", 0, 1)
    base, shelf, scorer = load_base(context.spec.base), Shelf(context.workspace), Scorer(context.workspace)
    over = made_by(context, "over").recipe
    asker = asker_for(context, base, shelf, scorer)
    if not (context.adapters / PERSONAS).exists():
        _make(context, base, shelf, asker, scorer, over)
    found = kept(context)
    assert found is not None  # `_make` writes it before the vectors
    own = Recipe((*over.effects, Own(context.spec.run_id)))
    recipe = own if found.is_choice or found.best["scale"] else over
    name = registry.variant_of(context.spec, context.workspace)
    context.variant(name, recipe.as_json(), family="steering")
    context.summary(**found.best)
    crossed = Crossed(context.workspace, context.spec.run_id)
    score_variants(context, {name: recipe}, base=base, shelf=shelf, instead=crossed)


def _make(context: RunContext, base: Base, shelf: Shelf, asker: Asker, scorer: Scorer, over: Recipe) -> None:
    below = [(shelf.lora(one.run, one.name), one.weight) for one in over.effects if isinstance(one, Weights)]
    layers = _layers(context, base)
    told = _told(context, asker, over)
    began = time.perf_counter()
    vectors = _vectors(context, base, asker, over, change_of(below), told, layers)
    seconds = time.perf_counter() - began
    found, scores = _chosen(context, base, asker, scorer, over, below, vectors, layers)
    names = {persona: folder_name(persona) for persona in vectors}

    def effects(of: Mapping[str, Any]) -> dict[str, list[Activations]]:
        """What acts for each persona at a layer and scale; its vectors are written."""
        if not of["scale"]:
            return {persona: [] for persona in names}
        there = "" if of["layer"] == found.best["layer"] else f"-layer-{of['layer']}"
        for persona, name in names.items():
            offsets = Offsets({of["layer"]: vectors[persona][of["layer"]]})
            save_offsets(offsets, context.adapters / f"{name}{there}", base=context.spec.base)
        run = context.spec.run_id
        return {persona: [Activations(run, f"{name}{there}", of["scale"])] for persona, name in names.items()}

    read = [(one.persona_id, one.example_id) for _, one in told.all]
    used = {persona: [example for whose, example in read if whose == persona] for persona in vectors}
    write_json(context.folder / VECTORS, used)
    write_sweep(context, "depths, scales", scores, found, title="Layer and scale of the steering vectors")
    context.summary(vectors=len(vectors), vector_seconds=seconds)
    context.log(f"{len(vectors)} vectors in {seconds:.1f} s; kept: {_Candidate(**found.best).name}")
    write_crossed(context.workspace, context.spec.run_id, [effects(one) for one in found.by_fold], found.of)
    write_personas(context.workspace, context.spec.run_id, effects(found.best))


def _layers(context: RunContext, base: Base) -> list[int]:
    """Return the layers to try: those that have so large a share of the decoder's layers below them."""
    depth = int(base.model.config.get_text_config().num_hidden_layers)
    layers = sorted({int(share * depth) for share in context.spec.parameters["depths"]})
    for number in layers:
        layer_of(base.model, number)
    return layers


def _told(context: RunContext, asker: Asker, over: Recipe) -> ExampleSet:
    """Return the training replies of every persona that fit the window; of unseen ones those before what is
    judged, which nothing is chosen by."""
    whole, asked = example_set(context), context.spec.parameters
    ids = set(train_ids(whole.dataset, whole.splits, asked))
    found = [one for one in examples(whole.dataset, whole.splits, "train") if one.dialogue_id in ids]
    found += examples(whole.dataset, whole.splits, "history")
    chosen = choose_examples(found, asked["replies"])
    fitting = asker.fitting(over, [one for one in chosen if one.reference.strip()])
    if not fitting:
        raise EngineError(
            "There is no training reply that fits the model's window.",
            "Import data with assistant turns, or choose a base with a longer context.",
        )
    return ExampleSet(whole.dataset, whole.splits, {"train": tuple(fitting)})


def _vectors(
    context: RunContext,
    base: Base,
    asker: Asker,
    over: Recipe,
    below: Change | None,
    told: ExampleSet,
    layers: Sequence[int],
) -> dict[str, dict[int, Tensor]]:
    """Return each persona's mean difference between her replies and the model's own, layer by layer."""
    asked = [one for _, one in told.all]
    asks = asker.asks(over, asked)

    def tell(done: int) -> None:
        context.progress("replies", done, len(asked), unit="replies")

    generic = answer(context, base, "generic", told, asks, progress=tell)
    room = window_of(base.model)
    rows, owners = [], list[str]()
    for example, ask, said in zip(asked, asks, generic, strict=True):
        pair = [
            behind(ask.rows[0].ids, base.tokenizer(text, add_special_tokens=False)["input_ids"], room=room)
            for text in (example.reference, said.reply.text)
        ]
        if all(any(row.is_reply) for row in pair):  # a model that says nothing has nothing to be told from
            rows += pair
            owners.append(example.persona_id)

    def read(done: int) -> None:
        if context.stop_requested():
            raise Cancelled
        context.progress("states", done, len(rows), unit="replies")

    with ExitStack() as under:
        under.enter_context(written(base.model, below))
        states = reply_states(base.model, rows, layers, pad_id=base.pad_id, progress=read)
    differences = {number: found[0::2] - found[1::2] for number, found in states.items()}
    return {
        persona: {
            number: found[torch.tensor([owner == persona for owner in owners])].mean(dim=0)
            for number, found in differences.items()
        }
        for persona in dict.fromkeys(owners)
    }


def _chosen(
    context: RunContext,
    base: Base,
    asker: Asker,
    scorer: Scorer,
    over: Recipe,
    below: Sequence[Any],
    vectors: Vectors,
    layers: Sequence[int],
) -> tuple[Kept, dict[str, float]]:
    """Return the best candidate on val, and what all came to: layers at the middle scale, then scales."""
    scales = list(context.spec.parameters["scales"])
    middle = sorted(scales)[len(scales) // 2]
    if len(layers) * len(scales) == 1:
        return Kept(asdict(_Candidate(layers[0], middle))), {}
    val = val_examples(context, asker, over, parameter="scales").where(lambda persona: persona in vectors)
    tried = Tried(context, base, scorer, val, of=len(layers) + len(scales) - 1)

    def best(candidates: Sequence[_Candidate], fold: int | None) -> _Candidate:
        by_name = {one.name: one for one in candidates}
        tried.answer(
            {
                name: (lambda asked, one=one: _steered(asker.asks(over, asked), asked, below, vectors, one))  # type: ignore[misc]
                for name, one in by_name.items()
            }
        )
        return by_name[tried.best(list(by_name), without=fold)]

    def choose(fold: int | None) -> dict[str, Any]:
        where = best([_Candidate(layer, middle) for layer in layers], fold)
        return asdict(best([_Candidate(where.layer, scale) for scale in scales], fold))

    return tried.crossed(choose), tried.scores


def _steered(
    asks: Sequence[Ask],
    asked: Sequence[Example],
    below: Sequence[Any],
    vectors: Vectors,
    candidate: _Candidate,
) -> list[Ask]:
    """Return the asks with each persona's vector added; rows of a persona share one change."""
    layer, scale = candidate.layer, candidate.scale
    changes = {
        persona: change_of(below, None, [(Offsets({layer: found[layer]}), scale)])
        for persona, found in vectors.items()
    }
    return [
        replace(ask, rows=tuple(replace(row, change=changes[example.persona_id]) for row in ask.rows))
        for ask, example in zip(asks, asked, strict=True)
    ]
