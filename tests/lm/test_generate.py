"""Greedy generation: a batch says what its rows say alone, whatever is skipped."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.lm.generate import Reply, batches, generate
from engine.lm.load import Base
from tools.base_tokenizer import END

NEW = 16


@pytest.fixture(scope="module")
def alone(base: Base, prompts: list[list[int]]) -> list[Reply]:
    return [generate(base.model, base.tokenizer, [prompt], max_new_tokens=NEW)[0] for prompt in prompts]


def texts(replies: list[Reply]) -> list[str]:
    return [reply.text for reply in replies]


@torch.no_grad()
def step_by_step(base: Base, prompt: list[int]) -> list[int]:
    """The plainest greedy decoding: the whole text again for every token, no cache, no padding."""
    ids = list(prompt)
    while len(ids) < len(prompt) + NEW:
        ids.append(int(base.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == base.tokenizer.eos_token_id:
            return ids[len(prompt) : -1]
    return ids[len(prompt) :]


def test_a_reply_is_what_taking_the_likeliest_token_each_time_gives(
    base: Base, prompts: list[list[int]], alone: list[Reply]
) -> None:
    for prompt, reply in zip(prompts[:6], alone, strict=False):
        expected = step_by_step(base, prompt)
        assert reply.text == base.tokenizer.decode(expected, skip_special_tokens=True).strip()
        assert (reply.prompt_tokens, reply.reply_tokens) == (len(prompt), len(expected))


@pytest.mark.parametrize("rows", [3, 5, 32])
def test_a_batch_of_mixed_lengths_says_what_each_prompt_says_alone(
    base: Base, prompts: list[list[int]], alone: list[Reply], rows: int
) -> None:
    assert len({len(prompt) for prompt in prompts}) > 8
    together = generate(base.model, base.tokenizer, prompts, max_new_tokens=NEW, rows=rows)
    assert texts(together) == texts(alone)
    assert len(set(texts(alone))) == len(prompts)
    assert [reply.reply_tokens for reply in together] == [reply.reply_tokens for reply in alone]
    assert all(reply.seconds > 0 for reply in together)


def test_replies_end_where_the_end_token_stands(alone: list[Reply]) -> None:
    ended = [reply for reply in alone if reply.reply_tokens < NEW]
    assert ended, "no reply ended early: this test cannot fail"
    assert len(ended) < len(alone)
    assert not any(END in reply.text for reply in alone)


def test_batches_done_before_are_left_out_and_change_no_other_text(
    base: Base, prompts: list[list[int]], alone: list[Reply]
) -> None:
    plan = list(batches([len(prompt) for prompt in prompts], 4))
    seen: list[int] = []
    left = generate(
        base.model,
        base.tokenizer,
        prompts,
        max_new_tokens=NEW,
        rows=4,
        skip=frozenset([*plan[0], *plan[2], plan[1][0]]),  # the second batch only in part: it is done again
        on_batch=lambda rows, _: seen.extend(rows),
    )
    assert seen == [*plan[1], *plan[3]]
    assert texts(left) == [alone[row].text for row in sorted(seen)]


def test_each_batch_is_handed_over_and_may_stop_the_rest(
    base: Base, prompts: list[list[int]], alone: list[Reply]
) -> None:
    got: dict[int, str] = {}

    def take(rows: list[int], replies: list[Reply]) -> None:
        got.update((row, reply.text) for row, reply in zip(rows, replies, strict=True))
        if len(got) >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(base.model, base.tokenizer, prompts, max_new_tokens=NEW, rows=4, on_batch=take)
    assert len(got) == 8
    assert all(alone[row].text == text for row, text in got.items())


def test_what_the_model_recommends_for_sampling_is_ignored(
    base: Base, prompts: list[list[int]], alone: list[Reply]
) -> None:
    model = copy.deepcopy(base.model)
    model.generation_config.update(
        do_sample=True, temperature=3.0, top_p=0.5, top_k=5, repetition_penalty=1.8
    )
    torch.manual_seed(0)
    assert texts(generate(model, base.tokenizer, prompts[:5], max_new_tokens=NEW)) == texts(alone[:5])


def test_no_prompts_no_replies(base: Base) -> None:
    assert generate(base.model, base.tokenizer, []) == []


@given(st.lists(st.integers(1, 500), max_size=100), st.integers(1, 40))
def test_the_batch_plan_takes_every_prompt_once_longest_first(lengths: list[int], rows: int) -> None:
    plan = list(batches(lengths, rows))
    order = [index for group in plan for index in group]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[index] for index in order] == sorted(lengths, reverse=True)
    assert all(len(group) == rows for group in plan[:-1])
    assert not plan or 1 <= len(plan[-1]) <= rows
