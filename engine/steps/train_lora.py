"""Trains one LoRA adapter on all personas' train dialogues, then scores it: the unified model."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from peft import PeftModel
from transformers.pytorch_utils import Conv1D

from engine.data.dataset import load_dataset, load_splits
from engine.errors import EngineError
from engine.lm.encode import Encoded, encode_chat
from engine.lm.load import Base, load_base
from engine.lm.prompts import chat, system_text
from engine.lm.recipes import Recipe, model_for
from engine.lm.scorer import Scorer
from engine.lm.train import Hooks, Stopped, Trainer, TrainSettings, new_adapter
from engine.runfolder import Cancelled, RunContext
from engine.steps.scoring import answer, declare_protocol, example_set, prompts_for, write_scores
from engine.types import Dialogue

CHECKPOINT = "checkpoint"
_WANTED_STEPS, _MOST_AT_ONCE = 600, 8


def run(context: RunContext) -> None:
    """Train the adapter unless an earlier attempt did, then score it on the protocol's examples."""
    variant = context.spec.experiment
    context.progress("load", 0, 1)
    if not (context.adapters / variant / "adapter_config.json").exists():
        _train(context, variant)
    base = load_base(context.spec.base)
    chosen = example_set(context)
    protocol = declare_protocol(context, chosen, base)
    recipe = Recipe(adapters=((context.spec.run_id, variant),))
    scored = Base(model_for(base, context.workspace, recipe.adapters), base.tokenizer, base.name)
    prompts = prompts_for(base, chosen, recipe, max_new_tokens=context.spec.protocol["max_new_tokens"])
    answers = answer(
        context,
        scored,
        variant,
        chosen,
        prompts,
        progress=lambda done: context.progress("generate", done, len(prompts), unit="replies"),
    )
    write_scores(context, answers, protocol, Scorer())


def _train(context: RunContext, variant: str) -> None:
    base = load_base(context.spec.base)
    train, val = training_dialogues(context, base)
    settings = train_settings(context, dialogues=len(train))
    _check_modules(base, settings)
    trainer = Trainer(
        new_adapter(base.model, settings, variant),
        settings,
        pad_id=base.tokenizer.pad_token_id or 0,
        checkpoint=context.folder / CHECKPOINT,
        hooks=Hooks(
            progress=lambda done, total: context.progress("train", done, total, unit="steps"),
            loss=lambda split, step, epoch, nats: context.event(
                "loss", split=split, step=step, epoch=epoch, loss_nats=nats
            ),
            stop=context.stop_requested,
            say=context.log,
        ),
    )
    context.log(
        f"{trainer.parameters_trained} parameters, {len(train)} train and {len(val)} validation dialogues, "
        f"{settings.batch_size} a step"
    )
    try:
        state = trainer.fit(train, val)
    except Stopped as stopped:
        raise Cancelled from stopped
    judged = f"validation loss {state.best_loss:.4f} nats" if val else "the last one, without validation"
    context.log(f"best epoch {state.best_epoch + 1} of {settings.epochs}, {judged}")
    context.variant(
        variant,
        Recipe(adapters=((context.spec.run_id, variant),)).as_json(),
        family="unified",
        parameters_trained=trainer.parameters_trained,
        train_seconds=state.seconds,
    )
    context.summary(
        best_epoch=state.best_epoch + 1,
        train_seconds=state.seconds,
        train_dialogues=len(train),
        **({"val_loss_nats": state.best_loss} if val else {}),
    )
    _keep_adapter(trainer.model, context.adapters, variant)
    shutil.rmtree(context.folder / CHECKPOINT, ignore_errors=True)


def _keep_adapter(model: PeftModel, folder: Path, name: str) -> None:
    """Save the adapter as folder/name in PEFT's format; it is there whole or not at all."""
    part = folder / ".part"
    model.save_pretrained(str(part), safe_serialization=True, selected_adapters=[name])
    os.replace(part / name, folder / name)
    shutil.rmtree(part)


def train_settings(context: RunContext, *, dialogues: int) -> TrainSettings:
    """Return the spec's parameters as the trainer's settings; an open batch size is chosen by the data's.

    Small data is trained in small batches, for at least some hundred steps; large data up to 8 at once.
    """
    given = {name: value for name, value in context.spec.parameters.items() if name != "personas"}
    given["target_modules"] = tuple(given["target_modules"])
    fitting = min(_MOST_AT_ONCE, max(1, dialogues * given["epochs"] // _WANTED_STEPS))
    given["batch_size"] = given["batch_size"] or fitting
    return TrainSettings(**given, seed=context.spec.seed)


def training_dialogues(context: RunContext, base: Base) -> tuple[list[Encoded], list[Encoded]]:
    """Return the encoded train and validation dialogues, of a seeded subset of personas if so wished."""
    dataset, splits = load_dataset(context.workspace), load_splits(context.workspace)
    wanted = context.spec.parameters.get("personas")
    ids = sorted({d.persona_id for d in dataset.dialogues if splits.assignment.get(d.dialogue_id) == "train"})
    if wanted is not None and wanted < len(ids):
        ids = random.Random(f"subset/{context.spec.seed}").sample(ids, wanted)
    kept = set(ids)
    encoded: dict[str, list[Encoded]] = {"train": [], "val": []}
    too_long = 0
    window = int(getattr(base.model.config, "max_position_embeddings", None) or 4096)
    for dialogue in dataset.dialogues:
        split = splits.assignment.get(dialogue.dialogue_id)
        others_judge = split == "val" and splits.scheme == "by-persona"
        if split in encoded and (dialogue.persona_id in kept or others_judge):
            row = _encode(base, dialogue)
            if len(row) > window:
                too_long += 1
            elif any(row.is_reply):
                encoded[split].append(row)
    if too_long:
        context.log(f"{too_long} dialogues are left out: longer than the model's window of {window} tokens")
    if not encoded["train"]:
        raise EngineError(
            "No train dialogue holds a reply that fits the model's window.",
            "Import data with assistant turns, or choose a base with a longer context.",
        )
    return encoded["train"], encoded["val"]


def _encode(base: Base, dialogue: Dialogue) -> Encoded:
    return encode_chat(base.tokenizer, chat(system_text(meta=dialogue.meta), dialogue.messages))


def _check_modules(base: Base, settings: TrainSettings) -> None:
    known = {
        name.rsplit(".", 1)[-1]
        for name, module in base.model.named_modules()
        if hasattr(module, "in_features") or isinstance(module, Conv1D)
    }
    missing = [name for name in settings.target_modules if name not in known]
    if missing:
        raise EngineError(
            f"The base model has no layer called {', '.join(missing)}.",
            f"target_modules may hold: {', '.join(sorted(known - {'lm_head'}))}.",
        )
