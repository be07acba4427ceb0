"""Networks from what is known to what acts: what plain algebra says of them, trained, written and read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import DynamicCache

from engine.core.paths import TornFile
from engine.core.types import Dataset, Dialogue, Message, Persona, Splits
from engine.lm.adapters import load_lora
from engine.lm.bank import change_of, written
from engine.lm.effects import Weights
from engine.lm.encode import Encoded
from engine.lm.known import Known
from engine.lm.load import Base
from engine.lm.persona_network import (
    NETWORK,
    MixtureForm,
    NetworkForm,
    ProjectorForm,
)
from engine.lm.prefix import PrefixForm, fill, load_prefix
from engine.lm.scorer import Scorer
from engine.lm.shape import LoraShape
from engine.lm.tensor_file import load_tensors
from engine.lm.train import Lesson, Trainer, TrainSettings

SHAPE = LoraShape(rank=2, alpha=4, dropout=0.0, target_modules=["q_proj", "v_proj"])
SIZE = 3
KNOWN = torch.randn(4, 6, generator=torch.Generator().manual_seed(7))


def made(base: Base, kind: str, known: Tensor = KNOWN) -> NetworkForm:
    if kind == "mixture":
        return MixtureForm(base.model, SHAPE, known, SIZE)
    return ProjectorForm(PrefixForm(base.model, 4, [5, 6, 7]), known, SIZE)


def grown(form: NetworkForm, size: float = 0.2) -> dict[str, Tensor]:
    """A network of random weights."""
    random = torch.Generator().manual_seed(1)
    return {name: size * torch.randn(t.shape, generator=random) for name, t in form.start(seed=0).items()}


@torch.no_grad()
def logits_of(base: Base, form: NetworkForm, tensors: dict[str, Tensor], row: int, ids: Tensor) -> Tensor:
    """By plain algebra: the code of one row, the sum over its parts, the model that has it."""
    code = tensors["code|V"] @ (0.1 * KNOWN[row]) + tensors["code|b"]
    if isinstance(form, ProjectorForm):
        states = tensors["prefix|middle"] + sum(
            c * one for c, one in zip(code, tensors["prefix|parts"], strict=True)
        )
        cache = DynamicCache(config=base.model.config)
        fill(cache, states.unsqueeze(0), base.model)
        return base.model(input_ids=ids, past_key_values=cache).logits
    before: list[tuple[nn.Parameter, Tensor]] = []
    for name, stacked in tensors.items():
        if name.endswith("|A"):
            weight = base.model.get_submodule(name.removesuffix("|A")).weight
            b = tensors[name.removesuffix("|A") + "|B"]
            before.append((weight, weight.detach().clone()))
            weight += SHAPE.scale * sum(code[k] * b[k] @ stacked[k] for k in range(SIZE))
    found = base.model(input_ids=ids).logits
    for weight, was in before:
        weight.copy_(was)
    return found


@pytest.mark.parametrize("kind", ["mixture", "projector"])
def test_each_row_of_a_batch_has_what_its_own_code_sums_up_to(base: Base, kind: str) -> None:
    form = made(base, kind)
    tensors = grown(form)
    ids = torch.randint(3, 200, (2, 9), generator=torch.Generator().manual_seed(0))
    stacked = {name: tensor.unsqueeze(0) for name, tensor in tensors.items()}
    with torch.no_grad(), form.applied(base.model, stacked, torch.tensor([2, 0]), None) as given:
        found = base.model(input_ids=ids, **given).logits
    for place, row in ((0, 2), (1, 0)):
        expected = logits_of(base, form, tensors, row, ids[place : place + 1])
        torch.testing.assert_close(found[place : place + 1], expected, atol=1e-4, rtol=1e-4)
    other = logits_of(base, form, tensors, 1, ids[:1])
    assert (other - found[:1]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["mixture", "projector"])
def test_a_step_is_that_of_plain_gradients(base: Base, encoded: list[Encoded], kind: str) -> None:
    rows = [replace(one, whose=place % 4) for place, one in enumerate(encoded[:4])]
    settings = TrainSettings(
        learning_rate=0.05, epochs=1, batch_size=4, warmup_share=0.0, weight_decay=0.0, max_grad_norm=1e9
    )
    form = made(base, kind)
    start = grown(form)
    lesson = Lesson("all", rows, start=start)
    (trained,) = Trainer(base.model, form, settings, [lesson], pad_id=0).fit()
    own = {name: nn.Parameter(tensor.clone()) for name, tensor in start.items()}
    optimizer = torch.optim.AdamW(own.values(), lr=0.05, weight_decay=0.0)
    total, count = torch.zeros(()), sum(sum(row.is_reply) for row in rows)
    for row in rows:  # one dialogue at a time, through the form alone
        stacked = {name: tensor.unsqueeze(0) for name, tensor in own.items()}
        labels = torch.tensor(
            [token if mark else -100 for token, mark in zip(row.ids, row.is_reply, strict=True)]
        )
        with form.applied(base.model, stacked, torch.tensor([row.whose]), None) as given:
            logits = base.model(input_ids=torch.tensor([row.ids]), **given).logits[0, :-1]
        total = total + nn.functional.cross_entropy(logits, labels[1:], ignore_index=-100, reduction="sum")
    (total / count).backward()
    optimizer.step()
    for name, tensor in trained.weights.items():
        torch.testing.assert_close(tensor, own[name].detach(), atol=2e-3, rtol=1e-2, msg=name)


def test_untrained_it_gives_everybody_the_same(base: Base) -> None:
    for kind in ("mixture", "projector"):
        form = made(base, kind)
        tensors = form.start(seed=3)
        ids = torch.tensor([[5, 9, 11]])
        first, second = (logits_of(base, form, tensors, row, ids) for row in (0, 1))
        torch.testing.assert_close(first, second)
        assert (tensors["code|V"] @ KNOWN[0] - tensors["code|V"] @ KNOWN[1]).abs().max() > 0.1


def test_codes_are_as_near_to_each_other_as_what_they_are_made_of(base: Base) -> None:
    """Of those trained on all of it, as far as codes can hold it; a stranger's as far as she is like them."""
    form = made(base, "mixture")
    told = KNOWN - KNOWN.mean(dim=0)  # of the four, three numbers tell all that sets them apart
    tensors = form.start(seed=3) | form.code_along(told)
    codes = 0.1 * told @ tensors["code|V"].T + tensors["code|b"]
    torch.testing.assert_close(codes @ codes.T, told @ told.T, atol=1e-4, rtol=1e-4)
    stranger = 0.25 * told[0] + 0.75 * told[2]
    code = tensors["code|V"] @ (0.1 * stranger)
    torch.testing.assert_close(codes @ code, told @ stranger, atol=1e-4, rtol=1e-4)
    few = form.code_along(told[:2])["code|V"]
    assert few.shape == tensors["code|V"].shape
    assert few[2:].abs().max() == 0


@torch.no_grad()
def test_what_is_written_acts_as_the_network_says(base: Base, tmp_path: Path) -> None:
    """A network read back from its file, and PEFT's files of what it gives two personas."""
    own = {"ada": KNOWN[1], "ben": KNOWN[3]}
    for kind in ("mixture", "projector"):
        form = made(base, kind)
        tensors = grown(form)
        form.save(tensors, tmp_path / kind, base="")
        read = load_tensors(tmp_path / kind / NETWORK)
        assert {name: tensor.tolist() for name, tensor in read.items()} == {
            name: tensor.tolist() for name, tensor in tensors.items()
        }
        found = form.put(read, own, tmp_path / kind, run="run-n", base="somebody/tiny", model=base.model)
        ids = torch.tensor([[5, 9, 11, 40]])
        for name, row in (("ada", 1), ("ben", 3)):
            expected = logits_of(base, form, tensors, row, ids)
            effects = found[name]
            if kind == "projector":
                cache = DynamicCache(config=base.model.config)
                fill(cache, load_prefix(tmp_path / kind / name).states.unsqueeze(0), base.model)
                logits = base.model(input_ids=ids, past_key_values=cache).logits
            else:
                loras = [
                    (load_lora(tmp_path / kind / one.name), one.weight)
                    for one in effects
                    if isinstance(one, Weights)
                ]
                with written(base.model, change_of(loras)):
                    logits = base.model(input_ids=ids).logits
            torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    path = tmp_path / "mixture" / NETWORK
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(TornFile, match="damaged"):
        load_tensors(path)


def _dialogue(persona: str, number: int, said: str) -> Dialogue:
    messages = (Message("user", "Please."), Message("assistant", said))
    return Dialogue(persona_id=persona, dialogue_id=f"{persona}/{number}", order=number, messages=messages)


def test_known_is_the_mean_of_what_was_replied_to_her_and_of_no_val_or_test(scorer: Scorer) -> None:
    said = {
        "ada": ["Sure thing!", "Done.", "As you wish.", "Secret."],
        "ben": ["Okay.", "Secret."],
        "eve": [],
    }
    dataset = Dataset(
        personas=tuple(Persona(name, "Likes tea." if name == "eve" else None) for name in said),
        dialogues=tuple(
            _dialogue(name, number, text) for name, texts in said.items() for number, text in enumerate(texts)
        ),
    )
    assignment = {
        row.dialogue_id: "test" if row.messages[1].text == "Secret." else "train" for row in dataset.dialogues
    }
    splits = Splits("by-time", assignment)
    known = Known(dataset, splits, scorer, which="both")
    vectors = scorer.embed(["Sure thing!", "Done.", "As you wish.", "Okay."])
    np.testing.assert_allclose(known.of("ada")[1], vectors[:3].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(known.of("ada", without="ada/1")[1], vectors[[0, 2]].mean(axis=0), atol=1e-6)
    newest = Known(dataset, splits, scorer, which="history", history=1)
    np.testing.assert_allclose(newest.of("ada")[0], vectors[2], atol=1e-6)
    np.testing.assert_allclose(newest.of("ada", without="ada/2")[0], vectors[1], atol=1e-6)
    assert (known.knows("eve"), newest.knows("eve")) == (True, False)
    scale = known.scale(["ada", "ben"])  # eve is not trained on, so she moves neither middle nor spread
    np.testing.assert_allclose(scale.middle[1], (vectors[:3].mean(axis=0) + vectors[3]) / 2, atol=1e-6)
    read = scale.read(known.of("eve")).reshape(2, -1)
    assert not read[1].any()  # nothing is known of her replies: the middle
    both = np.stack([scale.read(known.of(name)).reshape(2, -1)[1] for name in ("ada", "ben")])
    assert (both**2).sum(axis=1).mean() == pytest.approx(0.5, abs=1e-5)  # half of a row of length 1
