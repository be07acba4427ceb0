"""Steps of static shape, run here one operation at a time, say what steps that grow say."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from engine.lm import static_steps
from engine.lm.activations import Offsets
from engine.lm.adapters import Lora, fresh, targets
from engine.lm.arrow import library_of
from engine.lm.bank import Change, Rows, Tables, change_of
from engine.lm.decode import decode
from engine.lm.generate import generate
from engine.lm.held import Held, row_count
from engine.lm.kernels import Kernels
from engine.lm.load import Base
from engine.lm.mixture import Strand, answer
from engine.lm.plan import PLAIN, Batching, plan_for
from engine.lm.prefix import PrefixForm
from engine.lm.shape import LoraShape
from engine.lm.static_steps import StaticSteps, room_for, unsuited

NEW = 24
STATIC = Batching(rows=64, static=True)


@pytest.fixture(scope="module")
def changes(base: Base, prompts: list[list[int]]) -> list[Change | None]:
    """Every kind of effect: factors of two ranks, offsets, prefixes of two lengths, a library, and none."""
    strong = [_lora(base.model, rank=rank, seed=rank) for rank in (4, 8)]
    width = int(base.model.config.hidden_size)
    random = torch.Generator().manual_seed(3)
    offsets = Offsets({0: torch.randn(width, generator=random), 1: torch.randn(width, generator=random)})
    prefixes = [PrefixForm(base.model, size, prompts[0]).start(seed=0)["prefix"].cpu() for size in (4, 9)]
    return [
        change_of([(strong[0], 1.0)]),
        change_of([(strong[1], 0.7), (strong[0], -0.4)]),
        change_of([], offsets=[(offsets, 0.6)]),
        change_of([], prefix=prefixes[0]),
        change_of([(strong[1], 1.0)], prefix=prefixes[1], offsets=[(offsets, 0.3)]),
        None,
        change_of([(strong[0], 1.0)], libraries=[library_of(strong, top_k=1, temperature=1.0)]),
    ]


def _lora(model: PreTrainedModel, *, rank: int, seed: int) -> Lora:
    lora = fresh(targets(model, ["q_proj", "v_proj"]), LoraShape(rank=rank, alpha=16), seed=seed)
    random = torch.Generator().manual_seed(seed)
    for _, b in lora.factors.values():
        b.normal_(std=0.15, generator=random)
    return lora


def both(
    base: Base, prompts: Sequence[Sequence[int]], changes: Sequence[Change | None], **more: int
) -> tuple[list[str], list[str]]:
    found = [
        generate(
            base.model,
            base.tokenizer,
            prompts,
            changes=changes,
            max_new_tokens=NEW,
            plan=plan,
            kernels=Kernels(6),
            **more,
        )
        for plan in (PLAIN, STATIC)
    ]
    plain, static = ([reply.text for reply in replies] for replies in found)
    return plain, static


@pytest.mark.parametrize("rows", [1, 5, 14])
def test_every_effect_survives_in_batches_of_any_size(
    base: Base, prompts: list[list[int]], changes: list[Change | None], rows: int
) -> None:
    own = [changes[place % len(changes)] for place in range(len(prompts))]
    plain, static = both(base, prompts, own, rows=rows)
    assert static == plain
    bare = generate(base.model, base.tokenizer, prompts, max_new_tokens=NEW)
    differing = [one.text != text for one, text, change in zip(bare, plain, own, strict=True) if change]
    assert sum(differing) > len(differing) / 2, "the changes change too little: this test cannot fail"


def test_one_change_written_into_the_weights_leaves_them_as_they_were(
    base: Base, prompts: list[list[int]], changes: list[Change | None]
) -> None:
    before = {name: one.clone() for name, one in base.model.named_parameters()}
    for change in (changes[0], changes[4], changes[6]):
        plain, static = both(base, prompts, [change] * len(prompts))
        assert static == plain
    assert all(torch.equal(one, before[name]) for name, one in base.model.named_parameters())


def test_rows_that_end_leave_for_the_next_smaller_count_and_change_no_other_text(
    base: Base, prompts: list[list[int]]
) -> None:
    """Rows are made to end at many different times, so that every count is gone through."""
    said = decode(base.model, prompts, max_new_tokens=64, end_ids=frozenset(), share_prefix=False)
    lasting = {tuple(tokens[:4]): 4 + 4 * place for place, tokens in enumerate(said)}
    assert len(lasting) == len(said)

    def over(tokens: Sequence[int]) -> bool:
        return len(tokens) >= lasting.get(tuple(tokens[:4]), 99)

    seen: list[int] = []
    steps = StaticSteps()
    with torch.inference_mode():
        replies = decode(
            base.model,
            prompts,
            max_new_tokens=64,
            end_ids=frozenset(),
            share_prefix=False,
            over=over,
            on_rows=lambda rows: seen.append(len(rows)),
            steps=steps,
        )
    assert [len(reply) for reply in replies] == [min(64, 4 + 4 * place) for place in range(len(said))]
    assert replies == [tokens[: len(reply)] for tokens, reply in zip(said, replies, strict=True)]
    assert [count for count in seen if count >= 4][-3:] == [16, 8, 4]


def test_mixtures_on_probabilities_and_on_logits_say_the_same(
    base: Base, prompts: list[list[int]], changes: list[Change | None]
) -> None:
    requests = [
        (Strand(prompts[0], changes[0], 0.6), Strand(prompts[1], changes[2], 0.4)),
        (Strand(prompts[2], changes[3], 1.0, 1.5, 0), Strand(prompts[2], None, 1.0, -0.5, 0)),
        (Strand(prompts[3], changes[4]),),
        (
            Strand(prompts[4], changes[1], 0.2),
            Strand(prompts[5], None, 0.3),
            Strand(prompts[6], changes[0], 0.5),
        ),
    ]
    plain, static = (
        [reply.text for reply in answer(base.model, base.tokenizer, requests, max_new_tokens=NEW, plan=plan)]
        for plan in (PLAIN, STATIC)
    )
    assert static == plain
    assert len(set(plain)) == len(requests)


def test_the_room_and_what_rows_bring_stay_where_they_are_from_batch_to_batch(
    base: Base, prompts: list[list[int]], changes: list[Change | None]
) -> None:
    """What a graph knows by its address must be there again for the next batch."""
    steps, tables, places = StaticSteps(), Tables(base.model, changes[:2]), []
    with torch.inference_mode():
        long = sorted(prompts, key=len, reverse=True)
        for group in (long[:4], long[1:5], long[:3]):
            rows = Rows(
                base.model, [*changes[:2], *changes[:2]][: len(group)], tables=tables, held=steps.held
            )
            with rows.on():
                decode(
                    base.model,
                    group,
                    max_new_tokens=8,
                    end_ids=frozenset(),
                    share_prefix=False,
                    on_rows=rows.choose,
                    steps=steps,
                    key=rows.key,
                )
            shape = steps.shape(base.model, len(group), len(long[0]) + 8, rows.key)
            factors = [one.data_ptr() for path in tables.factors for one in rows._factors_of(path)]
            places.append((shape.pairs[0][0].data_ptr(), shape.ids.data_ptr(), factors, steps.held.moves))
    assert places[0] == places[1] == places[2]


def test_what_rows_bring_moves_only_to_more_room() -> None:
    held, table = Held(), torch.arange(12.0).view(6, 2)
    first = held.put("x", table, torch.tensor([5, 0, 1]))
    assert first.tolist() == [[10, 11], [0, 1], [2, 3]]
    assert held.put("x", table, torch.tensor([2, 3, 4, 5])).data_ptr() == first.data_ptr()
    assert first.tolist() == [[4, 5], [6, 7], [8, 9]]
    assert held.moves == 1
    held.put("x", table, torch.arange(5))
    assert held.moves == 2


def test_a_batch_without_room_is_halved_until_it_fits(
    base: Base, prompts: list[list[int]], changes: list[Change | None]
) -> None:
    """The limit is on the room that is really asked for; what does not fit raises what a full card raises."""
    own = [changes[place % 2] for place in range(len(prompts))]
    longest = max(map(len, prompts)) + NEW
    asked: list[int] = []

    def limit() -> int:
        asked.append(1)
        return static_steps.bytes_of(base.model, 4, longest)

    plan = Batching(rows=14, static=True, most_bytes=limit)
    plain, _ = both(base, prompts, own)
    made = generate(base.model, base.tokenizer, prompts, changes=own, max_new_tokens=NEW, plan=plan)
    assert [reply.text for reply in made] == plain
    assert len(asked) >= 3, "the whole and its half were not refused: this test cannot fail"
    tried = len(asked)
    twice = generate(
        base.model, base.tokenizer, [*prompts, *prompts], changes=own * 2, max_new_tokens=NEW, plan=plan
    )
    assert [reply.text for reply in twice] == plain * 2
    assert len(asked) - tried < 2 * tried, "what did not fit was tried again for the second batch"
    none = Batching(rows=14, static=True, most_bytes=lambda: 1000)
    with pytest.raises(torch.OutOfMemoryError, match="1 rows|4 rows"):
        generate(base.model, base.tokenizer, prompts[:3], max_new_tokens=NEW, plan=none)
    requests = [
        (Strand(prompt, change, 0.5), Strand(prompt, None, 0.5))
        for prompt, change in zip(prompts, own, strict=True)
    ]
    alike, halved = (
        [one.text for one in answer(base.model, base.tokenizer, requests, max_new_tokens=8, plan=p)]
        for p in (PLAIN, plan)
    )
    assert halved == alike


def test_counts_and_lengths_are_padded_to_a_few() -> None:
    assert [row_count(rows) for rows in (1, 4, 5, 64, 65, 512)] == [4, 4, 8, 64, 128, 512]
    assert [room_for(length) for length in (1, 64, 65, 640)] == [64, 64, 128, 640]


def test_only_plain_attention_takes_part_and_the_reason_is_told(base: Base) -> None:
    assert unsuited(base.model) == ""
    windowed = copy.deepcopy(base.model)
    windowed.config.layer_types = ["sliding_attention", "full_attention"]
    assert "plain" in unsuited(windowed)
    small = {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "vocab_size": 64,
    }
    turning = LlamaForCausalLM(LlamaConfig(**small, rope_scaling={"rope_type": "dynamic", "factor": 2.0}))
    assert "dynamic" in unsuited(turning)
    assert unsuited(Qwen2ForCausalLM(Qwen2Config(**small))) == ""


def test_on_the_cpu_the_plan_is_what_results_were_made_under(base: Base) -> None:
    assert plan_for(copy.deepcopy(base.model).to("cpu")) == PLAIN
    assert PLAIN.name == "length-sorted/64"
    assert Batching(rows=512, static=True).name == "length-sorted/512, static steps"
