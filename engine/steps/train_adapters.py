"""Trains adapters on groups of personas and scores them: one for all, one a cluster, one a persona.

All of a run's adapters are trained together over one frozen base, in waves where memory is short. With
`over` = "unified" the unified adapter is part of the frozen model and each new adapter a delta upon it.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from engine.data.dataset import load_dataset, load_splits
from engine.errors import EngineError
from engine.lm.bank import written
from engine.lm.encode import Encoded, encode_chat, encode_prompt
from engine.lm.forms import Form, LoraKind
from engine.lm.load import Base, load_base
from engine.lm.prefix import PrefixKind
from engine.lm.prompts import INSTRUCTION, chat, system_text
from engine.lm.recipes import Recipe, Shelf, write_personas
from engine.lm.train import Hooks, Lesson, Stopped, Trained, Trainer, TrainSettings
from engine.paths import read_json, write_json
from engine.runfolder import Cancelled, RunContext
from engine.steps.scoring import score_variant
from engine.types import Dialogue

CHECKPOINT, TRAINING = "checkpoint", "training.json"
_WANTED_STEPS, _MOST_AT_ONCE = 600, 8
_BYTES_A_PARAMETER = 5 * 4  # the weight, its best epoch, two moments and a gradient, in fp32
_SETTINGS = tuple(TrainSettings.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Group:
    """The personas that share an adapter, and the folder name of that adapter."""

    name: str
    personas: tuple[str, ...]


def run(context: RunContext) -> None:
    """Train the adapters that no earlier attempt finished, then score the variant they make."""
    context.progress("load", 0, 1)
    base = load_base(context.spec.base)
    shelf = Shelf(context.workspace)
    groups = persona_groups(context)
    recipe = recipe_of(context, groups)
    if not (context.folder / TRAINING).exists():
        _train(context, base, shelf, groups, recipe)
    score_variant(context, base, context.spec.experiment, recipe, shelf)


def recipe_of(context: RunContext, groups: Sequence[Group]) -> Recipe:
    """Return the recipe of the variant: the new adapter, on top of unified where it was trained so."""
    one_for_all = context.spec.parameters["by"] == "all"
    own = (context.spec.run_id, groups[0].name if one_for_all else "")
    below = ((context.spec.upstream["unified"], "unified"),) if "unified" in context.spec.upstream else ()
    return Recipe(adapters=(*below, own))


def persona_groups(context: RunContext) -> list[Group]:
    """Return who shares an adapter: everybody, each cluster, or each persona alone.

    `personas` in the parameters takes a seeded subset of those who have train dialogues.
    """
    dataset, splits = load_dataset(context.workspace), load_splits(context.workspace)
    ids = sorted({d.persona_id for d in dataset.dialogues if splits.assignment.get(d.dialogue_id) == "train"})
    wanted = context.spec.parameters.get("personas")
    if wanted is not None and wanted < len(ids):
        ids = sorted(random.Random(f"subset/{context.spec.seed}").sample(ids, wanted))
    by = context.spec.parameters["by"]
    if by == "all":
        return [Group(context.spec.experiment, tuple(ids))]
    if by == "persona":
        return [Group(folder_name(persona), (persona,)) for persona in ids]
    clusters = _clusters(context)
    missing = [persona for persona in ids if persona not in clusters]
    if missing:
        raise EngineError(
            f"The clustering leaves out {len(missing)} personas, {missing[0]} among them.",
            "Cluster again on this data: python -m engine run clustering",
        )
    only = context.spec.parameters.get("cluster")
    found = sorted({clusters[persona] for persona in ids})
    if only is not None and only not in found:
        raise EngineError(f"There is no cluster {only}.", f"Clusters: {', '.join(map(str, found))}.")
    return [
        Group(f"cluster-{cluster}", tuple(persona for persona in ids if clusters[persona] == cluster))
        for cluster in found
        if only in (None, cluster)
    ]


def _clusters(context: RunContext) -> dict[str, int]:
    folder = context.workspace.run_folder(context.spec.upstream["clusters"])
    assignment: dict[str, int] = read_json(folder / "clusters.json")["assignment"]
    return assignment


def folder_name(persona_id: str) -> str:
    """Return a file name for a persona: her id, with what file systems dislike spelled out."""
    return "".join(
        letter if letter.isalnum() or letter in "-_" else f"%{ord(letter):02x}" for letter in persona_id
    )


def _train(context: RunContext, base: Base, shelf: Shelf, groups: Sequence[Group], recipe: Recipe) -> None:
    rows = training_dialogues(context, base, {persona for group in groups for persona in group.personas})
    lessons = [_lesson(group, rows) for group in groups]
    settings = train_settings(context, dialogues=sum(len(lesson.train) for lesson in lessons) // len(lessons))
    with ExitStack() as below:
        if recipe.adapters[:-1]:
            parts = Recipe(adapters=recipe.adapters[:-1])
            below.enter_context(written(base.model, shelf.change(parts, groups[0].personas[0])))
        done = _in_waves(context, base, settings, lessons)
    records = [
        {
            "name": trained["name"],
            "personas": list(group.personas),
            "train_dialogues": len(lesson.train),
            **{key: trained[key] for key in ("steps", "best_epoch", "best_loss", "val_losses")},
        }
        for group, lesson, trained in zip(groups, lessons, done, strict=True)
    ]
    if context.spec.parameters["by"] != "all":
        write_personas(
            context.workspace,
            context.spec.run_id,
            {
                persona: [(context.spec.run_id, group.name, 1.0)]
                for group in groups
                for persona in group.personas
            },
        )
    seconds = sum(trained["seconds"] for trained in done)
    parameters = sum(trained["parameters"] for trained in done)
    context.variant(
        context.spec.experiment,
        recipe.as_json(),
        family=context.spec.parameters["family"],
        parameters_trained=parameters,
        train_seconds=seconds,
    )
    losses = [record["best_loss"] for record in records if record["best_loss"] is not None]
    context.summary(
        adapters=len(records),
        parameters_trained=parameters,
        train_seconds=seconds,
        train_dialogues=sum(record["train_dialogues"] for record in records),
        **({"val_loss_nats": sum(losses) / len(losses)} if losses else {}),
        **({"best_epoch": records[0]["best_epoch"]} if len(records) == 1 else {}),
    )
    epochs = Counter(record["best_epoch"] for record in records)
    context.log(
        ", ".join(f"best epoch {epoch}: {count} adapter(s)" for epoch, count in sorted(epochs.items()))
        + (f"; mean validation loss {sum(losses) / len(losses):.4f} nats" if losses else "; no validation")
    )
    write_json(context.folder / TRAINING, records)
    shutil.rmtree(context.folder / CHECKPOINT, ignore_errors=True)


def form_of(context: RunContext, base: Base, settings: TrainSettings) -> Form:
    """Return the kind of adapter the spec asks for: a prefix where it has a length, a LoRA otherwise."""
    length = context.spec.parameters.get("length")
    if length is None:
        return LoraKind(base.model, settings.form)
    opening = encode_prompt(base.tokenizer, chat(INSTRUCTION, []))
    return PrefixKind(base.model, int(length), opening)


def _in_waves(
    context: RunContext, base: Base, settings: TrainSettings, lessons: Sequence[Lesson]
) -> list[dict[str, Any]]:
    """Train the lessons, as many at once as memory holds; adapters of finished waves are on disk."""
    kind = form_of(context, base, settings)
    each = sum(tensor.numel() for tensor in kind.start(seed=0).values())
    folder = context.folder / CHECKPOINT
    plan = folder / "waves.json"
    if not plan.exists():  # a resumed run keeps the waves of its first attempt
        write_json(plan, {"size": max(1, _free_bytes(base) // 2 // (each * _BYTES_A_PARAMETER))})
    size = int(read_json(plan)["size"])
    waves = [lessons[start : start + size] for start in range(0, len(lessons), size)]
    context.log(
        f"{len(lessons)} adapters of {each} parameters, {settings.batch_size} dialogues a step, "
        f"{sum(len(lesson.train) for lesson in lessons)} train dialogues, {len(waves)} wave(s)"
    )
    done: list[dict[str, Any]] = []
    for number, wave in enumerate(waves):
        record = folder / f"wave-{number}.json"
        if not record.exists():
            write_json(
                record, _train_wave(context, base, kind, settings, wave, done=number, waves=len(waves))
            )
        done += read_json(record)
    return done


def _train_wave(
    context: RunContext,
    base: Base,
    kind: Form,
    settings: TrainSettings,
    wave: Sequence[Lesson],
    *,
    done: int,
    waves: int,
) -> list[dict[str, Any]]:
    trainer = Trainer(
        base.model,
        kind,
        settings,
        wave,
        pad_id=base.tokenizer.pad_token_id or 0,
        checkpoint=context.folder / CHECKPOINT / f"wave-{done}",
        hooks=Hooks(
            progress=lambda steps, total: context.progress(
                "train", done * total + steps, waves * total, unit="steps"
            ),
            loss=lambda split, step, epoch, nats: context.event(
                "loss", split=split, step=step, epoch=epoch, loss_nats=nats
            ),
            stop=context.stop_requested,
            say=context.log,
        ),
    )
    try:
        trained = trainer.fit()
    except Stopped as stopped:
        raise Cancelled from stopped
    for one in trained:
        kind.save(one.weights, context.adapters / one.name, base=context.spec.base)
    return [_record(one, trainer.parameters_each, trainer.seconds / len(trained), wave) for one in trained]


def _record(one: Trained, parameters: int, seconds: float, wave: Sequence[Lesson]) -> dict[str, Any]:
    judged = next(lesson for lesson in wave if lesson.name == one.name).val
    return {
        "name": one.name,
        "parameters": parameters,
        "seconds": seconds,
        "steps": one.steps,
        "best_epoch": one.best_epoch + 1,
        "best_loss": one.best_loss if judged else None,
        "val_losses": list(one.val_losses),
    }


def _lesson(group: Group, rows: Mapping[str, Mapping[str, Sequence[Encoded]]]) -> Lesson:
    members = [rows[persona] for persona in group.personas if persona in rows]
    train = [row for member in members for row in member["train"]]
    if not train:
        raise EngineError(
            f"{group.name} has no train dialogue with a reply that fits the model's window.",
            "Import data with assistant turns, or choose a base with a longer context.",
        )
    judges = [row for member in members for row in member["val"]] or list(rows.get("", {}).get("val", ()))
    return Lesson(group.name, train, judges)


def train_settings(context: RunContext, *, dialogues: int) -> TrainSettings:
    """Return the spec's parameters as the trainer's settings; an open batch size is chosen by the data's.

    `dialogues` is the number that one adapter is trained on. Small data is trained in small batches, for at
    least some hundred steps; large data up to 8 at once.
    """
    given = {name: value for name, value in context.spec.parameters.items() if name in _SETTINGS}
    if "target_modules" in given:
        given["target_modules"] = tuple(given["target_modules"])
    fitting = min(_MOST_AT_ONCE, max(1, dialogues * given["epochs"] // _WANTED_STEPS))
    given["batch_size"] = given["batch_size"] or fitting
    return TrainSettings(**given, seed=context.spec.seed)


def training_dialogues(
    context: RunContext, base: Base, personas: set[str]
) -> dict[str, dict[str, list[Encoded]]]:
    """Return the encoded train and val dialogues of each persona.

    With the by-persona split the validation dialogues are other people's: they are under the name "".
    """
    dataset, splits = load_dataset(context.workspace), load_splits(context.workspace)
    rows: dict[str, dict[str, list[Encoded]]] = {}
    too_long = 0
    window = int(getattr(base.model.config, "max_position_embeddings", None) or 4096)
    for dialogue in dataset.dialogues:
        split = splits.assignment.get(dialogue.dialogue_id)
        others_judge = split == "val" and splits.scheme == "by-persona"
        if split not in ("train", "val") or not (dialogue.persona_id in personas or others_judge):
            continue
        row = _encode(base, dialogue)
        if len(row) > window:
            too_long += 1
        elif any(row.is_reply):
            owner = "" if others_judge else dialogue.persona_id
            rows.setdefault(owner, {"train": [], "val": []})[split].append(row)
    if too_long:
        context.log(f"{too_long} dialogues are left out: longer than the model's window of {window} tokens")
    return rows


def _encode(base: Base, dialogue: Dialogue) -> Encoded:
    return encode_chat(base.tokenizer, chat(system_text(meta=dialogue.meta), dialogue.messages))


def _free_bytes(base: Base) -> int:
    if base.device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
