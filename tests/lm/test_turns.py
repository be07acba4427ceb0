"""Chats in the form that a base's template takes: no system role, alternating turns, rewritten turns."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerBase

from engine.core.errors import EngineError
from engine.core.types import Message
from engine.lm.encode import encode_chat, encode_dialogue, encode_prompt
from engine.lm.ends import closing_of
from engine.lm.load import load_base
from engine.lm.prompts import chat
from engine.lm.template import template_of
from engine.lm.turns import fitted, traits

GEMMA = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] | trim + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN3 = (
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}"
    "{% set ns.last = loop.index0 %}{% endif %}{% endfor %}{% for m in messages %}"
    "{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.role == 'assistant' and loop.index0 > ns.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ m.content + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% if enable_thinking is defined and not enable_thinking %}"
    "{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)
ASKED = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Light on."},
    {"role": "assistant", "content": "It is on."},
    {"role": "user", "content": "Louder."},
    {"role": "assistant", "content": "It is louder."},
]


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerBase:
    return load_base("embedded").tokenizer


def replies(tokenizer: PreTrainedTokenizerBase, row: object) -> str:
    ids = [one for one, own in zip(row.ids, row.is_reply, strict=True) if own]  # type: ignore[attr-defined]
    return str(tokenizer.decode(ids))


def test_without_a_system_role_its_text_opens_the_first_user_turn(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = GEMMA
    found = traits(tokenizer)
    assert (found.system, found.repeats, found.extends) == (False, False, True)
    assert fitted(tokenizer, ASKED)[0] == {"role": "user", "content": "Be brief.\n\nLight on."}
    (row,) = encode_dialogue(tokenizer, ASKED)
    assert replies(tokenizer, row) == "It is on.<|im_end|>It is louder.<|im_end|>"


def test_turns_of_one_role_are_joined_where_they_must_alternate(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = GEMMA
    twice = [ASKED[1], {"role": "user", "content": "Please."}, ASKED[2]]
    assert fitted(tokenizer, twice) == [{"role": "user", "content": "Light on.\nPlease."}, ASKED[2]]
    begins = [ASKED[0], {"role": "assistant", "content": "Hello."}, *ASKED[1:]]
    assert [one["role"] for one in fitted(tokenizer, begins)] == ["user", "assistant"] * 3
    assert encode_prompt(tokenizer, begins[:3])


def test_where_turns_may_repeat_nothing_is_changed(tokenizer: PreTrainedTokenizerBase) -> None:
    twice = [*ASKED[:2], {"role": "user", "content": "Please."}, ASKED[2]]
    assert fitted(tokenizer, twice) == twice


def test_a_template_that_rewrites_earlier_turns_is_trained_as_it_is_asked(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    tokenizer.chat_template = QWEN3
    assert not traits(tokenizer).extends
    with pytest.raises(EngineError, match="rewrites earlier turns"):
        encode_chat(tokenizer, ASKED)
    rows = encode_dialogue(tokenizer, ASKED)
    assert [replies(tokenizer, row) for row in rows] == ["It is on.<|im_end|>", "It is louder.<|im_end|>"]
    for row, end in zip(rows, (2, 4), strict=True):
        prompt = encode_prompt(tokenizer, ASKED[:end])
        assert list(row.ids[: len(prompt)]) == prompt
        assert row.is_reply.index(True) == len(prompt)


def test_a_template_that_thinks_in_the_prompt_only_still_shows_the_reply(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\nThinking:' }}{% endif %}"
    )
    rows = encode_dialogue(tokenizer, ASKED)
    assert [replies(tokenizer, row) for row in rows] == ["It is on.<|im_end|>", "It is louder.<|im_end|>"]


MISTRAL = (
    "{% set told = messages[0]['content'] if messages[0]['role'] == 'system' %}{{ bos_token }}"
    "{% for m in (messages[1:] if told else messages) %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}{% endif %}"
    "{% if m['role'] == 'user' %}{{ '[INST] ' + (told + '\n\n' if loop.last and told else '') }}"
    "{{ m['content'] + '[/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)


def asked_and_answered(tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, str]]:
    """What each reply of ASKED is asked with, and what is learned behind that very prompt."""
    rows, found = encode_dialogue(tokenizer, ASKED), []
    for end in (2, 4):
        prompt = encode_prompt(tokenizer, ASKED[:end])
        row = next(
            one for one in rows if list(one.ids[: len(prompt)]) == prompt and one.is_reply[len(prompt)]
        )
        marks = row.is_reply[len(prompt) :]
        own = row.ids[len(prompt) : len(prompt) + (marks.index(False) if False in marks else len(marks))]
        found.append((str(tokenizer.decode(prompt)), str(tokenizer.decode(own))))
    return found


def test_a_system_message_that_stands_in_the_newest_turn_alone_is_trained_there(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    tokenizer.chat_template = MISTRAL
    assert not traits(tokenizer).extends
    (first, on), (second, louder) = asked_and_answered(tokenizer)
    assert first.endswith("[INST] Be brief.\n\nLight on.[/INST]")
    assert second.endswith("It is on.<|im_end|>[INST] Be brief.\n\nLouder.[/INST]")
    assert (on, louder) == (" It is on.<|im_end|>", " It is louder.<|im_end|>")


def test_a_header_that_the_template_writes_only_with_the_reply_belongs_to_the_prompt(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    )
    (first, on), (_, louder) = asked_and_answered(tokenizer)
    assert first.endswith("Light on.<|im_end|>\n<|im_start|>assistant\n")
    assert (on, louder) == ("It is on.<|im_end|>", "It is louder.<|im_end|>")


def test_an_end_behind_the_whole_chat_is_no_rewriting(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
    )
    assert closing_of(tokenizer) == "<|end|>"
    (row,) = encode_dialogue(tokenizer, ASKED)
    assert replies(tokenizer, row) == "It is on.<|end|>It is louder.<|end|>\n<|im_end|>"
    (_, on), _ = asked_and_answered(tokenizer)
    assert on == "It is on.<|end|>"


def test_a_template_tells_one_day_and_of_several_the_one_for_chats_is_taken(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    own = "{{ 'Today: ' + strftime_now('%d %b %Y') + '\n' }}" + str(tokenizer.chat_template)
    tokenizer.chat_template = {"default": own, "tool_use": "{{ raise_exception('no tools') }}"}
    tokenizer.chat_template = template_of(tokenizer)
    (first, on), _ = asked_and_answered(tokenizer)
    assert first.startswith("Today: 26 Jul 2024\n")
    assert on == "It is on.<|im_end|>"


def test_a_template_that_renders_nothing_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = "{{ raise_exception('no') }}"
    with pytest.raises(EngineError, match="does not render"):
        traits(tokenizer)


def test_the_datas_own_system_message_stands_after_ours() -> None:
    told = chat("Ours.", [Message("system", "Theirs."), Message("user", "Hi.")])
    assert told == [{"role": "system", "content": "Ours.\nTheirs."}, {"role": "user", "content": "Hi."}]
