"""Offsets added at a layer: what plain algebra says of them, wherever a row is answered."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from engine.core.errors import EngineError
from engine.core.paths import TornFile, Workspace
from engine.lm.activations import Offsets, OffsetsForm, load_offsets, save_offsets
from engine.lm.adapters import fresh, save_lora, targets
from engine.lm.bank import Change, Rows, change_of, written
from engine.lm.decode import decode
from engine.lm.effects import Activations, Recipe, Weights
from engine.lm.encode import Encoded, encode_prompt
from engine.lm.generate import generate
from engine.lm.kernels import Kernels
from engine.lm.load import Base, load_base
from engine.lm.mixture import Strand, answer
from engine.lm.recipes import Shelf
from engine.lm.shape import LoraShape
from engine.lm.streaming import Stream
from engine.lm.train import Lesson, Trainer, TrainSettings

NEW = 12
LAYERS = (0, 1)


def offsets(base: Base, seed: int, layers: tuple[int, ...] = LAYERS) -> Offsets:
    random = torch.Generator().manual_seed(seed)
    width = int(base.model.config.hidden_size)
    return Offsets({layer: torch.randn(width, generator=random) for layer in layers})


def by_algebra(tiny_base: Path, *parts: tuple[Offsets, float]) -> Base:
    """The model whose layers give that much more: a layer ends with its last product, so it has a bias."""
    other = load_base(str(tiny_base))
    for given, scale in parts:
        for layer, offset in given.layers.items():
            last: nn.Linear = other.model.get_decoder().layers[layer].mlp.down_proj
            before = torch.zeros(last.out_features) if last.bias is None else last.bias.detach()
            last.bias = nn.Parameter(before + scale * offset, requires_grad=False)
    return other


@pytest.fixture
def prompts(base: Base, chats: list[list[dict[str, str]]]) -> list[list[int]]:
    return [encode_prompt(base.tokenizer, chat[: 1 + number % 2]) for number, chat in enumerate(chats[:8])]


@torch.no_grad()
@pytest.mark.parametrize("kernel", ["stacked", "masked", "written"])
def test_each_row_has_the_logits_of_the_model_that_gives_so_much_more(
    tiny_base: Path, base: Base, encoded: list[Encoded], kernel: str
) -> None:
    one, two = offsets(base, 1), offsets(base, 2, (1,))
    changes: list[Change | None] = [change_of([], None, [(one, 2.0), (two, -1.0)]), None]
    theirs = by_algebra(tiny_base, (one, 2.0), (two, -1.0))
    ids = torch.tensor([encoded[0].ids] * 2)
    expected = torch.cat([theirs.model(input_ids=ids[:1]).logits, base.model(input_ids=ids[:1]).logits])
    if kernel == "written":
        with written(base.model, changes[0]):
            found = base.model(input_ids=ids[:1]).logits
        expected = expected[:1]
    else:
        rows = Rows(base.model, changes, kernel=kernel)  # type: ignore[arg-type]
        with rows.on():
            found = base.model(input_ids=ids).logits
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert (expected[0] - base.model(input_ids=ids[:1]).logits[0]).abs().max() > 0.1
    torch.testing.assert_close(
        base.model(input_ids=ids[:1]).logits[0],
        expected[-1] if kernel != "written" else base.model(input_ids=ids[:1]).logits[0],
    )


@pytest.mark.parametrize(
    "rule", [Kernels(written_from=2), Kernels(written_from=100)], ids=["written", "mixed"]
)
def test_generated_mixed_streamed_and_with_a_shared_prompt_it_says_the_same(
    tiny_base: Path, base: Base, prompts: list[list[int]], rule: Kernels
) -> None:
    """Eight rows of one long beginning, read once; half of them steered, and a mixture of both."""
    given = offsets(base, 3)
    change = change_of([], None, [(given, 1.5)])
    alike = [[*prompts[0], *prompts[0], *prompt] for prompt in prompts]
    theirs = by_algebra(tiny_base, (given, 1.5))
    plain = generate(base.model, base.tokenizer, alike, max_new_tokens=NEW)
    expected = generate(theirs.model, theirs.tokenizer, alike, max_new_tokens=NEW)
    own = [change if number % 2 else None for number in range(len(alike))]
    found = generate(base.model, base.tokenizer, alike, changes=own, max_new_tokens=NEW, kernels=rule)
    wanted = [(expected if number % 2 else plain)[number].text for number in range(len(alike))]
    assert [reply.text for reply in found] == wanted
    assert wanted != [reply.text for reply in plain]
    voices = [(Strand(ids, one),) for ids, one in zip(alike[:4], own, strict=False)]
    voices.append((Strand(alike[0], change, 0.999), Strand(alike[1], None, 0.001)))
    stream = Stream(base, voices, max_new_tokens=NEW)
    while not stream.over():
        stream.step()
    answered = answer(base.model, base.tokenizer, voices, max_new_tokens=NEW)
    assert [stream.text(voice) for voice in range(5)] == [reply.text for reply in answered]
    assert [reply.text for reply in answered[:4]] == wanted[:4]
    assert answered[4].text == expected[0].text


def test_rows_that_leave_take_their_offsets_with_them(
    tiny_base: Path, base: Base, prompts: list[list[int]]
) -> None:
    given = offsets(base, 4)
    change = change_of([], None, [(given, 1.0)])
    theirs = by_algebra(tiny_base, (given, 1.0))

    def said(model: Base, rows: list[list[int]], changes: list[Change | None] | None) -> list[list[int]]:
        bank = Rows(model.model, changes or [None] * len(rows))
        ends = frozenset(range(0, len(model.tokenizer), 3))  # a third of all tokens ends a reply
        with torch.inference_mode(), bank.on():
            return decode(
                model.model, rows, max_new_tokens=NEW, end_ids=ends, share_prefix=False, on_rows=bank.choose
            )

    own = [change if number % 2 else None for number in range(len(prompts))]
    steered, plain = said(theirs, prompts, None), said(base, prompts, None)
    expected = [(steered if number % 2 else plain)[number] for number in range(len(prompts))]
    assert said(base, prompts, own) == expected
    assert len({len(tokens) for tokens in expected}) > 1


def test_trained_offsets_are_those_of_a_plain_loop(
    base: Base, encoded: list[Encoded], tmp_path: Path
) -> None:
    settings = TrainSettings(
        learning_rate=0.05, epochs=1, batch_size=4, warmup_share=0.0, weight_decay=0.0, max_grad_norm=1e9
    )
    form = OffsetsForm(base.model, [1])
    assert form.effect("run", "ada") == Activations("run", "ada")
    (trained,) = Trainer(base.model, form, settings, [Lesson("ada", encoded[:4])], pad_id=0).fit()
    width = int(base.model.config.hidden_size)
    own = nn.Parameter(torch.zeros(width))
    optimizer = torch.optim.AdamW([own], lr=0.05, weight_decay=0.0)
    hook = (
        base.model.get_decoder()
        .layers[1]
        .register_forward_hook(
            lambda _, __, output: (
                (output[0] + own, *output[1:]) if isinstance(output, tuple) else output + own
            )
        )
    )
    total = torch.zeros(())
    count = sum(sum(row.is_reply) for row in encoded[:4])
    for row in encoded[:4]:
        ids = torch.tensor([row.ids])
        labels = torch.tensor(
            [token if mark else -100 for token, mark in zip(row.ids, row.is_reply, strict=True)]
        )
        logits = base.model(input_ids=ids).logits[0, :-1]
        total = total + nn.functional.cross_entropy(logits, labels[1:], ignore_index=-100, reduction="sum")
    (total / count).backward()
    optimizer.step()
    hook.remove()
    torch.testing.assert_close(trained.weights["layer.1"], own.detach(), atol=1e-4, rtol=1e-3)
    form.save(trained.weights, tmp_path / "ada", base="somebody/tiny")
    torch.testing.assert_close(load_offsets(tmp_path / "ada").layers[1], trained.weights["layer.1"])


@torch.no_grad()
def test_a_recipe_stacks_them_on_weights_with_its_scale(
    tiny_base: Path, base: Base, encoded: list[Encoded], tmp_path: Path
) -> None:
    ws, given = Workspace(tmp_path), offsets(base, 5)
    lora = fresh(targets(base.model, ("q_proj",)), LoraShape(target_modules=["q_proj"]), seed=0)
    for _, b in lora.factors.values():
        nn.init.normal_(b, std=0.3)
    save_lora(lora, LoraShape(target_modules=["q_proj"]), ws.adapters("run-u") / "unified")
    save_offsets(given, ws.adapters("run-s") / "all")
    shelf = Shelf(ws)
    recipe = Recipe((Weights("run-u", "unified"), Activations("run-s", "all", 0.5)))
    (side,) = shelf.sides(recipe, "ada")
    assert [shelf.kind(effect) for effect in side.effects] == ["weights", "activations"]
    ids = torch.tensor([encoded[1].ids])
    with written(base.model, shelf.change(side.effects)):
        found = base.model(input_ids=ids).logits
    theirs = by_algebra(tiny_base, (given, 0.5))
    with written(theirs.model, shelf.change([Weights("run-u", "unified")])):
        expected = theirs.model(input_ids=ids).logits
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    with pytest.raises(EngineError, match="no LoRA but activations"):
        shelf.lora("run-s", "all")


def test_what_cannot_be_is_refused(base: Base, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no layer 9"):
        OffsetsForm(base.model, [9])
    save_offsets(offsets(base, 1), tmp_path / "one")
    path = tmp_path / "one" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(TornFile, match="damaged"):
        load_offsets(tmp_path / "one")
