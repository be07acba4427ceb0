"""Packed rows: dialogues one after another give the losses and gradients of dialogues side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import SmolLM3Config, SmolLM3ForCausalLM

from engine.lm.activations import OffsetsForm
from engine.lm.captured import rounded
from engine.lm.encode import Encoded
from engine.lm.forms import Form, LoraForm
from engine.lm.lanes import Lanes
from engine.lm.last_layer import plain_attention
from engine.lm.load import load_base
from engine.lm.packed_attention import begins_of, prefer_packed, shorten
from engine.lm.packing import Drill, batch_of, bins_of, layout_of
from engine.lm.passes import Passes
from engine.lm.prefix import PrefixForm
from engine.lm.shape import LoraShape
from engine.lm.train import Lesson, Trainer, TrainSettings

SHAPE = LoraShape(rank=4, alpha=8, dropout=0.2, target_modules=["q_proj", "v_proj"])


def drills(encoded: Sequence[Encoded], adapters: int) -> list[Drill]:
    """Unequal numbers of dialogues of unequal lengths, each with a stream of its own."""
    rows, at = [], 0
    for slot in range(adapters):
        for _ in range(1 + slot % 3):
            rows.append(Drill(slot, encoded[at], stream=1000 + at))
            at += 1
    return rows


def drawn(form: Form, adapters: int) -> dict[str, Tensor]:
    """Adapters that are no start: both factors differ from zero."""
    random = torch.Generator().manual_seed(0)
    return {
        name: torch.stack(
            [tensor + 0.1 * torch.randn(tensor.shape, generator=random) for _ in range(adapters)]
        )
        for name, tensor in form.start(seed=1).items()
    }


@contextmanager
def passes(tiny_base: Path, form: Form, *, packed: bool, tokens: int) -> Iterator[Passes]:
    model = load_base(str(tiny_base)).model
    with Lanes(model, 1, prepare=prefer_packed if packed else lambda _: None) as lanes:
        made = Passes(lanes, form, pad_id=0, say=lambda _: None, packed=packed)
        made._tokens = tokens
        yield made


@pytest.mark.parametrize("tokens", [300, 100_000])
@pytest.mark.parametrize("kind", ["lora", "offsets"])
def test_losses_and_gradients_are_those_of_padded_rows(
    tiny_base: Path, encoded: list[Encoded], kind: str, tokens: int
) -> None:
    """With dropout, whole and cut into micro-batches."""
    model = load_base(str(tiny_base)).model
    form: Form = LoraForm(model, SHAPE) if kind == "lora" else OffsetsForm(model, [0, 1])
    rows, stacked = drills(encoded, 6), drawn(form, 6)
    shares = [1.0 / (slot + 2) for slot in range(6)]
    found = []
    for packed, at_once in ((False, 100_000), (True, tokens)):
        with passes(tiny_base, form, packed=packed, tokens=at_once) as made:
            found.append((*made.gradients(stacked, rows, shares), made.losses(stacked, rows)))
    (sums, grads, losses), (packed_sums, packed_grads, packed_losses) = found
    torch.testing.assert_close(packed_sums, sums, atol=1e-3, rtol=1e-5)
    assert packed_losses == pytest.approx(losses, abs=1e-5)
    for name, grad in grads.items():
        assert float(grad.abs().max()) > 1e-4
        torch.testing.assert_close(packed_grads[name], grad, atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize("share", [0.5, 1e-5])
def test_gradients_of_a_mean_over_many_tokens_do_not_vanish_in_fp16(
    tiny_base: Path, encoded: list[Encoded], share: float
) -> None:
    """Of the 100,000 reply tokens of a large batch each has a share that fp16 would round to little."""
    found = []
    for dtype in (torch.float32, torch.float16):
        model = load_base(str(tiny_base)).model.to(dtype)
        form = LoraForm(model, SHAPE.model_copy(update={"dropout": 0.0}))
        with Lanes(model, 1) as lanes:
            made = Passes(lanes, form, pad_id=0, say=lambda _: None)
            rows = [Drill(0, row) for row in encoded[:2]]
            found.append(made.gradients(drawn(form, 1), rows, [share])[1])
    right, ours = (torch.cat([one.flatten() for one in grads.values()]) for grads in found)
    assert float((ours - right).norm() / right.norm()) < 0.02


def test_a_step_with_room_to_spare_is_the_step(tiny_base: Path, encoded: list[Encoded]) -> None:
    """What a GPU records: sizes rounded up, with padding, labels of no weight and dialogues of no length."""
    form = LoraForm(load_base(str(tiny_base)).model, SHAPE)
    rows = [Drill(0, row, stream=number) for number, row in enumerate(encoded[:3])]
    stacked = drawn(form, 1)
    bins = bins_of(rows, 100_000)
    tight = layout_of(bins, adapters=1, packed=True)
    room = rounded(tight)
    assert room.width > tight.width
    assert room.labels > tight.labels
    assert room.dialogues > tight.dialogues
    with (
        passes(tiny_base, form, packed=True, tokens=100_000) as made,
        Lanes(load_base(str(tiny_base)).model, 1, prepare=prefer_packed) as lanes,
    ):
        (model,) = lanes.map(lambda model, _: model, [0])
        results = [
            made._computed(model, stacked, batch_of(bins, [0.5], pad_id=0, packed=True, room=one), True)
            for one in (None, room)
        ]
    (sums, grads), (room_sums, room_grads) = results
    torch.testing.assert_close(room_sums, sums, atol=1e-4, rtol=1e-5)
    for grad, room_grad in zip(grads, room_grads, strict=True):
        torch.testing.assert_close(room_grad, grad, atol=2e-6, rtol=1e-4)


def test_room_to_spare_makes_no_dialogue_as_long_as_a_row(encoded: list[Encoded]) -> None:
    """Where dialogues are laid side by side for attention, each takes the room of the longest."""
    for count in (1, 2, 20, 60):
        bins = [[Drill(0, row) for row in (encoded * 3)[:count]]]
        tight = layout_of(bins, adapters=1, packed=True)
        room = rounded(tight)
        padding = room.width - sum(len(row.dialogue) for row in bins[0])
        assert len(bins[0][-1].dialogue) + padding <= room.longest
        assert room.longest <= 2 * (tight.longest + padding)


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    low, high = x.chunk(2, dim=-1)
    return x * cos.unsqueeze(1) + torch.cat([-high, low], dim=-1) * sin.unsqueeze(1)


def test_attention_in_its_short_form_gives_what_it_gave(tiny_base: Path, encoded: list[Encoded]) -> None:
    """With the turn in plain operations, as the kernel needs a GPU; what turns otherwise is not used."""
    rows = drills(encoded, 3)
    batch = batch_of(bins_of(rows, 100_000), [1.0] * 3, pad_id=0, packed=True)
    results = []
    for turn in (None, turned, lambda x, cos, sin: x):
        model = load_base(str(tiny_base)).model
        if turn is not None:
            shorten(model, turn)
        short = "forward" in model.get_decoder().layers[0].self_attn.__dict__
        assert short == (turn is turned)
        prefer_packed(model)
        more = begins_of(batch.begins, batch.layout.longest)
        out = model.get_decoder()(input_ids=batch.ids, position_ids=batch.places, use_cache=False, **more)
        results.append(out.last_hidden_state)
    torch.testing.assert_close(results[1], results[0], atol=1e-5, rtol=1e-5)


def test_layers_that_turn_nothing_keep_their_own_way() -> None:
    """As in SmolLM3, one layer of which looks like the others and knows no positions."""
    config = SmolLM3Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=48, vocab_size=50, no_rope_layers=[1, 0], pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    model = SmolLM3ForCausalLM(config).eval()
    assert plain_attention(model)
    begins = torch.tensor([0, 7, 12], dtype=torch.int32)
    places = torch.tensor([[*range(7), *range(5)]])
    ids = torch.arange(1, 13).unsqueeze(0)
    apart = [model.get_decoder()(input_ids=ids[:, a:b]).last_hidden_state for a, b in ((0, 7), (7, 12))]
    shorten(model, turned)
    prefer_packed(model)
    out = model.get_decoder()(input_ids=ids, position_ids=places, use_cache=False, **begins_of(begins, 7))
    torch.testing.assert_close(out.last_hidden_state, torch.cat(apart, dim=1), atol=1e-5, rtol=1e-5)
    assert ["forward" in layer.self_attn.__dict__ for layer in model.get_decoder().layers] == [True, False]


def test_training_packed_ends_as_training_padded(tiny_base: Path, encoded: list[Encoded]) -> None:
    settings = TrainSettings(learning_rate=5e-3, epochs=2, batch_size=3, seed=3)
    lessons = [Lesson(str(n), encoded[6 * n : 6 * n + 5], encoded[6 * n + 5 : 6 * n + 6]) for n in range(4)]
    ends = []
    for packed in (False, True):
        base = load_base(str(tiny_base))
        form = LoraForm(base.model, SHAPE)
        ends.append(Trainer(base.model, form, settings, lessons, pad_id=0, packed=packed).fit())
    for padded, laid in zip(*ends, strict=True):
        assert laid.val_losses == pytest.approx(padded.val_losses, abs=1e-4)
        for name, tensor in padded.weights.items():
            torch.testing.assert_close(laid.weights[name], tensor, atol=2e-4, rtol=0)


def test_a_row_holds_dialogues_of_one_adapter_and_as_many_as_fit(encoded: list[Encoded]) -> None:
    rows = drills(encoded, 6)
    assert [len(chosen) for chosen in bins_of(rows, 100_000)] == [1, 2, 3, 1, 2, 3]
    assert all(len({row.slot for row in chosen}) == 1 for chosen in bins_of(rows, 400))
    assert [len(chosen) for chosen in bins_of(rows, 1)] == [1] * len(rows)


def test_labels_are_the_next_tokens_of_replies_and_know_their_adapter(encoded: list[Encoded]) -> None:
    rows = drills(encoded, 3)
    batch = batch_of(bins_of(rows, 100_000), [0.1, 0.2, 0.3], pad_id=0, packed=True)
    expected = [
        (row.slot, row.dialogue.ids[t + 1])
        for row in rows
        for t in range(len(row.dialogue) - 1)
        if row.dialogue.is_reply[t + 1]
    ]
    assert list(zip(batch.owners.tolist(), batch.wanted.tolist(), strict=True)) == expected
    assert batch.weights.tolist() == pytest.approx([(slot + 1) / 10 for slot, _ in expected])
    assert batch.begins.tolist()[-1] == batch.ids.numel()


def test_forms_and_models_that_cannot_be_packed_are_not(tiny_base: Path) -> None:
    base = load_base(str(tiny_base))
    assert plain_attention(base.model)
    assert not getattr(PrefixForm(base.model, 4, [1, 2]), "packs", False)
    base.model.config.layer_types = ["sliding_attention", "full_attention"]
    assert not plain_attention(base.model)
