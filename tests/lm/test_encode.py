"""Which tokens are the assistant's, whatever the template, and that padding changes no loss."""

from __future__ import annotations

import copy
from itertools import groupby
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from engine.core.errors import EngineError
from engine.lm.encode import IGNORED, Encoded, encode_chat, encode_prompt, training_batch
from engine.lm.load import Base
from engine.lm.template import PLAIN_TEMPLATE
from engine.lm.train import evaluate_loss
from tools.base_tokenizer import END

CHAT = [
    {"role": "system", "content": "You are the assistant of a smart home."},
    {"role": "user", "content": "It is dark. Could you dim the lights to 35%?"},
    {"role": "assistant", "content": "Lights set to 35% brightness."},
    {"role": "user", "content": "And the AC?"},
    {"role": "assistant", "content": "Which temperature would you like?\nI can do 16 to 30 degrees."},
]
QWEN_TEMPLATE = (
    "{%- if messages[0]['role'] == 'system' %}"
    "{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}"
    "{%- else %}{{- '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}"
    "{%- if message.role != 'system' or not loop.first %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}"
    "{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
INSTRUCT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'] + eos_token }}"
    "{% else %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% endif %}{% endfor %}"
)
LAST_ONLY_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] != 'assistant' or loop.last %}"
    "{{ message['role'] + ': ' + message['content'] + '\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
NO_SYSTEM_TEMPLATE = "{{ raise_exception('System role not supported') }}"


def with_template(base: Base, template: str | None) -> Any:
    tokenizer = copy.deepcopy(base.tokenizer)
    if template is not None:
        tokenizer.chat_template = template
    return tokenizer


def marked(tokenizer: Any, row: Encoded) -> list[str]:
    """The text of each unbroken stretch of reply tokens."""
    stretches = groupby(zip(row.ids, row.is_reply, strict=True), key=lambda pair: pair[1])
    return [tokenizer.decode([token for token, _ in stretch]) for is_reply, stretch in stretches if is_reply]


@pytest.mark.parametrize(
    ("template", "lead"),
    [(None, ""), (QWEN_TEMPLATE, ""), (PLAIN_TEMPLATE, " "), (INSTRUCT_TEMPLATE, " ")],
    ids=["own", "qwen", "plain", "instruct"],
)
def test_marked_tokens_are_exactly_the_replies_with_their_end(
    base: Base, template: str | None, lead: str
) -> None:
    tokenizer = with_template(base, template)
    row = encode_chat(tokenizer, CHAT)
    replies = [message["content"] for message in CHAT if message["role"] == "assistant"]
    assert marked(tokenizer, row) == [f"{lead}{reply}{END}" for reply in replies]
    assert tokenizer.decode(row.ids) == tokenizer.apply_chat_template(CHAT, tokenize=False)


@pytest.mark.parametrize("template", [None, QWEN_TEMPLATE, PLAIN_TEMPLATE, INSTRUCT_TEMPLATE])
def test_a_reply_is_asked_for_with_the_very_tokens_it_was_trained_after(
    base: Base, template: str | None
) -> None:
    tokenizer = with_template(base, template)
    row = encode_chat(tokenizer, CHAT)
    for turn in (2, 4):
        prompt = encode_prompt(tokenizer, CHAT[:turn])
        assert tuple(prompt) == row.ids[: len(prompt)]
        assert row.is_reply[len(prompt)]
        assert not row.is_reply[len(prompt) - 1]


def test_marks_agree_with_those_of_the_template_itself(base: Base, chats: list[Any]) -> None:
    for chat in chats:
        theirs = base.tokenizer.apply_chat_template(
            chat, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
        row = encode_chat(base.tokenizer, chat)
        assert list(row.ids) == theirs["input_ids"]
        assert [int(mark) for mark in row.is_reply] == theirs["assistant_masks"]


LINES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda text: "<|" not in text
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(LINES, LINES), min_size=1, max_size=4))
def test_any_text_is_found_again_behind_the_marks(base: Base, turns: list[tuple[str, str]]) -> None:
    chat = [{"role": "system", "content": "Hello."}]
    for request, reply in turns:
        chat += [{"role": "user", "content": request}, {"role": "assistant", "content": reply}]
    row = encode_chat(base.tokenizer, chat)
    assert marked(base.tokenizer, row) == [reply + END for _, reply in turns]


def test_a_template_that_rewrites_history_is_refused(base: Base) -> None:
    with pytest.raises(EngineError, match="rewrites earlier turns"):
        encode_chat(with_template(base, LAST_ONLY_TEMPLATE), CHAT)


def test_a_template_that_refuses_the_chat_is_an_error_that_says_so(base: Base) -> None:
    with pytest.raises(EngineError, match="System role not supported"):
        encode_chat(with_template(base, NO_SYSTEM_TEMPLATE), CHAT)


def test_a_chat_without_a_reply_has_no_marks(base: Base) -> None:
    assert not any(encode_chat(base.tokenizer, CHAT[:2]).is_reply)


def test_targets_are_the_next_reply_tokens_and_nothing_else(encoded: list[Encoded]) -> None:
    batch = training_batch(encoded[:5], pad_id=0)
    assert batch.ids.shape == batch.targets.shape
    assert batch.ids.shape[1] % 8 == 0
    assert batch.tokens == batch.ids.numel()
    for index, row in enumerate(encoded[:5]):
        assert batch.ids[index, : len(row)].tolist() == list(row.ids)
        wanted = [token if mark else IGNORED for token, mark in zip(row.ids, row.is_reply, strict=True)][1:]
        assert batch.targets[index, : len(row) - 1].tolist() == wanted
        assert set(batch.targets[index, len(row) - 1 :].tolist()) == {IGNORED}


@torch.no_grad()
def test_a_padded_batch_has_the_losses_of_its_rows_alone(base: Base, encoded: list[Encoded]) -> None:
    rows = sorted(encoded, key=len)[::7]
    assert len({len(row) for row in rows}) > 3
    batch = training_batch(rows, pad_id=base.tokenizer.pad_token_id)
    logits = base.model(input_ids=batch.ids).logits
    total, count = 0.0, 0
    for index, row in enumerate(rows):
        labels = torch.tensor(
            [[token if mark else IGNORED for token, mark in zip(row.ids, row.is_reply, strict=True)]]
        )
        alone = float(base.model(input_ids=torch.tensor([row.ids]), labels=labels).loss)
        padded = float(cross_entropy(logits[index], batch.targets[index], ignore_index=IGNORED))
        assert padded == pytest.approx(alone, abs=1e-5)
        total, count = total + alone * sum(row.is_reply), count + sum(row.is_reply)
    assert evaluate_loss(base.model, rows, pad_id=0) == pytest.approx(total / count, abs=1e-5)
