"""Training gives the losses and weights of a plain loop over PEFT, alone and in a bank."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

from engine.lm.batches import epoch_batches
from engine.lm.encode import IGNORED, Encoded, training_batch
from engine.lm.forms import seed_of
from engine.lm.load import load_base
from engine.lm.train import Lesson, Trained, TrainSettings
from tests.lm.training import SETTINGS, SHAPE, TRAIN, Training, Weights


def peft_name(name: str) -> str:
    path, kind = name.split("|")
    return f"base_model.model.{path}.lora_{kind}.weight"


def plain_peft(
    tiny_base: Path, settings: TrainSettings, train: Sequence[Encoded], start: Weights, name: str
) -> tuple[list[float], Weights]:
    """A plain loop over PEFT's own model with torch's AdamW: the losses and the weights at the end."""
    steps = math.ceil(len(train) / settings.batch_size) * settings.epochs
    warm = math.ceil(steps * settings.warmup_share)
    config = LoraConfig(
        r=SHAPE.rank,
        lora_alpha=int(SHAPE.alpha),
        lora_dropout=0.0,
        target_modules=SHAPE.target_modules,
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(load_base(str(tiny_base)).model, config)
    set_peft_model_state_dict(model, {peft_name(key): tensor for key, tensor in start.items()})
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    losses: list[float] = []
    for epoch in range(settings.epochs):
        seed = seed_of(settings.seed, name, "order", epoch)
        for chosen in epoch_batches([len(row) for row in train], settings.batch_size, seed=seed):
            rows = [train[index] for index in chosen]
            ids = training_batch(rows, pad_id=0).ids
            labels, mask = torch.full_like(ids, IGNORED), torch.zeros_like(ids)
            for index, row in enumerate(rows):
                marks = torch.tensor(row.is_reply)
                labels[index, : len(row)] = torch.where(marks, torch.tensor(row.ids), IGNORED)
                mask[index, : len(row)] = 1
            done = len(losses)
            share = (done + 1) / (warm + 1) if done < warm else (steps - done) / (steps - warm)
            optimizer.param_groups[0]["lr"] = settings.learning_rate * share
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
            if settings.l2:
                loss = loss + settings.l2 * sum(parameter.square().sum() for parameter in trained)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, settings.max_grad_norm)
            optimizer.step()
            losses.append(float(loss.detach()))
    return losses, get_peft_model_state_dict(model)


def assert_like_peft(trained: Trained, theirs: Weights) -> None:
    assert {peft_name(name) for name in trained.weights} == theirs.keys()
    for name, tensor in trained.weights.items():
        torch.testing.assert_close(tensor, theirs[peft_name(name)], atol=1e-5, rtol=0)
    moved = [name for name in theirs if "lora_B" in name and theirs[name].abs().max() > 1e-3]
    assert len(moved) == 4


PLAIN = replace(SETTINGS, epochs=2, warmup_share=0.3, max_grad_norm=0.5)


def test_losses_and_weights_are_those_of_a_plain_peft_loop(tiny_base: Path, encoded: list[Encoded]) -> None:
    ours = Training(tiny_base, PLAIN, dropout=0.0)
    start = ours.kind.start(seed=seed_of(PLAIN.seed, "unified", "start"))
    trained = ours.fit(encoded, val=[])
    losses, theirs = plain_peft(tiny_base, PLAIN, encoded[TRAIN], start, "unified")
    assert [nats for *_, nats in ours.losses] == pytest.approx(losses, abs=1e-5)
    assert_like_peft(trained, theirs)


def test_every_adapter_of_a_bank_is_what_a_plain_peft_loop_makes_of_its_data(
    tiny_base: Path, encoded: list[Encoded]
) -> None:
    """Different numbers of dialogues, so different schedules; one with a last batch that is not full."""
    settings = replace(PLAIN, l2=0.02)
    lessons = [
        Lesson("ada", encoded[0:7]),
        Lesson("bo", encoded[7:11]),
        Lesson("cy", encoded[11:12]),
        Lesson("di", encoded[12:22]),
    ]
    training = Training(tiny_base, settings, dropout=0.0)
    for lesson, trained in zip(lessons, training.fit_all(lessons), strict=True):
        start = training.kind.start(seed=seed_of(settings.seed, lesson.name, "start"))
        _, theirs = plain_peft(tiny_base, settings, lesson.train, start, lesson.name)
        assert trained.steps == settings.epochs * math.ceil(len(lesson.train) / 2)
        assert_like_peft(trained, theirs)
