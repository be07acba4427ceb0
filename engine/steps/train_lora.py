"""Trains one LoRA adapter on all personas' train dialogues, then scores it: the unified model."""

from __future__ import annotations

import random

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
    settings = train_settings(context)
    _check_modules(base, settings)
    train, val = training_dialogues(context, base)
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
        ),
    )
    context.log(
        f"{trainer.parameters_trained} parameters, {len(train)} train and {len(val)} validation dialogues"
    )
    try:
        state = trainer.fit(train, val)
    except Stopped as stopped:
        raise Cancelled from stopped
    context.log(
        f"best epoch {state.best_epoch + 1} of {settings.epochs}, validation loss {state.best_loss:.4f} nats"
    )
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
    # PEFT puts an adapter that is not called "default" into a folder of its name.
    trainer.model.save_pretrained(context.adapters, safe_serialization=True, selected_adapters=[variant])


def train_settings(context: RunContext) -> TrainSettings:
    """Return the spec's parameters as the trainer's settings."""
    given = {name: value for name, value in context.spec.parameters.items() if name != "personas"}
    given["target_modules"] = tuple(given["target_modules"])
    return TrainSettings(**given, seed=context.spec.seed)


def training_dialogues(context: RunContext, base: Base) -> tuple[list[Encoded], list[Encoded]]:
    """Return the encoded train and validation dialogues, of a seeded subset of personas if so wished."""
    dataset, splits = load_dataset(context.workspace), load_splits(context.workspace)
    wanted = context.spec.parameters.get("personas")
    ids = sorted({dialogue.persona_id for dialogue in dataset.dialogues})
    if wanted is not None and wanted < len(ids):
        ids = random.Random(f"subset/{context.spec.seed}").sample(ids, wanted)
    kept = set(ids)
    encoded: dict[str, list[Encoded]] = {"train": [], "val": []}
    window = int(getattr(base.model.config, "max_position_embeddings", None) or 4096)
    for dialogue in dataset.dialogues:
        split = splits.assignment.get(dialogue.dialogue_id)
        if split in encoded and (dialogue.persona_id in kept or splits.scheme == "by-persona"):
            row = _encode(base, dialogue)
            if any(row.is_reply) and len(row) <= window:
                encoded[split].append(row)
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
        if hasattr(module, "in_features")
    }
    missing = [name for name in settings.target_modules if name not in known]
    if missing:
        raise EngineError(
            f"The base model has no layer called {', '.join(missing)}.",
            f"target_modules may hold: {', '.join(sorted(known - {'lm_head'}))}.",
        )
