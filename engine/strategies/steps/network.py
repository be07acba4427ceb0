"""Trains a network from what is known of a persona to what acts for her, and scores it for everybody.

It is trained on the dialogues of those whom unified knows, less some that are held out of all training: the
loss on their val dialogues says when to stop. A persona's dialogue is read without itself. Leaves
network.safetensors (the network, with the middle and spread of what it reads), trained.json (on whom, who was
held out) and what acts for each.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from engine.core.errors import EngineError
from engine.core.paths import folder_name, read_json, write_atomically, write_json
from engine.data.dataset import hash_of, load_dataset, load_splits
from engine.lm.bank import written
from engine.lm.effects import Own, Recipe, Weights
from engine.lm.encode import Encoded
from engine.lm.forms import seed_of
from engine.lm.known import Known, Scale
from engine.lm.load import Base, load_base
from engine.lm.persona_network import NETWORK, NetworkForm, loss_of
from engine.lm.recipes import PERSONAS, Shelf, write_personas
from engine.lm.scorer import Scorer
from engine.lm.tensor_file import load_tensors, packed
from engine.lm.train import Lesson, Stopped, Trained, Trainer, evaluate_loss
from engine.runs.context import Cancelled, RunContext
from engine.strategies import registry
from engine.strategies.budgets import TRAINING
from engine.strategies.networks import told_apart
from engine.strategies.steps.lessons import dialogues_of, hooks_of, record_of, train_settings
from engine.strategies.steps.scoring import score_variants

WHO = "trained.json"
_CHECKPOINT, _UNIFIED = "checkpoint", "unified"
_MIDDLE, _SPREAD = "known|middle", "known|spread"
FormOver = Callable[[Base, Tensor], NetworkForm]
"""From a base and what is known [N, d] to the form of the network."""


@dataclass(frozen=True, slots=True)
class People:
    """Whom a network is trained on, and who is held out of its training. Nobody is both."""

    trained: tuple[str, ...]
    held_out: tuple[str, ...]


def people(context: RunContext) -> People:
    """Return who is trained on and who is held out, of those whom unified below was trained on.

    Raises EngineError where they are too few.
    """
    (record,) = read_json(context.workspace.run_folder(context.spec.upstream[_UNIFIED]) / TRAINING)
    known = sorted(record["personas"], key=lambda one: hash_of(f"held-out:{context.spec.seed}:{one}"))
    most = told_apart(len(known), context.spec)
    return People(tuple(sorted(known[most:])), tuple(sorted(known[:most])))


def run(context: RunContext, form_over: FormOver) -> None:
    """Train the network unless an earlier attempt did, then score its variant for all that it can read of."""
    context.progress("load", 0, 1)
    base, shelf, scorer = load_base(context.spec.base), Shelf(context.workspace), Scorer(context.workspace)
    asked = context.spec.parameters
    dataset, splits = load_dataset(context.workspace), load_splits(context.workspace)
    known = Known(dataset, splits, scorer, which=asked["features"], history=asked["history"])
    if not (context.folder / TRAINING).exists():
        _train(context, base, shelf, known, form_over)
    if not (context.adapters / PERSONAS).exists():
        everybody = [one.persona_id for one in dataset.personas if known.knows(one.persona_id)]
        _put(context, base, known, form_over, everybody)
    below = Weights(context.spec.upstream[_UNIFIED], _UNIFIED)
    recipe = Recipe((below, Own(context.spec.run_id)))
    (record,) = read_json(context.folder / TRAINING)
    name = registry.variant_of(context.spec, context.workspace)
    context.variant(
        name,
        recipe.as_json(),
        family="network",
        parameters_trained=record["parameters"],
        train_seconds=record["seconds"],
    )
    score_variants(context, {name: recipe}, base=base, shelf=shelf)


def _train(context: RunContext, base: Base, shelf: Shelf, known: Known, form_over: FormOver) -> None:
    who = people(context)
    write_json(context.folder / WHO, {"trained": who.trained, "held_out": who.held_out})
    scale, rows = known.scale(who.trained), list[Tensor]()

    def read(persona: str, without: str | None = None) -> int:
        rows.append(torch.from_numpy(scale.read(known.of(persona, without=without))))
        return len(rows) - 1

    taken = context.spec.parameters.get("length", 0)

    def told(personas: tuple[str, ...], split: Any) -> list[Encoded]:
        found = dialogues_of(context, base, personas, split, taken=taken)
        return [
            replace(row, whose=read(persona, dialogue if split == "train" else None))
            for (persona, dialogue), of_it in found.items()
            for row in of_it
        ]

    train = told(who.trained, "train")
    # Unified below knows their train dialogues by heart; away from it those could only be worse.
    judges = told(who.held_out, "val") or told(who.held_out, "train")
    if not train or not judges:
        raise EngineError(
            "There is no dialogue to train on, or none of those held out, that fits the model's window.",
            "Import data with assistant turns, or choose a base with a longer context.",
        )
    form, settings = form_over(base, torch.stack(rows)), train_settings(context, dialogues=len(train))
    with ExitStack() as under:
        below = shelf.change((Weights(context.spec.upstream[_UNIFIED], _UNIFIED),))
        under.enter_context(written(base.model, below))
        plain = evaluate_loss(base.model, judges, pad_id=base.pad_id)
        apart = torch.stack([torch.from_numpy(scale.read(known.of(one))) for one in who.trained])
        start = form.start(seed=seed_of(context.spec.seed, context.spec.experiment, "start"))
        start |= form.code_along(apart)
        untrained = loss_of(base.model, form, start, judges, pad_id=base.pad_id)
        lesson = Lesson(context.spec.experiment, train, judges, start=start)
        trainer = Trainer(
            base.model, form, settings, [lesson],
            pad_id=base.pad_id, checkpoint=context.folder / _CHECKPOINT, hooks=hooks_of(context),
        )  # fmt: skip
        began = time.perf_counter()
        try:
            (trained,) = trainer.fit()
        except Stopped as stopped:
            raise Cancelled from stopped
    if trained.best_loss > untrained:  # what it learned of some does not hold for others
        trained = replace(trained, weights=start, best_epoch=-1, best_loss=untrained)
    shutil.rmtree(context.folder / _CHECKPOINT, ignore_errors=True)
    whole = {_MIDDLE: torch.from_numpy(scale.middle), _SPREAD: torch.from_numpy(scale.spread)}
    write_atomically(context.adapters / NETWORK, packed({**trained.weights, **whole}))
    seconds = max(trainer.seconds, time.perf_counter() - began)
    _tell(context, who, trained, train, trainer.parameters_each, seconds=seconds, plain=plain)


def _tell(
    context: RunContext,
    who: People,
    trained: Trained,
    train: list[Encoded],
    parameters: int,
    *,
    seconds: float,
    plain: float,
) -> None:
    """Write the record of the training, as of every other, and say what it came to for those held out."""
    epochs = len(trained.val_losses)
    amount = {"train_dialogues": len(train), "epochs": epochs, "tokens": epochs * sum(map(len, train))}
    record = record_of(trained, parameters, seconds=seconds)
    write_json(context.folder / TRAINING, [{**record, "personas": list(who.trained), **amount}])
    context.summary(
        personas_trained_on=len(who.trained),
        personas_held_out=len(who.held_out),
        parameters_trained=parameters,
        train_seconds=seconds,
        train_dialogues=len(train),
        steps=trained.steps,
        best_epoch=trained.best_epoch + 1,
        val_loss_nats=trained.best_loss,
        unified_loss_nats=plain,
    )
    context.log(
        f"{parameters} parameters, trained on {len(who.trained)} personas; for the {len(who.held_out)} held "
        f"out {trained.best_loss:.4f} nats at epoch {trained.best_epoch + 1}, {plain:.4f} with unified alone"
    )


def _put(context: RunContext, base: Base, known: Known, form_over: FormOver, everybody: list[str]) -> None:
    """Write what acts for each persona, by the network as it lies on disk."""
    tensors = load_tensors(context.adapters / NETWORK)
    scale = Scale(tensors.pop(_MIDDLE).numpy(), tensors.pop(_SPREAD).numpy())
    rows: Mapping[str, Tensor] = {
        folder_name(one): torch.from_numpy(scale.read(known.of(one))) for one in everybody
    }
    form = form_over(base, torch.stack(list(rows.values())))
    found = form.put(
        tensors, rows, context.adapters, run=context.spec.run_id, base=context.spec.base, model=base.model
    )
    own = {one: found[folder_name(one)] for one in everybody}
    write_personas(context.workspace, context.spec.run_id, own)
