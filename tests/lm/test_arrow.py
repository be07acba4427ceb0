"""Tokens that choose among adapters: PEFT's own Arrow says the same, wherever a row is answered."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import ArrowConfig, create_arrow_model

from engine.core.paths import TornFile, Workspace
from engine.lm.adapters import Lora, fresh, save_lora, targets
from engine.lm.arrow import AdapterLibrary, direction, library_of, load_library, save_library
from engine.lm.bank import Change, Rows, change_of, written
from engine.lm.decode import decode
from engine.lm.effects import Library, Recipe, Weights
from engine.lm.encode import Encoded, encode_prompt
from engine.lm.generate import generate
from engine.lm.kernels import Kernels
from engine.lm.load import Base, load_base
from engine.lm.mixture import Strand, answer
from engine.lm.recipes import Shelf
from engine.lm.shape import LoraShape
from engine.lm.streaming import Stream

NEW = 12
SHAPE = LoraShape(rank=4, alpha=8, target_modules=["q_proj", "v_proj"])


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def loras(base: Base, *seeds: int) -> list[Lora]:
    found = []
    for seed in seeds:
        lora = fresh(targets(base.model, SHAPE.target_modules), SHAPE, seed=seed)
        random = torch.Generator().manual_seed(seed)
        for _, b in lora.factors.values():
            b.normal_(std=0.3, generator=random)
            b[:, 1:] *= 0.2  # a first direction that stands out, so that power iteration finds it too
        found.append(lora)
    return found


@pytest.fixture
def library(base: Base) -> AdapterLibrary:
    return library_of(loras(base, 1, 2, 3, 4), top_k=2, temperature=0.5)


@pytest.fixture
def prompts(base: Base, chats: list[list[dict[str, str]]]) -> list[list[int]]:
    return [encode_prompt(base.tokenizer, chat[: 1 + number % 2]) for number, chat in enumerate(chats[:8])]


def test_a_direction_is_the_first_right_singular_vector_of_the_whole_change() -> None:
    random = torch.Generator().manual_seed(0)
    a, b = torch.randn(3, 10, generator=random), torch.randn(7, 3, generator=random)
    whole = torch.linalg.svd(b @ a).Vh[0]
    found = direction(a, b)
    torch.testing.assert_close(found * torch.sign(found @ whole), whole, atol=1e-5, rtol=1e-4)
    assert direction(a, torch.zeros(7, 3)).abs().sum() == 0


@torch.no_grad()
@pytest.mark.parametrize("kernel", ["stacked", "masked", "written"])
def test_logits_are_those_of_pefts_arrow(
    tiny_base: Path, base: Base, encoded: list[Encoded], tmp_path: Path, kernel: str
) -> None:
    found_adapters = loras(base, 1, 2, 3, 4)
    for number, lora in enumerate(found_adapters):
        save_lora(lora, SHAPE, tmp_path / str(number), base=str(tiny_base))
    config = ArrowConfig(top_k=2, router_temperature=0.5, rng_seed=0)
    folders = [str(tmp_path / str(number)) for number in range(4)]
    theirs = create_arrow_model(load_base(str(tiny_base)).model, folders, config).eval()
    change = change_of([], libraries=[library_of(found_adapters, top_k=2, temperature=0.5)])
    ids = torch.tensor([encoded[0].ids] * 2)
    plain = base.model(input_ids=ids[:1]).logits
    expected = theirs(input_ids=ids[:1]).logits
    if kernel == "written":
        with written(base.model, change):
            found = base.model(input_ids=ids[:1]).logits
    else:
        rows = Rows(base.model, [change, None], kernel=kernel)  # type: ignore[arg-type]
        with rows.on():
            found = base.model(input_ids=ids).logits
        torch.testing.assert_close(found[1:], plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[:1], expected, atol=1e-3, rtol=1e-3)
    assert (expected - plain).abs().max() > 0.1
    torch.testing.assert_close(base.model(input_ids=ids[:1]).logits, plain)


@torch.no_grad()
def test_one_adapter_alone_is_that_adapter(base: Base, encoded: list[Encoded]) -> None:
    (lora,) = loras(base, 5)
    ids = torch.tensor([encoded[0].ids])
    with written(base.model, change_of([(lora, 1.0)])):
        expected = base.model(input_ids=ids).logits
    with written(base.model, change_of([], libraries=[library_of([lora], top_k=3, temperature=1.0)])):
        torch.testing.assert_close(base.model(input_ids=ids).logits, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "rule", [Kernels(written_from=2), Kernels(written_from=100)], ids=["written", "mixed"]
)
def test_generated_mixed_and_streamed_it_says_the_same_as_alone(
    base: Base, prompts: list[list[int]], library: AdapterLibrary, rule: Kernels
) -> None:
    (lora,) = loras(base, 9)
    choosing, other = change_of([(lora, 1.0)], libraries=[library]), change_of([(lora, 1.0)])
    own = [(choosing, None, other)[number % 3] for number in range(len(prompts))]
    wanted = []
    for prompt, change in zip(prompts, own, strict=True):
        ends = generate(base.model, base.tokenizer, [prompt], changes=[change], max_new_tokens=NEW)
        wanted.append(ends[0].text)
    found = generate(base.model, base.tokenizer, prompts, changes=own, max_new_tokens=NEW, kernels=rule)
    assert [reply.text for reply in found] == wanted
    assert wanted != [
        reply.text for reply in generate(base.model, base.tokenizer, prompts, max_new_tokens=NEW)
    ]
    voices = [(Strand(ids, one),) for ids, one in zip(prompts, own, strict=True)]
    voices.append((Strand(prompts[0], choosing, 0.999), Strand(prompts[1], None, 0.001)))
    stream = Stream(base, voices, max_new_tokens=NEW)
    while not stream.over():
        stream.step()
    answered = answer(base.model, base.tokenizer, voices, max_new_tokens=NEW)
    assert [stream.text(voice) for voice in range(len(voices))] == [reply.text for reply in answered]
    assert [reply.text for reply in answered] == [*wanted, wanted[0]]


def test_rows_that_leave_take_their_choice_with_them(
    base: Base, prompts: list[list[int]], library: AdapterLibrary
) -> None:
    choosing = change_of([], libraries=[library])
    own: list[Change | None] = [choosing if number % 2 else None for number in range(len(prompts))]
    ends = frozenset(range(0, len(base.tokenizer), 3))  # a third of all tokens ends a reply

    def said(rows: list[list[int]], changes: list[Change | None]) -> list[list[int]]:
        bank = Rows(base.model, changes)
        with torch.inference_mode(), bank.on():
            return decode(
                base.model, rows, max_new_tokens=NEW, end_ids=ends, share_prefix=False, on_rows=bank.choose
            )

    alone = [said([row], [change])[0] for row, change in zip(prompts, own, strict=True)]
    assert said(prompts, own) == alone
    assert len({len(tokens) for tokens in alone}) > 1


@torch.no_grad()
def test_a_recipe_stacks_it_on_weights_and_its_file_says_the_same(
    base: Base, encoded: list[Encoded], library: AdapterLibrary, tmp_path: Path
) -> None:
    ws, (lora,) = Workspace(tmp_path), loras(base, 7)
    save_lora(lora, SHAPE, ws.adapters("run-u") / "unified")
    save_library(library, ws.adapters("run-a") / "library")
    shelf = Shelf(ws)
    (side,) = shelf.sides(Recipe((Weights("run-u", "unified"), Library("run-a", "library"))), "ada")
    assert [shelf.kind(effect) for effect in side.effects] == ["weights", "library"]
    ids = torch.tensor([encoded[1].ids])
    with written(base.model, shelf.change(side.effects)):
        found = base.model(input_ids=ids).logits
    with written(base.model, change_of([(lora, 1.0)], libraries=[library])):
        expected = base.model(input_ids=ids).logits
    torch.testing.assert_close(found, expected)
    path = ws.adapters("run-a") / "library" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(TornFile, match="damaged"):
        load_library(path.parent)
