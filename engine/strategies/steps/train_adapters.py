"""Trains effects on groups of personas and scores them: one for all, one a cluster, one a persona.

What is trained, its form, is the strategy's: a LoRA, a prefix, offsets of activations. All of a run's
adapters are trained together over one frozen base, in waves where memory is short. Where the run has an
upstream "unified", that adapter is part of the frozen model and each new one a delta upon it; with "below"
it is what that run's variant does for the persona herself; with "start" the adapters begin as that run's
weights; with "toward" the L2 penalty pulls them to unified. What an earlier run trained alike is taken over.
"""

import math
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from engine.core.errors import EngineError
from engine.core.paths import make_folder, read_json, write_json
from engine.core.wording import count
from engine.lm.bank import written
from engine.lm.effects import Own, Prefix, Prompt, Recipe, Stored, Weights
from engine.lm.forms import Form, LoraForm, Pull, tensors_of, toward_zero
from engine.lm.load import Base, load_base
from engine.lm.memory import free_bytes
from engine.lm.prefix import PrefixForm
from engine.lm.recipes import Shelf, write_personas
from engine.lm.train import Lesson, Stopped, Trainer, TrainSettings
from engine.runs.context import Cancelled, RunContext
from engine.runs.parts import end_of_waves, wave_size, waves_here
from engine.runs.runfolder import read_spec
from engine.strategies.budgets import MATCHED_TO, NOTHING, TRAINING, budget_of, whole_budget
from engine.strategies.steps.augment import variant_name
from engine.strategies.steps.lessons import (
    Group,
    covered,
    hooks_of,
    lesson,
    persona_groups,
    record_of,
    train_settings,
    training_dialogues,
)
from engine.strategies.steps.made import made_by
from engine.strategies.steps.recalling import shown
from engine.strategies.steps.scoring import score_variants
from engine.strategies.steps.takeover import Making, take_adapters, take_replies
from engine.strategies.trained import other_shape

CHECKPOINT = "checkpoint"
_UNIFIED, _BELOW = "unified", "below"
_BYTES_A_PARAMETER = 5 * 4  # the weight, its best epoch, two moments and a gradient, in fp32


def train(context: RunContext, form_over: Callable[[Base], Form]) -> pd.DataFrame:
    """Train the adapters that no earlier attempt or run finished, then score the variant they make.

    `form_over` returns the form of what is trained over a base. Returns the scores.
    """
    context.progress("load", 0, 1)
    base = load_base(context.spec.base)
    shelf = Shelf(context.workspace)
    groups, form = persona_groups(context), form_over(base)
    recipe = recipe_of(context, groups, form)
    if not (context.folder / TRAINING).exists():
        _train(context, base, shelf, groups, form, recipe)
    take_replies(context, base, recipe, shelf)
    return score_variants(context, {variant_name(context): recipe}, base=base, shelf=shelf)


def recipe_of(context: RunContext, groups: Sequence[Group], form: Form) -> Recipe:
    """Return the recipe of the variant: the new effect, on top of unified where it was trained so."""
    one_for_all = context.spec.parameters["by"] == "all"
    run_id = context.spec.run_id
    own = form.effect(run_id, groups[0].name) if one_for_all else Own(run_id)
    return Recipe((*_variant_below(context).effects, own)).showing(shown(context))


def _variant_below(context: RunContext) -> Recipe:
    """Return what stays frozen below the new effect, as it is in the variant."""
    return made_by(context, _BELOW).recipe if _BELOW in context.spec.upstream else Recipe(_below(context))


def bundles(
    context: RunContext, shelf: Shelf, groups: Sequence[Group], lessons: Sequence[Lesson]
) -> dict[tuple[Stored, ...], list[Lesson]]:
    """Return the lessons by what lies frozen below them; those of one bundle are trained together."""
    if _BELOW not in context.spec.upstream:
        return {_below(context): list(lessons)}
    recipe, found = _variant_below(context), dict[tuple[Stored, ...], list[Lesson]]()
    for group, one in zip(groups, lessons, strict=True):
        (side, *others) = shelf.sides(recipe, group.personas[0])
        if others or side.prompt != Prompt() or any(isinstance(part, Prefix) for part in side.effects):
            raise EngineError(
                "A delta can be trained on weights and offsets alone, not on what answers in lockstep, reads "
                "memories or has a prefix.",
                "Choose an experiment that trains or merges LoRA adapters.",
            )
        found.setdefault(side.effects, []).append(one)
    return found


def _below(context: RunContext) -> tuple[Stored, ...]:
    """The adapter that stays frozen below: the run's own, or that of the deltas it goes on from."""
    upstream = context.spec.upstream
    if _UNIFIED not in upstream and "start" in upstream:
        upstream = read_spec(context.workspace.run_folder(upstream["start"])).upstream
    return (Weights(upstream[_UNIFIED], _UNIFIED),) if _UNIFIED in upstream else ()


def _train(
    context: RunContext, base: Base, shelf: Shelf, groups: Sequence[Group], form: Form, recipe: Recipe
) -> None:
    personas = {persona for group in groups for persona in group.personas}
    taken_by_prefix = form.length if isinstance(form, PrefixForm) else 0
    rows = training_dialogues(context, base, personas, taken=taken_by_prefix)
    groups = covered(context, groups, rows)
    lessons = [lesson(group, rows) for group in groups]
    settings = train_settings(context, dialogues=sum(len(one.train) for one in lessons) // len(lessons))
    if MATCHED_TO in context.spec.upstream:
        settings = _matched(context, settings, len(lessons[0].train))
    if "start" in context.spec.upstream:
        lessons = [
            replace(one, start=_start(context, shelf, group, form))
            for one, group in zip(lessons, groups, strict=True)
        ]
    on_top = bundles(context, shelf, groups, lessons)
    makings = {below: Making.of(context, base, settings, below=below) for below in on_top}
    prints = {one.name: makings[below].fingerprint(one) for below, part in on_top.items() for one in part}
    taken = take_adapters(context, prints)
    pull, made = _pull(context, shelf, form), list[dict[str, Any]]()
    for number, (below, part) in enumerate(on_top.items()):
        left = [one for one in part if one.name not in taken]
        place = _Place(number, len(on_top), context.folder / CHECKPOINT)
        with ExitStack() as under:
            under.enter_context(written(base.model, shelf.change(below)))
            made += _in_waves(context, base, form, settings, left, pull, place) if left else []
    done = {one["name"]: one for one in [*taken.values(), *made]}
    records = [
        {
            "name": group.name,
            "personas": list(group.personas),
            "train_dialogues": len(one.train),
            "lesson": prints[one.name],
            "taken_from": done[group.name].get("taken_from"),
            **{key: done[group.name][key] for key in _KEPT},
            **_amount(one, settings, done[group.name]["steps"]),
        }
        for group, one in zip(groups, lessons, strict=True)
    ]
    _declare(context, groups, form, recipe, records)
    write_json(context.folder / TRAINING, records)
    shutil.rmtree(context.folder / CHECKPOINT, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Place:
    """Which of how many bundles is trained, and where what is done of the run is kept meanwhile."""

    number: int
    of: int
    checkpoints: Path

    @property
    def folder(self) -> Path:
        return self.checkpoints / f"bundle-{self.number}" if self.of > 1 else self.checkpoints


def _matched(context: RunContext, settings: TrainSettings, dialogues: int) -> TrainSettings:
    """Return the settings for as many passes as all behind the matched run made, rounded up to whole ones."""
    wanted = whole_budget(context.workspace, context.spec.upstream[MATCHED_TO])
    if not wanted.passes:
        raise EngineError(
            f"{context.spec.upstream[MATCHED_TO]} trained nothing, so there is nothing to match.",
            "Its step-matched unified is unified itself.",
        )
    epochs = min(settings.epochs, math.ceil(wanted.passes / dialogues))
    context.log(
        f"{wanted.passes:,} dialogues were trained on behind it, in {wanted.steps:,} steps: "
        f"{count(epochs, 'pass', 'passes')} over {dialogues:,}"
    )
    return replace(settings, epochs=epochs)


def _amount(one: Lesson, settings: TrainSettings, steps: int) -> dict[str, int]:
    """How much an adapter was trained: its epochs, and the tokens of its dialogues, each time counted."""
    epochs = steps // math.ceil(len(one.train) / settings.batch_size)
    return {"epochs": epochs, "tokens": epochs * sum(len(row) for row in one.train)}


_KEPT = ("steps", "best_epoch", "best_loss", "val_losses", "parameters", "seconds")


def _declare(
    context: RunContext,
    groups: Sequence[Group],
    form: Form,
    recipe: Recipe,
    records: Sequence[Mapping[str, Any]],
) -> None:
    """Say what was trained: whose adapter is whose, the variant, the summary. Seconds are of the training
    itself, whichever run it was done in."""
    if context.spec.parameters["by"] != "all":
        write_personas(
            context.workspace,
            context.spec.run_id,
            {
                persona: [form.effect(context.spec.run_id, group.name)]
                for group in groups
                for persona in group.personas
            },
        )
    seconds = sum(record["seconds"] for record in records)
    parameters = sum(record["parameters"] for record in records)
    context.variant(
        variant_name(context),
        recipe.as_json(),
        family=context.spec.parameters["family"],
        parameters_trained=parameters,
        train_seconds=seconds,
    )
    losses = [record["best_loss"] for record in records if record["best_loss"] is not None]
    told = sum((budget_of(record) for record in records), NOTHING)
    context.summary(
        adapters=len(records),
        adapters_taken_over=sum(record["taken_from"] is not None for record in records),
        parameters_trained=parameters,
        train_seconds=seconds,
        train_dialogues=sum(record["train_dialogues"] for record in records),
        steps=told.steps,
        train_tokens=told.tokens,
        **({"best_epoch_last": told.unturned} if told.judged else {}),
        **({"val_loss_nats": sum(losses) / len(losses)} if losses else {}),
        **({"best_epoch": records[0]["best_epoch"]} if len(records) == 1 else {}),
    )
    epochs = Counter(record["best_epoch"] for record in records)
    context.log(
        ", ".join(f"best epoch {epoch}: {count(held, 'adapter')}" for epoch, held in sorted(epochs.items()))
        + (f"; mean validation loss {sum(losses) / len(losses):.4f} nats" if losses else "; no validation")
        + (f"; {told.warning}" if told.warning else "")
    )


def _start(context: RunContext, shelf: Shelf, group: Group, form: Form) -> dict[str, Tensor]:
    """Return the weights a group's adapter begins as: unified's, or those of its persona's earlier adapter.

    Raises EngineError when they have another shape than this run asks for.
    """
    run_id = context.spec.upstream["start"]
    earlier = read_spec(context.workspace.run_folder(run_id))
    name = _UNIFIED
    if earlier.parameters["by"] != "all":
        (side,) = shelf.sides(Recipe((Own(run_id),)), group.personas[0])
        (own,) = side.effects
        run_id, name = own.run, own.name
    lora = shelf.lora(run_id, name)
    start, wanted = tensors_of(lora), form.start(seed=0)
    shapes = [{key: tensor.shape for key, tensor in one.items()} for one in (start, wanted)]
    if shapes[0] != shapes[1] or not isinstance(form, LoraForm) or lora.scale != form.shape.scale:
        raise other_shape(earlier)
    return start


def _pull(context: RunContext, shelf: Shelf, form: Form) -> Pull:
    """Return where the L2 penalty pulls."""
    run_id = context.spec.upstream.get("toward")
    if run_id is None or not isinstance(form, LoraForm):
        return toward_zero
    return form.toward(shelf.lora(run_id, _UNIFIED))


def _in_waves(
    context: RunContext,
    base: Base,
    form: Form,
    settings: TrainSettings,
    lessons: Sequence[Lesson],
    pull: Pull,
    place: _Place,
) -> list[dict[str, Any]]:
    """Train the lessons, as many at once as memory holds; adapters of finished waves are on disk."""
    each = sum(tensor.numel() for tensor in form.start(seed=0).values())
    folder = place.folder
    make_folder(folder)
    plan = folder / "waves.json"
    if not plan.exists():  # a resumed run keeps the waves of its first attempt
        most = max(1, free_bytes(base.model.device) // 2 // (each * _BYTES_A_PARAMETER))
        write_json(plan, {"size": wave_size(context.part, len(lessons), most=most)})
    size = int(read_json(plan)["size"])
    waves = [lessons[start : start + size] for start in range(0, len(lessons), size)]
    context.log(
        f"{count(len(lessons), 'adapter')} of {count(each, 'parameter')}, "
        f"{count(settings.batch_size, 'dialogue')} a step, "
        f"{count(sum(len(one.train) for one in lessons), 'train dialogue')}, {count(len(waves), 'wave')}"
    )
    done: list[dict[str, Any]] = []
    for number in waves_here(context.part, len(waves)):
        record = folder / f"wave-{number}.json"
        if not record.exists():
            part, of = place.number * len(waves) + number, place.of * len(waves)
            made = partial(
                Trainer, base.model, form, settings, waves[number], pad_id=base.pad_id,
                checkpoint=folder / f"wave-{number}", hooks=hooks_of(context, part=part, of=of), pull=pull,
            )  # fmt: skip
            write_json(record, _train_wave(context, made))
        done += read_json(record)
    end_of_waves(context.part)
    return done


def _train_wave(context: RunContext, made: Callable[[], Trainer]) -> list[dict[str, Any]]:
    """Train one wave; its trainer goes with it, for the next one is planned with the room that it takes."""
    trainer = made()
    try:
        trained = trainer.fit()
    except Stopped as stopped:
        raise Cancelled from stopped
    for one in trained:
        trainer.form.save(one.weights, context.adapters / one.name, base=context.spec.base)
    seconds = trainer.seconds / len(trained)
    return [
        record_of(one, trainer.parameters_each, seconds=seconds, judged=bool(each.val))
        for one, each in zip(trained, trainer.lessons, strict=True)
    ]
